# Golden values of mixed models: fits tests/golden/models/*.csv, writes one JSON per set of models.
#   Rscript tests/golden/make_models.R [SET ...]        (from the repository root; six minutes)
# Debian: r-base-core r-cran-lme4 r-cran-lmertest r-cran-pbkrtest r-cran-emmeans r-cran-performance
# r-cran-numderiv r-cran-mvtnorm r-cran-glmmtmb. R never runs in the test suite.

suppressPackageStartupMessages({
  library(lme4)
  library(emmeans)
})
source("tests/golden/extract.R")
folder <- "tests/golden/models"

versions <- function() {
  packages <- c("lme4", "lmerTest", "pbkrtest", "emmeans", "performance", "Matrix", "nloptr",
                "numDeriv", "mvtnorm", "glmmTMB")
  of <- function(p) as.character(packageVersion(p))
  c(list(R = R.version.string), sapply(packages, of, simplify = FALSE))
}

# Text columns and those named become factors: levels in C order, treatment contrasts.
read <- function(name, factors) {
  table <- read.csv(file.path(folder, paste0(name, ".csv")))
  texts <- names(table)[vapply(table, is.character, NA)]
  for (column in intersect(names(table), union(factors, texts))) {
    values <- as.character(table[[column]])
    table[[column]] <- factor(values, levels = sort(unique(values), method = "radix"))
  }
  table
}

lmm <- function(formula, reml = TRUE, weights = NULL, inference = TRUE,
                kr = inference && reml && is.null(weights), profile = FALSE, ranova = FALSE,
                hypotheses = NULL, new = NULL, means = NULL) {
  formula <- as.formula(formula, globalenv())
  fitted <- function(control) {
    parts <- list(quote(lmerTest::lmer), formula, data = quote(dat), REML = reml, control = control)
    if (!is.null(weights)) parts$weights <- weights
    suppressMessages(suppressWarnings(eval(as.call(parts), globalenv())))
  }
  fit <- fitted(quote(tight_lmm))
  ddfs <- c(if (inference) "satterthwaite", if (kr) "kenward-roger")
  out <- list(formula = deparse1(formula), method = if (reml) "reml" else "ml",
              weights = if (!is.null(weights)) as.character(weights),
              default = report(fitted(quote(lmerControl()))), tight = report(fit),
              ranef = modes(fit), confint = intervals(fit, profile), measures = fit_measures(fit))
  if (inference) out$satterthwaite <- tests_of(fit, "Satterthwaite")
  if (kr) out$kenward_roger <- krs(fit)
  if (!is.null(hypotheses)) out$contests <- contests(fit, hypotheses, kr)
  if (!is.null(new)) out$predict <- predictions(fit, new)
  if (!is.null(means)) out$marginal <- lapply(means, marginal, fit = fit, ddfs = ddfs)
  if (ranova) {
    steps <- as.data.frame(lmerTest::ranova(fit))
    out$ranova <- apply_rows(cbind(term = rownames(steps), steps))
  }
  out
}

glmm <- function(formula, family, nAGQ = 1, new = NULL, means = NULL) {
  formula <- as.formula(formula, globalenv())
  fitted <- function(control) suppressMessages(suppressWarnings(eval(bquote(
    glmer(.(formula), data = dat, family = .(family), nAGQ = .(nAGQ), control = .(control))
  ), globalenv())))
  fit <- fitted(quote(tight_glmm))
  # lme4's own standard errors come from coarse differences (1e-4): here Richardson's.
  criterion <- suppressWarnings(update(fit, devFunOnly = TRUE))
  theta <- getME(fit, "theta")
  at <- c(theta, fixef(fit))
  free <- which(c(theta > getME(fit, "lower")[seq_along(theta)], fixef(fit) > -Inf))
  part <- function(x) criterion(replace(at, free, x))
  covariance <- solve(numDeriv::hessian(part, at[free]) / 2)
  beta <- tail(seq_along(free), length(fixef(fit)))
  y <- getME(fit, "y")
  n <- weights(fit)
  saturated <- if (family(fit)$family == "binomial") dbinom(round(y * n), n, y, log = TRUE)
               else dpois(y, y, log = TRUE)
  named <- function(x) as.list(setNames(x, names(fixef(fit))))
  out <- list(
    formula = deparse1(formula), family = family(fit)$family, link = family(fit)$link, nAGQ = nAGQ,
    default = report(fitted(quote(glmerControl()))), tight = report(fit),
    gradient = many(numDeriv::grad(part, at[free])),
    vcov = unname(covariance[beta, beta, drop = FALSE]),
    fixef_se = named(sqrt(diag(covariance))[beta]),
    vcov_pirls = suppressWarnings(as.matrix(vcov(fit, use.hessian = FALSE))),
    p = named(2 * pnorm(-abs(fixef(fit)) / sqrt(diag(covariance))[beta])),
    ranef = modes(fit), residual_deviance = deviance(fit),
    pearson_chisq = sum(resid(fit, "pearson")^2), residual_df = df.residual(fit),
    saturated_minus2loglik = -2 * sum(saturated)
  )
  # With nAGQ > 1 glmer's log-likelihood lacks that of the saturated model.
  out$minus2loglik <- out$tight$criterion + if (nAGQ > 1) out$saturated_minus2loglik else 0
  if (nAGQ == 1) out$measures <- fit_measures(fit)
  if (!is.null(new)) out$predict <- predictions(fit, new)
  if (!is.null(means)) out$marginal <- lapply(means, marginal, fit = fit, ddfs = "asymptotic")
  out
}

