# Fits and extracts for make_models.R: everything a test compares, as nested lists, and exact JSON.

# --- JSON with the shortest digits that read back exactly; scalars unboxed, lists as arrays -----

number <- function(x) {
  if (is.na(x) && !is.nan(x)) return("null")
  if (!is.finite(x)) return(if (is.nan(x)) "null" else if (x > 0) "\"inf\"" else "\"-inf\"")
  for (digits in 15:17) {
    text <- sprintf("%.*g", digits, x)
    if (as.numeric(text) == x) break
  }
  text
}

text <- function(x) {
  if (is.na(x)) return("null")
  paste0("\"", gsub("\n", "\\\\n", gsub("([\"\\\\])", "\\\\\\1", x)), "\"")
}

# An array in JSON even where it has one element or none.
many <- function(x) structure(as.vector(if (is.null(x)) character() else x), class = "many")

json <- function(x, indent = "") {
  inner <- paste0(indent, " ")
  if (is.null(x)) return("null")
  if (is.factor(x)) x <- as.character(x)
  if (is.matrix(x)) {
    rows <- apply(x, 1, function(row) json(many(row)))
    return(paste0("[", paste(rows, collapse = ",\n"), "]"))
  }
  if (is.list(x) && !is.null(names(x))) {
    member <- function(key, value) paste0(inner, text(key), ": ", json(value, inner))
    parts <- mapply(member, names(x), x)
    return(paste0("{\n", paste(parts, collapse = ",\n"), "\n", indent, "}"))
  }
  if (is.list(x)) {
    return(paste0("[", paste(vapply(x, json, "", indent = inner), collapse = ", "), "]"))
  }
  if (!inherits(x, "many") && !is.null(names(x))) return(json(as.list(x), indent))
  array <- inherits(x, "many")
  x <- unclass(x)
  one <- if (is.character(x)) text else if (is.logical(x)) {
    function(v) if (is.na(v)) "null" else tolower(as.character(v))
  } else number
  parts <- vapply(unname(x), one, "")
  if (length(parts) == 1 && !array) return(parts)
  paste0("[", paste(parts, collapse = ", "), "]")
}

columns <- function(table) {
  table <- as.data.frame(table)
  lapply(table, function(x) many(if (is.factor(x)) as.character(x) else x))
}

# --- optimizing to rounding ---------------------------------------------------------------------

careful <- function(fn, par, lower = -Inf, upper = Inf, control = list()) {
  nloptwrap(par, fn, rep_len(lower, length(par)), rep_len(upper, length(par)),
            control = list(xtol_abs = 1e-12, ftol_abs = 1e-15, maxeval = 1e5))
}

# BOBYQA with tight tolerances, then Newton steps on numerical derivatives: theta to about 1e-8.
# From a bound it starts again a little inside, with both signs of the free parameters: a standard
# deviation of 0 hides which covariances would let it grow. lme4 finds this function by its name.
polished <- function(fn, par, lower = -Inf, upper = Inf, control = list()) {
  lower <- rep_len(lower, length(par))
  first <- careful(fn, par, lower, upper)
  stuck <- is.finite(lower) & first$par - lower < 1e-5
  if (any(stuck)) {
    for (sign in c(1, -1)) {
      inside <- ifelse(stuck, lower + 1e-3, ifelse(is.finite(lower), 1, sign) * first$par)
      again <- careful(fn, inside, lower, upper)
      if (again$fval < first$fval - 1e-9) first <- again
    }
  }
  best <- first$par
  at_bound <- is.finite(lower) & best - lower < 1e-5
  if (any(at_bound)) {
    snapped <- replace(best, at_bound, lower[at_bound])
    if (fn(snapped) <= fn(best) + 1e-9) best <- snapped else at_bound[] <- FALSE
  }
  free <- which(!at_bound)
  part <- function(x) fn(replace(best, free, x))
  if (length(free) > 0) {
    slope <- numDeriv::grad(part, best[free])
    for (round in 1:6) {
      step <- tryCatch(solve(numDeriv::hessian(part, best[free]), slope), error = function(e) NULL)
      if (is.null(step) || any(abs(step) > 1e-2)) break
      moved <- best[free] - step
      if (any(moved < lower[free])) break
      new <- numDeriv::grad(part, moved)
      if (max(abs(new)) >= max(abs(slope))) break
      best[free] <- moved
      slope <- new
    }
  }
  list(par = best, fval = fn(best), feval = first$feval, convergence = 0, message = "polished")
}

