"""Likelihood-ratio tests of nested fits, and information criteria of any fits to the same data.

    LR = 2 (loglik of the larger − loglik of the smaller model)

A variance is tested at its boundary, zero, where LR is not χ². With one variance and any number
of other parameters, k in all, LR is ½ χ²(k−1) + ½ χ²(k) (Self & Liang 1987, Stram & Lee 1994).
With several variances the weights depend on the design: χ²(k) is then an upper bound of the
p-value, and `simulations` gives the distribution itself.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from distortion.errors import FitError
from distortion.fits.results.arguments import Seed, count, generator
from distortion.fits.results.distributions import chi2_tail
from distortion.fits.results.nesting import Restrictions, check_same_data, restrictions, same_fixed
from distortion.fits.results.result import Fit

# Numbers in one block of simulated responses: 80 MB.
BLOCK: Final = 10_000_000
# A larger model may fall short of a smaller one by the tolerance of two optimizers.
SHORTFALL: Final = 1e-4


def compare(*fits: Fit, simulations: int = 0, rng: Seed | None = None) -> pl.DataFrame:
    """Test each fit against the next smaller one by the likelihood ratio.

    Parameters
    ----------
    fits : two or more, nested in each other, fitted to the same rows
    simulations : if positive, the null distribution is simulated from the smaller model by so
        many refits of both (a parametric bootstrap)
    rng : generator or seed of the simulations

    Returns
    -------
    One row per fit, smallest first: formula, estimator, n_parameters, loglik, aic, bic, statistic
    (the likelihood ratio), df (parameters tested), p_value, null_distribution and note.

    Raises
    ------
    FitError
        If rows or response differ, one model is not a special case of the next, REML
        fits have different fixed effects, or a fit has no likelihood.
    """
    ordered = _comparable(fits)
    simulations = count("simulations", simulations, least=0)
    random = generator(rng) if simulations else None
    tests = [_test(a, b, simulations, random) for a, b in pairwise(ordered)]
    blank = {"statistic": None, "df": None, "p_value": None, "null_distribution": "", "note": ""}
    schema = {"statistic": pl.Float64, "df": pl.Int64, "p_value": pl.Float64}
    tested = pl.DataFrame([blank, *tests], schema_overrides=schema)
    return pl.concat([_described(ordered), tested], how="horizontal")


def information_criteria(*fits: Fit) -> pl.DataFrame:
    """Rank fits to the same data, nested or not, by Akaike's and Schwarz' criteria.

    Returns
    -------
    One row per fit, smallest AIC first: formula, estimator, n_parameters, loglik, aic, bic,
    delta_aic and weight (Akaike weight; the weights sum to 1).

    Raises
    ------
    FitError
        As `compare`, but for nesting.
    """
    table = _described(_comparable(fits)).with_columns(
        delta_aic=pl.col("aic") - pl.col("aic").min()
    )
    relative = (-pl.col("delta_aic") / 2).exp()
    return table.with_columns(weight=relative / relative.sum()).sort("aic", maintain_order=True)


def _described(fits: Sequence[Fit]) -> pl.DataFrame:
    names = ("formula", "estimator", "n_parameters", "loglik", "aic", "bic")
    return pl.DataFrame({name: [getattr(fit, name) for fit in fits] for name in names})


def _comparable(fits: Sequence[Fit]) -> list[Fit]:
    """The fits by number of parameters, if their likelihoods are of the same data and kind."""
    for fit in fits:
        if not isinstance(fit, Fit):
            raise FitError(
                f"Fits are compared, not {fit!r} ({type(fit).__name__}): give what fit_ols, "
                "fit_lmm and so on return."
            )
    if len(fits) < 2:
        raise FitError("A comparison needs at least two fits.")
    ordered = sorted(fits, key=lambda fit: fit.n_parameters)
    first = ordered[0]
    for fit in ordered:
        if not np.isfinite(fit.loglik):
            raise FitError(f"{fit.formula}: {fit.estimator} maximises no likelihood to compare.")
        if "clustered" in fit.covariance_type:
            raise FitError(
                f"{fit.formula}: with errors {fit.covariance_type} its likelihood, which takes the "
                "rows as independent, gives no test. Use fit.joint_test of the added terms, or "
                "fit_lmm."
            )
    for fit in ordered[1:]:
        if (fit.family, fit.link) != (first.family, first.link):
            raise FitError(
                f"The fits have different families: {first.family} ({first.link}) and "
                f"{fit.family} ({fit.link})."
            )
        _check_estimators(first, fit)
        check_same_data(first, fit)
    return ordered


def _check_estimators(one: Fit, other: Fit) -> None:
    reml = [fit.estimator == "REML" for fit in (one, other)]
    if all(reml) and not same_fixed(one, other):
        raise FitError(
            "REML criteria of models with different fixed effects are not comparable: they are of "
            'different projections of the data. Refit both with method="ml".'
        )
    if any(reml) and not all(reml):
        raise FitError(
            "One fit maximises the likelihood and the other the restricted likelihood. Refit with "
            'method="ml".'
        )
    if "glmm" in (one.kind, other.kind) and one.estimator != other.estimator:
        raise FitError(
            f"{one.estimator} and {other.estimator} approximate the likelihood differently, so "
            "that a difference may come from the approximation. Refit both in the same way."
        )


def _test(
    small: Fit, large: Fit, simulations: int, rng: np.random.Generator | None
) -> dict[str, object]:
    if small.n_parameters == large.n_parameters:
        raise FitError(
            f"{small.formula} and {large.formula} have equally many parameters, so neither is a "
            "special case of the other. distortion.information_criteria compares them."
        )
    added = restrictions(small, large)
    if added.total != large.n_parameters - small.n_parameters:
        raise FitError(
            f"{large.formula} ({large.kind}) has {large.n_parameters - small.n_parameters} more "
            f"parameters than {small.formula} ({small.kind}), but their terms differ by "
            f"{added.total}: fixed effects of a panel are counted in one of them only. Compare "
            "panels with the same effects, or write the effects into both formulas."
        )
    statistic = 2 * (large.loglik - small.loglik)
    if statistic < -SHORTFALL * max(1.0, abs(small.loglik) * 1e-4):
        raise FitError(
            f"{large.formula} fits worse than its special case {small.formula} (log-likelihood "
            f"lower by {-statistic / 2:.3g}): its optimizer stopped early. See fit.trace."
        )
    statistic = max(0.0, statistic)
    p_value, distribution = null_tail(statistic, added)
    notes = []
    if rng is not None:
        p_value = _simulated(small, large, statistic, simulations, rng)
        distribution = f"{simulations:,} simulations of the smaller model"
    elif added.variances > 1:
        notes.append(f"{added.variances} variances at their boundary: p is an upper bound")
    if not all(fit.covariance_type in ("model", "nonrobust") for fit in (small, large)):
        notes.append("the likelihood takes errors as independent with one variance")
    if not (small.converged and large.converged):
        notes.append("a fit did not converge")
    return {
        "statistic": statistic,
        "df": added.total,
        "p_value": p_value,
        "null_distribution": distribution,
        "note": "; ".join(notes),
    }


def null_tail(statistic: float, added: Restrictions) -> tuple[float, str]:
    """p-value of a likelihood ratio, and its null distribution in words."""
    k = added.total
    if added.variances == 1:
        tails = chi2_tail(statistic, k - 1) + chi2_tail(statistic, k)
        return tails / 2, f"½ χ²({k - 1}) + ½ χ²({k})"
    return chi2_tail(statistic, k), f"χ²({k})"


def _simulated(small: Fit, large: Fit, statistic: float, n: int, rng: np.random.Generator) -> float:
    """(1 + number of simulated ratios at least as large) / (1 + n); Davison & Hinkley 1997."""
    size = max(1, BLOCK // small.n_obs)
    reached = 0
    for start in range(0, n, size):
        for y in small.simulate(rng, min(size, n - start)).T:
            ratio = 2 * (large.refit(y).loglik - small.refit(y).loglik)
            reached += ratio >= statistic - SHORTFALL
    return (1 + reached) / (1 + n)