betabinomial <- function(formula) {
  fit <- glmmTMB::glmmTMB(as.formula(formula), data = dat, family = glmmTMB::betabinomial())
  list(formula = formula, program = "glmmTMB", minus2loglik = -2 * as.numeric(logLik(fit)),
       fixef = as.list(glmmTMB::fixef(fit)$cond),
       fixef_se = as.list(sqrt(diag(vcov(fit)$cond))),
       sd = lapply(glmmTMB::VarCorr(fit)$cond, function(v) unname(attr(v, "stddev"))),
       phi = sigma(fit))
}

# Likelihood-ratio tests of ML fits; p_mixture where a variance (and its covariances) is tested.
lrt <- function(small, large, boundary = FALSE) {
  loglik <- function(formula) logLik(eval(bquote(lme4::lmer(
    .(as.formula(formula)), data = dat, REML = FALSE, control = tight_lmm)), globalenv()))
  a <- loglik(small)
  b <- loglik(large)
  chisq <- 2 * as.numeric(b - a)
  df <- attr(b, "df") - attr(a, "df")
  tail <- function(df) if (df == 0) chisq <= 0 else pchisq(chisq, df, lower.tail = FALSE)
  list(small = small, large = large, chisq = chisq, df = df, p = tail(df),
       p_mixture = if (boundary) (tail(df) + tail(df - 1)) / 2)
}

sets <- list()

sets$sleepstudy <- list(data = "sleepstudy", factors = "Subject", cases = function() {
  slope <- "Reaction ~ Days + (Days | Subject)"
  double <- "Reaction ~ Days + (Days || Subject)"
  intercept <- "Reaction ~ Days + (1 | Subject)"
  new <- data.frame(Days = c(0, 4.5, 9, 12), Subject = c("308", "309", "372", "new"))
  joint <- list(both = diag(2), slope = matrix(c(0, 1), 1))
  list(
    slope_reml = lmm(slope, profile = TRUE, hypotheses = joint, new = new, ranova = TRUE),
    slope_ml = lmm(slope, FALSE, profile = TRUE, hypotheses = joint),
    uncorrelated_reml = lmm(double, profile = TRUE, hypotheses = joint, new = new),
    uncorrelated_ml = lmm(double, FALSE),
    intercept_reml = lmm(intercept, profile = TRUE, new = new),
    intercept_ml = lmm(intercept, FALSE, profile = TRUE),
    slope_only_reml = lmm("Reaction ~ Days + (0 + Days | Subject)"),
    no_fixed_intercept_reml = lmm("Reaction ~ 0 + Days + (Days | Subject)"),
    weights_reml = lmm(slope, weights = quote(precision)),
    weights_ml = lmm(intercept, FALSE, weights = quote(precision)),
    offset_reml = lmm("Reaction ~ Days + offset(shift) + (Days | Subject)"),
    log_reml = lmm("log(Reaction) ~ Days + (Days | Subject)"),
    gappy_reml = lmm("gappy ~ Days + (Days | Subject)"),
    rank_deficient_reml = lmm("Reaction ~ Days + days_twice + (1 | Subject)", kr = FALSE),
    phase_reml = lmm("Reaction ~ phase + (1 | Subject)", means = list(phase = "~ phase"),
                     hypotheses = list(phase = cbind(0, diag(2)))),
    phase_slope_reml = lmm("Reaction ~ phase * Days + (Days | Subject)",
                           means = list(phase = "~ phase", trend = c("~ phase", "Days"))),
    lrt = list(slope = lrt("Reaction ~ 1 + (Days | Subject)", slope),
               correlation = lrt(double, slope), one_variance = lrt(intercept, double, TRUE),
               slope_variance = lrt(intercept, slope, TRUE)))
})