tight_lmm <- lmerControl(optimizer = "polished", calc.derivs = FALSE)
tight_glmm <- glmerControl(optimizer = c("bobyqa", "polished"), tolPwrss = 1e-13,
                           calc.derivs = TRUE)

# --- what one fit says ----------------------------------------------------------------------------

modes <- function(fit) {
  long <- as.data.frame(ranef(fit, condVar = TRUE))
  names(long) <- c("group", "term", "level", "mode", "sd")
  columns(long[c("group", "level", "term", "mode", "sd")])
}

report <- function(fit) {
  linear <- isLMM(fit)
  se <- sqrt(diag(as.matrix(vcov(fit))))
  list(
    nobs = nobs(fit), p = length(fixef(fit)), q = ncol(getME(fit, "Z")),
    ngrps = as.list(ngrps(fit)), theta = many(getME(fit, "theta")),
    theta_names = many(names(getME(fit, "theta"))), singular = isSingular(fit, tol = 1e-4),
    optimizer_message = many(unlist(fit@optinfo$conv$lme4$messages)),
    sigma = if (linear) sigma(fit), fixef = as.list(fixef(fit)), fixef_se = as.list(se),
    t = as.list(fixef(fit) / se), vcov = as.matrix(vcov(fit)),
    dropped = many(names(attr(getME(fit, "X"), "col.dropped"))),
    varcor = apply_rows(as.data.frame(VarCorr(fit))),
    criterion = if (linear) unname(getME(fit, "devcomp")$cmp[if (isREML(fit)) "REML" else "dev"])
                else -2 * as.numeric(logLik(fit)),
    logLik = as.numeric(logLik(fit)), logLik_df = attr(logLik(fit), "df"),
    AIC = AIC(fit), BIC = BIC(fit)
  )
}

apply_rows <- function(table) lapply(seq_len(nrow(table)), function(i) as.list(table[i, ]))

tests_of <- function(fit, ddf) {
  rows <- coef(summary(fit, ddf = ddf))
  column <- function(name) as.list(setNames(rows[, name], rownames(rows)))
  effects <- anova(fit, type = 3, ddf = ddf)
  hypotheses <- lmerTest::show_tests(effects)
  list(
    se = column("Std. Error"), df = column("df"), t = column("t value"), p = column("Pr(>|t|)"),
    anova_type3 = lapply(seq_len(nrow(effects)), function(i) list(
      term = rownames(effects)[i], L = hypotheses[[i]], NumDF = effects$NumDF[i],
      DenDF = effects$DenDF[i], F = effects$`F value`[i], p = effects$`Pr(>F)`[i]))
  )
}

# Joint tests of hypotheses given as named lists of matrices; KR also with pbkrtest's own scaling.
contests <- function(fit, hypotheses, kenward_roger) {
  lapply(hypotheses, function(L) {
    of <- function(ddf) {
      row <- lmerTest::contestMD(fit, L, ddf = ddf)
      list(NumDF = row$NumDF, DenDF = row$DenDF, F = row$`F value`, p = row$`Pr(>F)`)
    }
    out <- list(L = L, satterthwaite = of("Satterthwaite"))
    if (kenward_roger) {
      out$kenward_roger <- of("Kenward-Roger")
      test <- pbkrtest::KRmodcomp(fit, L)$stats
      wanted <- c("ndf", "ddf", "Fstat", "p.value", "F.scaling", "FstatU")
      out$krmodcomp <- lapply(test[wanted], as.numeric)
    }
    out
  })
}

krs <- function(fit) {
  c(tests_of(fit, "Kenward-Roger"), list(vcov_adj = as.matrix(pbkrtest::vcovAdj(fit))))
}

