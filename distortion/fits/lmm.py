"""Linear mixed models: `fit_lmm`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from distortion.errors import FitError, did_you_mean
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import ModelFrame, model_frame
from distortion.fits.mixed.assembly import assemble
from distortion.fits.mixed.criterion import Criterion
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.plan import make_plan
from distortion.fits.mixed.start import moments
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.components import (
    check_covariates,
    check_identified,
    check_residual,
)
from distortion.fits.models.linearmixed import DF_METHODS, LinearMixedModel, result
from distortion.fits.results.result import Fit

METHODS = ("reml", "ml")


def fit_lmm(
    formula: str,
    table: Any,
    *,
    method: Literal["reml", "ml"] = "reml",
    df: Literal["satterthwaite", "kenward-roger", "asymptotic"] = "satterthwaite",
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    conf_level: float = 0.95,
) -> Fit:
    """Fit a linear mixed model as lme4's `lmer` does.

    Parameters
    ----------
    formula : lme4's language, such as `"y ~ x * (a + b) + (0 + x | network) + (1 | class_id)"`
    table : polars DataFrame or LazyFrame, or pandas DataFrame; of a LazyFrame only a chunk of rows
        is in memory at a time
    method : criterion, restricted ("reml") or full ("ml") likelihood
    df : degrees of freedom of the tests of fixed effects
    weights : column of prior weights: the residual variance of a row is σ² / weight
    levels : order of the levels of categorical columns, the reference first
    conf_level : of the intervals in `Fit.estimates`

    Returns
    -------
    `Fit`, with `estimates`, `variances`, `criterion`, … Singular fits are results: `singular` is
    true and a note says which variance is zero.

    Raises
    ------
    FitError
        The formula cannot be read, or the model cannot be fitted to these rows; see
        `modelframe.model_frame` for what is refused.

    Notes
    -----
    Profiled (restricted) likelihood: Bates et al. (2015), J. Stat. Softw. 67(1), section 3.
    Degrees of freedom: `mixed.satterthwaite`, `mixed.kenward_roger`.
    """
    for name, value, known in (("method", method, METHODS), ("df", df, DF_METHODS)):
        if value not in known:
            raise FitError(f"{name} is {value!r}. {did_you_mean(str(value), known)}")
    parsed = parse(formula)
    if not parsed.random:
        raise FitError(
            f"{formula!r} has no random term such as (1 | network). Add one, or use fit_ols."
        )
    if parsed.trials is not None:
        raise FitError(
            f"{formula!r} models counts out of {parsed.trials}: use fit_glmm, or make a rate of "
            f"them in the table."
        )
    frame = model_frame(parsed, table, weights=weights, levels=levels)
    with single_thread():
        return _fit(frame, method == "reml", df, conf_level)


def _fit(frame: ModelFrame, reml: bool, df: str, conf_level: float) -> Fit:
    groupings = frame.groupings
    shapes = [(g.levels.height, len(g.covariates)) for g in groupings]
    products, responses, basis = assemble(frame.chunks, shapes, frame.fixed_names)
    if products.n <= products.p:
        raise FitError(
            f"{products.n} rows cannot estimate {products.p} fixed effects and a residual "
            f"variance. Leave out terms, or add rows."
        )
    check_residual(responses, basis.total)
    check_covariates(products, groupings)
    plan = make_plan(products, tuple(g.name for g in groupings))
    template = Template(tuple(g.free for g in groupings))
    criterion = Criterion(products, responses, plan, template, reml)
    optimum = minimise(criterion, moments(products, responses, template))
    check_identified(optimum.evaluation, groupings)
    model = LinearMixedModel(
        frame=frame, basis=basis, optimum=optimum, df_method=df, conf_level=conf_level
    )
    return result(model)