sets$penicillin <- list(data = "penicillin", cases = function() {
  both <- "diameter ~ 1 + (1 | plate) + (1 | sample)"
  list(crossed_reml = lmm(both, profile = TRUE, ranova = TRUE),
       crossed_ml = lmm(both, FALSE, profile = TRUE),
       plate_reml = lmm("diameter ~ 1 + (1 | plate)"))
})

sets$dyestuff <- list(data = "dyestuff", cases = function() list(
  reml = lmm("Yield ~ 1 + (1 | Batch)", profile = TRUE),
  ml = lmm("Yield ~ 1 + (1 | Batch)", FALSE, profile = TRUE)))

sets$dyestuff2 <- list(data = "dyestuff2", cases = function() list(
  reml = lmm("Yield ~ 1 + (1 | Batch)", kr = FALSE), ml = lmm("Yield ~ 1 + (1 | Batch)", FALSE)))

sets$pastes <- list(data = "pastes", cases = function() {
  nested <- "strength ~ 1 + (1 | batch / cask)"
  new <- data.frame(batch = c("A", "B", "J", "Z"), cask = c("a", "c", "b", "a"))
  list(nested_reml = lmm(nested, profile = TRUE, ranova = TRUE, new = new),
       nested_ml = lmm(nested, FALSE),
       named_reml = lmm("strength ~ 1 + (1 | batch) + (1 | sample)"),
       interaction_reml = lmm("strength ~ cask + (1 | batch:cask)", means = list(cask = "~ cask")))
})

sets$cake <- list(data = "cake", factors = "replicate", cases = function() {
  additive <- "angle ~ recipe + temp + (1 | recipe:replicate)"
  new <- data.frame(recipe = c("A", "B", "C"), temp = c(180, 200, 250),
                    replicate = c("1", "15", "99"))
  list(
    factorial_reml = lmm("angle ~ recipe * temperature + (1 | recipe:replicate)",
                         means = list(recipe = "~ recipe", temperature = "~ temperature"),
                         hypotheses = list(interaction = cbind(matrix(0, 10, 8), diag(10)))),
    additive_reml = lmm(additive, profile = TRUE, means = list(recipe = "~ recipe"), new = new,
                        hypotheses = list(recipe = cbind(0, diag(2), 0))),
    additive_ml = lmm(additive, FALSE, means = list(recipe = "~ recipe")),
    slopes_reml = lmm("angle ~ recipe * temp + (1 | recipe:replicate)",
                      means = list(recipe = "~ recipe", trend = c("~ recipe", "temp"))),
    singular_vector_reml = lmm("angle ~ recipe + temp + (tens | replicate)", inference = FALSE),
    lrt = list(recipe = lrt("angle ~ temp + (1 | recipe:replicate)", additive)))
})

sets$growth <- list(data = "growth", cases = function() {
  three <- "y ~ x + z + arm + (x + z | subject)"
  new <- data.frame(x = c(0, 1, -1), z = c(0.5, 0, 2), arm = c("high", "low", "none"),
                    subject = c("s01", "s40", "new"))
  list(
    three_reml = lmm(three, means = list(arm = "~ arm"), new = new,
                     hypotheses = list(arm = cbind(0, 0, 0, diag(2)),
                                       slopes = cbind(0, diag(2), 0, 0))),
    three_ml = lmm(three, FALSE),
    crossed_vectors_reml = lmm("y ~ x + z + arm + (x + z | subject) + (x | site)"),
    crossed_mixed_reml = lmm("y ~ x * arm + (x | subject) + (1 | site)",
                             hypotheses = list(interaction = cbind(matrix(0, 2, 4), diag(2))),
                             means = list(arm = "~ arm", trend = c("~ arm", "x"))),
    independent_reml = lmm("y ~ x + z + (x + z || subject) + (1 | site)"),
    blocks_reml = lmm("y ~ x + z + (x | subject) + (0 + z | subject) + (1 | site)"),
    singular_deep_reml = lmm(
      "y ~ x + (1 | arm) + (1 | subject) + (1 | site) + (1 | subject:site)", kr = FALSE))
})