intervals <- function(fit, profile) {
  shape <- function(bounds) list(rows = many(rownames(bounds)), lower = many(bounds[, 1]),
                                 upper = many(bounds[, 2]))
  out <- list(wald = shape(confint(fit, parm = "beta_", method = "Wald")))
  if (profile) {
    curve <- profile(fit, signames = FALSE, delta.cutoff = 1 / 24, devtol = 1e-7,
                     optimizer = "careful")
    out$profile <- shape(confint(curve))
  }
  out
}

predictions <- function(fit, new) {
  given <- function(...) many(unname(predict(fit, newdata = new, ...)))
  list(
    newdata = columns(new), fixed = given(re.form = NA),
    conditional_zero = given(allow.new.levels = TRUE),
    fitted_first = many(head(unname(fitted(fit)), 10)),
    response_fixed = if (isGLMM(fit)) given(re.form = NA, type = "response"),
    response_zero = if (isGLMM(fit)) given(allow.new.levels = TRUE, type = "response")
  )
}

fit_measures <- function(fit) {
  quiet <- function(x) suppressMessages(suppressWarnings(x))
  r2 <- quiet(performance::r2_nakagawa(fit))
  icc <- quiet(performance::icc(fit))
  value <- function(x) if (is.null(x) || length(x) == 0) NULL else unname(as.numeric(x))
  if (!is.list(r2)) r2 <- list()
  if (!is.list(icc)) icc <- list()
  list(r2_conditional = value(r2$R2_conditional), r2_marginal = value(r2$R2_marginal),
       icc_adjusted = value(icc$ICC_adjusted),
       icc_unadjusted = value(icc$ICC_unadjusted))
}

# --- marginal means and slopes --------------------------------------------------------------------

# emmeans' "mvt" cuts df to an integer and integrates to 1e-3 at random: here the same definition
# with the error it reached.
mvt <- function(t, df, correlation) {
  set.seed(1)
  whole <- as.integer(ifelse(is.finite(df), df, 0))
  inside <- lapply(seq_along(t), function(i) mvtnorm::pmvt(
    rep(-abs(t[i]), length(t)), rep(abs(t[i]), length(t)), df = whole[i], corr = correlation,
    algorithm = mvtnorm::GenzBretz(maxpts = 3e5, abseps = 1e-7)))
  list(p = many(1 - vapply(inside, as.numeric, 0)), df = many(whole),
       error = max(vapply(inside, attr, 0, "error")))
}

means_and_pairs <- function(grid) {
  means <- summary(grid, infer = TRUE)
  rows <- contrast(grid, "pairwise")
  table <- function(adjust) {
    s <- summary(rows, infer = TRUE, adjust = adjust)
    columns(s[intersect(names(s), c("contrast", "estimate", "SE", "df", "lower.CL", "upper.CL",
                                    "asymp.LCL", "asymp.UCL", "t.ratio", "z.ratio", "p.value"))])
  }
  plain <- summary(rows, infer = TRUE, adjust = "none")
  correlation <- cov2cor(vcov(rows))
  dimnames(correlation) <- NULL
  ratio <- plain[[intersect(names(plain), c("t.ratio", "z.ratio"))]]
  list(
    means = columns(means), L = unname(grid@linfct), L_names = many(colnames(grid@linfct)),
    pairs = table("none"), pairs_tukey = table("tukey"), pairs_holm = table("holm"),
    pairs_L = unname(rows@linfct), mvt = mvt(ratio, plain$df, correlation)
  )
}

# `asked` is c(specs) for means, c(specs, covariate) for slopes.
marginal <- function(asked, fit, ddfs) {
  emm_options(pbkrtest.limit = 1e5, lmerTest.limit = 1e5)
  specs <- as.formula(asked[1])
  of <- function(ddf) means_and_pairs(suppressMessages(
    if (length(asked) == 1) emmeans(fit, specs, lmer.df = ddf)
    else emtrends(fit, specs, var = asked[2], lmer.df = ddf)))
  c(list(specs = asked[1], var = if (length(asked) > 1) asked[2]),
    setNames(lapply(ddfs, of), gsub("-", "_", ddfs)))
}
