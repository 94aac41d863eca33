# Times lme4, and lmerTest where the mode is df: Rscript run_lme4.R CSV FORMULA FACTORS MODE FAMILY BUDGET
# Prints one line of JSON like the Python runners.

suppressPackageStartupMessages({library(lme4); library(data.table)})
given <- commandArgs(TRUE)
formula <- as.formula(given[2]); mode <- given[4]; family <- given[5]; budget <- as.numeric(given[6])
setDTthreads(1)
table <- as.data.frame(fread(given[1]))
for (column in strsplit(given[3], ",")[[1]]) table[[column]] <- factor(table[[column]])
invisible(gc())

peak <- function() {
  line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
try(suppressWarnings(cat("5", file = "/proc/self/clear_refs")), silent = TRUE)

if (mode == "bootstrap") whole <- lmer(formula, table)
once <- function() {
  df <- NULL
  if (mode == "bootstrap") {
    set.seed(1)
    bootMer(whole, fixef, nsim = 1000)
    value <- REMLcrit(whole)
  } else if (family == "binomial") {
    fit <- glmer(formula, table, family = binomial)
    value <- -2 * as.numeric(logLik(fit))
  } else if (mode == "df") {
    fit <- lmerTest::lmer(formula, table)
    df <- coef(summary(fit))[, "df"]
    value <- REMLcrit(fit)
  } else {
    fit <- lmer(formula, table, REML = mode != "ml")
    value <- if (mode == "ml") -2 * as.numeric(logLik(fit)) else REMLcrit(fit)
  }
  list(criterion = value, df = df)
}

before <- peak()
seconds <- c()
while (length(seconds) == 0 || (sum(seconds) < budget && length(seconds) < 50)) {
  start <- proc.time()[["elapsed"]]
  said <- suppressWarnings(once())
  seconds <- c(seconds, proc.time()[["elapsed"]] - start)
  if (length(seconds) == 1) most <- peak()
}
list_of <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ", "), "]")
cat(sprintf('{"version": "%s", "seconds": %s, "data_mib": %f, "peak_mib": %f, "criterion": %.17g%s}\n',
            packageVersion("lme4"), list_of(seconds), before, most, said$criterion,
            if (is.null(said$df)) "" else paste0(', "df": ', list_of(said$df))))
