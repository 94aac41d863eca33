# Writes the small tables in tests/golden/models/ that make_models.R fits.
#   Rscript tests/golden/make_data.R            (from the repository root)
# lme4's data sets get a few derived columns, so that no formula needs more than column names.
# pruning.csv is not made here: see the README beside it.

suppressPackageStartupMessages(library(lme4))
folder <- "tests/golden/models"

keep <- function(table, name) {
  number <- vapply(table, is.double, logical(1))
  table[number] <- lapply(table[number], function(x) {
    short <- sprintf("%.15g", x)
    exact <- is.na(x) | suppressWarnings(as.numeric(short)) == x
    ifelse(is.na(x), NA, ifelse(exact, short, sprintf("%.17g", x)))
  })
  path <- file.path(folder, paste0(name, ".csv"))
  write.csv(table, path, row.names = FALSE, quote = FALSE, na = "")
}

sleep <- sleepstudy
sleep$phase <- cut(sleep$Days, c(-1, 2, 6, 9), labels = c("early", "middle", "late"))
sleep$days_twice <- 2 * sleep$Days
sleep$shift <- 10 * sqrt(sleep$Days)
sleep$precision <- rep(c(0.5, 1, 2, 1.5), length.out = nrow(sleep))
sleep$gappy <- ifelse(seq_len(nrow(sleep)) %% 11 == 0, NA, sleep$Reaction)
keep(sleep, "sleepstudy")
keep(Penicillin, "penicillin")
keep(Dyestuff, "dyestuff")
keep(Dyestuff2, "dyestuff2")
keep(Pastes, "pastes")
cakes <- transform(cake, temperature = paste0("t", temp), tens = (temp - 200) / 10)
keep(cakes[c("replicate", "recipe", "temperature", "temp", "tens", "angle")], "cake")

herds <- cbpp
herds$obs <- seq_len(nrow(herds))
keep(herds, "cbpp")
ticks <- grouseticks
ticks$log_effort <- log(rep(c(1, 2, 4), length.out = nrow(ticks)))
used <- c("INDEX", "TICKS", "BROOD", "YEAR", "LOCATION", "cHEIGHT", "log_effort")
keep(ticks[used], "grouseticks")
some <- droplevels(VerbAgg[as.integer(VerbAgg$id) <= 100, ])
some$yes <- as.integer(some$r2 == "Y")
keep(some[c("id", "item", "Anger", "Gender", "btype", "situ", "mode", "yes")], "verbagg")

# Unbalanced, two crossed factors, three correlated effects per subject, two per site.
set.seed(20240817)
subjects <- 40; sites <- 12
sizes <- sample(6:14, subjects, replace = TRUE)
growth <- data.frame(subject = rep(sprintf("s%02d", seq_len(subjects)), sizes))
n <- nrow(growth)
growth$site <- sprintf("site%02d", sample(sites, n, replace = TRUE))
growth$arm <- rep(c("high", "low", "none")[1 + seq_len(subjects) %% 3], sizes)
growth$x <- round(runif(n, -1, 2), 3)
growth$z <- round(rnorm(n), 3)
root <- matrix(c(0.9, 0.3, -0.2, 0, 0.6, 0.25, 0, 0, 0.5), 3)
own <- matrix(rnorm(3 * subjects), subjects) %*% t(root)
place <- matrix(rnorm(2 * sites), sites) %*% t(matrix(c(0.5, -0.2, 0, 0.4), 2))
s <- as.integer(factor(growth$subject)); p <- as.integer(factor(growth$site))
mean <- 3 + 0.8 * growth$x - 0.4 * growth$z + 0.5 * (growth$arm == "high") +
  own[s, 1] + own[s, 2] * growth$x + own[s, 3] * growth$z + place[p, 1] + place[p, 2] * growth$x
growth$y <- round(mean + rnorm(n, sd = 0.7), 4)
growth$count <- rpois(n, exp(0.3 + 0.3 * growth$x + 0.4 * own[s, 1] + 0.5 * place[p, 1]))
keep(growth, "growth")
