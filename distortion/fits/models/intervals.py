"""Intervals of all parameters of a linear mixed model, by profile likelihood or bootstrap."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from distortion.errors import FitError, did_you_mean
from distortion.fits.mixed.profile import Profile
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.parameters import variance_parameters
from distortion.fits.models.replicates import simulated

if TYPE_CHECKING:
    from distortion.fits.models.linearmixed import LinearMixedModel
    from distortion.fits.results.arguments import Seed


def confint(model: "LinearMixedModel", method: str, level: float, **options: Any) -> pl.DataFrame:
    """Return intervals by `profile` or `bootstrap`, with their options."""
    known: dict[str, Callable[..., pl.DataFrame]] = {"profile": profile, "bootstrap": bootstrap}
    if method not in known:
        raise FitError(f"No intervals are {method!r}. {did_you_mean(method, [*known, 'wald'])}")
    return known[method](model, level, **options)


def profile(
    model: "LinearMixedModel", level: float, *, terms: Sequence[str] | None = None
) -> pl.DataFrame:
    """Profile-likelihood intervals: term, estimate, conf_low, conf_high.

    Fixed effects, then SDs and correlations as `parameters` names them. A bound at the edge of
    what is possible (SD 0, correlation ±1) means that the deviance does not exclude the edge.

    Parameters
    ----------
    terms : only these; all by default

    Raises
    ------
    FitError
        A term is unknown, or a profile cannot be followed.

    Notes
    -----
    The deviance is that of maximum likelihood for REML fits too, as in lme4. `estimate` is the
    fit's own, so it need not be in the middle.
    """
    values = _estimates(model)
    wanted = list(values) if terms is None else list(terms)
    for term in wanted:
        if term not in values:
            raise FitError(f"No parameter is called {term!r}. {did_you_mean(term, values)}")
    z = float(-ndtri((1 - level) / 2))
    parameters = {p.name: p for p in variance_parameters(model.frame.groupings)}
    kept = model.basis.kept
    rows, center = model.basis.transform[kept], model.basis.center[kept]
    ends = []
    with single_thread():
        profiles = Profile(model.evaluation)
        for term in wanted:
            if term in parameters:
                p = parameters[term]
                if p.kind == "residual":
                    ends.append(profiles.sigma(z))
                elif p.kind == "sd":
                    ends.append(profiles.sd(p.k, p.i, z))
                else:
                    ends.append(profiles.correlation(p.k, p.i, p.j, z))
            else:
                j = model.names.index(term)
                low, high = profiles.coefficient(rows[j], z)
                ends.append((low + center[j], high + center[j]))
    return _table(wanted, values, np.array(ends))


def bootstrap(
    model: "LinearMixedModel", level: float, *, n: int = 1000, rng: "Seed"
) -> pl.DataFrame:
    """Percentile intervals of a parametric bootstrap: term, estimate, conf_low, conf_high, failed.

    Parameters
    ----------
    n : replicates
    rng : generator or seed

    `failed` counts the replicates that found no optimum, or, for a correlation, in which one of
    its coefficients does not vary; they are left out.

    Raises
    ------
    FitError
        `n` is too small for `level`, or no replicate found an optimum.
    """
    if n * (1 - level) / 2 < 1:
        raise FitError(
            f"{n} replicates have no {(1 - level) / 2:.3g} quantile: ask for at least "
            f"{int(np.ceil(2 / (1 - level)))}, better 1,000."
        )
    values = _estimates(model)
    drawn = simulated(model, n, np.random.default_rng(rng))
    good = drawn.filter(pl.col("converged"))
    ends, failed = [], []
    for term in values:
        column = good[term].to_numpy()
        column = column[np.isfinite(column)]
        failed.append(n - len(column))
        if not len(column):
            raise FitError(f"No replicate of {n} has a value of {term}: simplify the random terms.")
        ends.append(np.quantile(column, [(1 - level) / 2, (1 + level) / 2]))
    return _table(list(values), values, np.array(ends)).with_columns(failed=pl.Series(failed))


def _estimates(model: "LinearMixedModel") -> dict[str, float]:
    evaluation = model.evaluation
    sigma = np.asarray(evaluation.sigma)
    covariances = [sigma**2 * factor @ factor.T for factor in evaluation.factor.factors]
    values = {name: float(beta) for name, beta in zip(model.names, model.beta, strict=True)}
    for parameter in variance_parameters(model.frame.groupings):
        values[parameter.name] = float(parameter.value(covariances, sigma))
    return values


def _table(terms: list[str], values: dict[str, float], ends: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "term": terms,
            "estimate": [values[term] for term in terms],
            "conf_low": ends[:, 0],
            "conf_high": ends[:, 1],
        }
    )
