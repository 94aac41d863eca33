"""The tidy result of a generalised linear mixed model, and what is said beside it."""

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from distortion.fits.laplace.dispersion import Dispersion, dispersion, without_shape
from distortion.fits.laplace.family import Array
from distortion.fits.models.components import singular_notes, variance_table
from distortion.fits.results.rendering import fixed, p_value, significant
from distortion.fits.results.result import Fit

if TYPE_CHECKING:
    from distortion.fits.models.generalized import GeneralizedLinearMixedModel

LEVEL: Final = 0.05


def result(model: "GeneralizedLinearMixedModel", *, test_dispersion: bool) -> Fit:
    """Return the tidy result; `test_dispersion` may take another fit."""
    found, frame, problem = model.estimate, model.frame, model.problem
    singular = singular_notes(frame.groupings, model.factors, model.lengths)
    notes = [*frame.notes, *singular, *found.notes]
    dropped = [
        name
        for name, kept in zip(frame.fixed_names, model.design.basis.kept, strict=True)
        if not kept
    ]
    if dropped:
        notes.append(
            f"Left out, because earlier columns already determine them: {', '.join(dropped)}."
        )
    if model.family.shaped:
        notes.append(_shape_note(model.shape))
    if test_dispersion:
        notes += _dispersion_notes(model)
    if not found.converged:
        notes.append(
            "The optimizer did not reach an optimum; do not use these numbers. Rescale the "
            "covariates or simplify the random terms; the trace shows where it stopped."
        )
    value = found.evaluation.value
    nodes = model.n_quadrature
    return Fit(
        kind="glmm",
        formula=frame.formula.text,
        estimator="Laplace" if nodes == 1 else f"adaptive Gauss–Hermite ({nodes} nodes)",
        df_method="asymptotic",
        covariance_type="model",
        names=model.names,
        coefficients=model.beta,
        covariance=model.covariance,
        df=np.full(problem.p, np.inf),
        model=model,
        loglik=-value / 2.0,
        n_parameters=len(found.evaluation.point),
        n_obs=frame.n_obs,
        criterion=value,
        theta=model.theta,
        variances=variance_table(frame.groupings, [f @ f.T for f in model.factors], None),
        groups={grouping.name: grouping.levels.height for grouping in frame.groupings},
        converged=found.converged,
        singular=bool(singular),
        notes=tuple(notes),
        trace=_trace(model),
        conf_level=model.conf_level,
        family=model.family.name,
        link=model.family.link.name,
        # that of Poisson counts takes another fit: `Fit.icc` makes it when asked
        r_squared=model.explained().r_squared if model.family.name == "binomial" else {},
    )


def _trace(model: "GeneralizedLinearMixedModel") -> pl.DataFrame:
    m, p, basis = model.problem.m, model.problem.p, model.design.basis

    def split(stage: str, point: Array) -> tuple[Array, Array]:
        beta = point[m : m + p] if len(point) >= m + p else point[:0]
        theta = np.concatenate([point[:m], point[m + len(beta) :]])
        return theta, basis.coefficients(beta) if len(beta) else beta

    return model.estimate.trace.table(split)


def _shape_note(shape: float) -> str:
    if shape < 1e-4:
        return (
            "Singular fit: the counts vary no more than binomial ones, so the beta-binomial is the "
            'binomial. Use family="binomial".'
        )
    precision = shape**-2.0
    return (
        f"Beta-binomial: precision φ = {significant(precision)}; two trials of one row correlate "
        f"by ρ = 1/(1 + φ) = {significant(1.0 / (1.0 + precision))}."
    )


def _dispersion_notes(model: "GeneralizedLinearMixedModel") -> list[str]:
    family, counts = model.family, model.design.counts
    if model.problem.family.shaped:
        statistic, p = without_shape(model.estimate.laplace)
        return [
            f"Overdispersion: without it −2 log-likelihood would be {fixed(statistic, 2)} higher "
            f"(likelihood-ratio test at the boundary, p {_equals(p)})."
        ]
    if family.name == "binomial" and (counts.trials is None or counts.trials.max() <= 1.0):
        return []
    return [_dispersion_note(dispersion(model.estimate.laplace), family.name)]


def _dispersion_note(found: Dispersion, family: str) -> str:
    over = min(p for p in (found.p_value, found.pearson_p, 1.0) if not np.isnan(p)) < LEVEL
    text = (
        f"{'Overdispersion' if over else 'No sign of overdispersion'}: Pearson χ² = "
        f"{significant(found.chi2)} on {found.df:,} df"
    )
    if found.df > 0:
        text += f", ratio {fixed(found.chi2 / found.df, 2)} (p {_equals(found.pearson_p)})"
    if np.isnan(found.statistic):
        return f"{text}; the model with a random effect of every row could not be fitted."
    text += (
        f"; a random effect of every row would have SD {significant(found.sd, 3)} (likelihood "
        f"ratio {fixed(found.statistic, 2)}, ½ χ²(0) + ½ χ²(1), p {_equals(found.p_value)})."
    )
    if found.p_value >= LEVEL:
        return text
    other = 'family="beta-binomial"' if family == "binomial" else "a term for what was left out"
    return f"{text} Standard errors are too small: add (1 | row), one level per row, or {other}."


def _equals(p: float) -> str:
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