sets$pruning <- list(data = "pruning", factors = c("network", "class_id"), cases = function() {
  main <- paste("balance ~ balance_dense * (log2_ratio + difficulty + complexity)",
                "+ (0 + balance_dense | network) + (1 | class_id)")
  method <- paste("balance ~ balance_dense * (log2_ratio + method)",
                  "+ (0 + balance_dense | network) + (1 | class_id)")
  three <- paste("balance ~ balance_dense * log2_ratio + (0 + balance_dense | network)",
                 "+ (1 | class_id) + (1 | network:class_id)")
  list(
    main_reml = lmm(main), main_ml = lmm(main, FALSE),
    method_reml = lmm(method, means = list(slope = c("~ method", "balance_dense")),
                      hypotheses = list(interactions = cbind(matrix(0, 2, 4), diag(2)))),
    singular_reml = lmm("balance ~ balance_dense * log2_ratio + (1 | network) + (1 | class_id)",
                        kr = FALSE),
    singular_vector_reml = lmm(
      "balance ~ balance_dense * log2_ratio + (balance_dense | network)", inference = FALSE),
    three_groups_reml = lmm(three, kr = FALSE))
})

sets$pruning_counts <- list(data = "pruning", factors = sets$pruning$factors, cases = function() {
  groups <- "+ (1 | network) + (1 | class_id)"
  model <- function(right) paste("cbind(correct, n - correct) ~", right)
  ratio <- model(paste("log2_ratio", groups))
  list(method = glmm(model(paste("log2_ratio * method", groups)), quote(binomial),
                     means = list(method = "~ method", trend = c("~ method", "log2_ratio"))),
       slope = glmm(model("log2_ratio + (log2_ratio | network) + (1 | class_id)"), quote(binomial)),
       probit = glmm(ratio, quote(binomial("probit"))), betabinomial = betabinomial(ratio))
})

sets$cbpp <- list(data = "cbpp", factors = c("herd", "period", "obs"), cases = function() {
  model <- "cbind(incidence, size - incidence) ~ period + (1 | herd)"
  new <- data.frame(period = c("1", "4", "2"), herd = c("1", "15", "new"))
  list(laplace = glmm(model, quote(binomial), new = new, means = list(period = "~ period")),
       agq9 = glmm(model, quote(binomial), 9), agq25 = glmm(model, quote(binomial), 25),
       probit = glmm(model, quote(binomial("probit"))),
       cloglog = glmm(model, quote(binomial("cloglog"))),
       probit_agq9 = glmm(model, quote(binomial("probit")), 9),
       cloglog_agq9 = glmm(model, quote(binomial("cloglog")), 9),
       intercept = glmm("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", quote(binomial)),
       observation = glmm(paste(model, "+ (1 | obs)"), quote(binomial)),
       betabinomial = betabinomial(model))
})

sets$verbagg <- list(data = "verbagg", factors = "id", cases = function() {
  one <- "yes ~ Anger + Gender + btype + situ + (1 | id)"
  list(crossed = glmm(paste(one, "+ (1 | item)"), quote(binomial)),
       one_term = glmm(one, quote(binomial)), one_term_agq10 = glmm(one, quote(binomial), 10),
       vector = glmm("yes ~ btype + situ + (situ | id) + (1 | item)", quote(binomial)),
       probit = glmm("yes ~ btype + situ + (1 | id) + (1 | item)", quote(binomial("probit"))))
})

sets$grouseticks <- list(
  data = "grouseticks", factors = c("INDEX", "BROOD", "LOCATION", "YEAR"), cases = function() {
    model <- function(random) glmm(paste("TICKS ~ YEAR + cHEIGHT +", random), quote(poisson))
    list(observation = glmm(
           "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)", quote(poisson),
           means = list(YEAR = "~ YEAR")),
         nested = model("(1 | LOCATION / BROOD)"),
         offset = model("offset(log_effort) + (1 | LOCATION)"),
         agq9 = glmm("TICKS ~ YEAR + cHEIGHT + (1 | LOCATION)", quote(poisson), 9))
  })

sets$growth_counts <- list(data = "growth", cases = function() list(
  crossed = glmm("count ~ x + (1 | subject) + (1 | site)", quote(poisson)),
  slope = glmm("count ~ x + arm + (x | subject) + (1 | site)", quote(poisson))))

asked <- commandArgs(TRUE)
for (name in if (length(asked) > 0) asked else names(sets)) {
  set <- sets[[name]]
  dat <- read(set$data, set$factors)
  started <- proc.time()[["elapsed"]]
  cases <- set$cases()
  factors <- Filter(is.factor, dat)
  short <- Filter(function(x) nlevels(x) <= 30, factors)
  whole <- list(set = name, data = paste0(set$data, ".csv"),
                generator = "tests/golden/make_models.R", versions = versions(), rows = nrow(dat),
                text_columns = many(names(factors)),
                levels = lapply(short, function(x) many(levels(x))), cases = cases)
  writeLines(json(whole), file.path(folder, paste0(name, ".json")))
  cat(sprintf("%s: %.0f s\n", name, proc.time()[["elapsed"]] - started))
}
