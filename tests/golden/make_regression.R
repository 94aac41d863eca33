# Golden values of regressions, panels and instruments. Run in this folder:
#   Rscript make_regression.R
# writes regression.csv (the data) and regression.json (estimates at full precision, versions).

suppressPackageStartupMessages({
  library(jsonlite); library(sandwich); library(car); library(plm); library(AER); library(multcomp)
})

set.seed(20)
entities <- 24
d <- expand.grid(time = 1:9, entity = 1:entities)
d <- d[-sample(nrow(d), 30), ]
d$network <- (d$entity - 1) %/% 2 + 1
d$method <- sample(c("magnitude", "gradient", "random"), nrow(d), TRUE)
d$arm <- sample(c("pruned", "finetuned"), nrow(d), TRUE)
d$weight <- runif(nrow(d), 0.5, 2)
d$z1 <- rnorm(nrow(d))
d$z2 <- rnorm(nrow(d)) + rnorm(entities)[d$entity]
hidden <- rnorm(nrow(d))
d$x <- rnorm(nrow(d)) + 0.3 * rnorm(entities)[d$entity] + 0.2 * d$time
d$e <- 0.7 * d$z1 + 0.4 * d$z2 + hidden + rnorm(nrow(d))
d$y <- 1 + 0.5 * d$x - 0.3 * (d$method == "random") * d$x + 0.4 * d$e + 0.1 * d$time +
  rnorm(12)[d$network] + hidden + rnorm(nrow(d))
d <- d[sample(nrow(d)), ]
rownames(d) <- NULL
for (name in names(d)) if (is.double(d[[name]])) d[[name]] <- signif(d[[name]], 8)
write.csv(d, "regression.csv", row.names = FALSE, quote = FALSE)
d <- read.csv("regression.csv")

estimates <- function(fit, V) list(
  names = names(coef(fit)), coefficients = unname(coef(fit)), covariance = unname(as.matrix(V)))

described <- function(fit) list(
  loglik = as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit), sigma = sigma(fit),
  r_squared = summary(fit)$r.squared, adjusted = summary(fit)$adj.r.squared, df = fit$df.residual)

ols <- lm(y ~ x * method + arm, d)
wls <- lm(y ~ x * method + arm, d, weights = weight)
covariances <- function(fit) list(
  nonrobust = vcov(fit), HC0 = vcovHC(fit, "HC0"), HC1 = vcovHC(fit, "HC1"),
  HC2 = vcovHC(fit, "HC2"), HC3 = vcovHC(fit, "HC3"),
  clustered = vcovCL(fit, ~network))

# With more columns the two-way covariance has negative eigenvalues here.
two_way <- function(weights) {
  d$w <- weights
  unname(vcovCL(lm(y ~ x + arm, d, weights = w), ~ network + time))
}

sums <- lm(y ~ x * method * arm, d, contrasts = list(method = "contr.sum", arm = "contr.sum"))
type3 <- Anova(sums, type = 3)
type3 <- type3[!rownames(type3) %in% c("(Intercept)", "Residuals"), ]

d$method_f <- factor(d$method)
pairs_of_means <- glht(lm(y ~ x + method_f, d), linfct = mcp(method_f = "Tukey"))
tukey <- summary(pairs_of_means, test = adjusted("single-step", abseps = 1e-6, maxpts = 1e7))
simultaneous <- confint(pairs_of_means, calpha = adjusted_calpha(abseps = 1e-6, maxpts = 1e7))

panel <- pdata.frame(d, index = c("entity", "time"))
within <- plm(y ~ x + e, panel, model = "within", effect = "individual")
both <- plm(y ~ x + e, panel, model = "within", effect = "twoways")
random <- plm(y ~ x + e, panel, model = "random", random.method = "swar")
dummies <- lm(y ~ x + e + factor(entity), d)

iv <- ivreg(y ~ x + e | x + z1 + z2, data = d)
ivd <- summary(iv, diagnostics = TRUE)$diagnostics
just <- ivreg(y ~ x + e | x + z1, data = d)
first <- lm(e ~ x + z1 + z2, d)

golden <- list(
  versions = c(list(R = as.character(getRversion())), lapply(
    c(sandwich = "sandwich", car = "car", plm = "plm", AER = "AER", multcomp = "multcomp"),
    function(p) as.character(packageVersion(p)))),
  ols = c(estimates(ols, vcov(ols)), described(ols), list(covariances = lapply(covariances(ols), unname))),
  wls = c(estimates(wls, vcov(wls)), described(wls), list(covariances = lapply(covariances(wls), unname))),
  two_way = list(plain = two_way(rep(1, nrow(d))), weighted = two_way(d$weight)),
  type3 = list(term = rownames(type3), df = type3$Df, statistic = type3$`F value`, p_value = type3$`Pr(>F)`),
  tukey = list(contrast = names(tukey$test$coefficients), estimate = unname(tukey$test$coefficients),
               std_error = unname(tukey$test$sigma), p_value = as.numeric(tukey$test$pvalues),
               critical = attr(simultaneous$confint, "calpha")),
  within = c(estimates(within, vcov(within)), list(
    df = within$df.residual, r_squared = unname(summary(within)$r.squared["rsq"]),
    loglik = as.numeric(logLik(dummies)),
    clustered = unname(vcovHC(within, method = "arellano", type = "sss", cluster = "group")))),
  both = c(estimates(both, vcov(both)), list(df = both$df.residual)),
  random = c(estimates(random, vcov(random)), list(theta = range(unlist(random$ercomp$theta)))),
  iv = c(estimates(iv, vcov(iv)), list(
    df = iv$df.residual, sigma = iv$sigma,
    HC1 = unname(vcovHC(iv, "HC1")), clustered = unname(vcovCL(iv, ~network, type = "HC1")),
    weak = unname(ivd["Weak instruments", ]), hausman = unname(ivd["Wu-Hausman", ]),
    sargan = unname(ivd["Sargan", ]),
    weak_clustered = linearHypothesis(first, c("z1", "z2"), vcov = vcovCL(first, ~network))$F[2])),
  just = estimates(just, vcov(just)))

write(toJSON(golden, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "regression.json")
