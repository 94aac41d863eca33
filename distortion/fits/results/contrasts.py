"""Tests and intervals of linear combinations of the fixed effects, one by one or jointly.

    t = (l'β − c) / √(l'Vl)          F = (Lβ − c)' (L V L')⁻¹ (Lβ − c) / k

β, V are coefficients (p,) and covariance (p, p) of a fit; the model gives the denominator degrees
of freedom of each test.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, ndtri

from distortion.corrections import bonferroni, holm
from distortion.errors import FitError
from distortion.fits.results.distributions import f_tail, half_width, tidy
from distortion.fits.results.equations import Spec, hypotheses

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

__all__ = ["Adjustment", "Spec", "contrast", "joint_test", "single_step"]

Values = NDArray[np.float64]
Adjustment = Literal["none", "bonferroni", "holm", "single-step"]
# Relative size below which a singular value of L, or a variance of L β, is rounding error.
NEGLIGIBLE: Final = 1e-10
LOG2_DIRECTIONS: Final = 15
SHIFT_SEED: Final = 1


def contrast(
    fit: "Fit", spec: Spec, null: float | Sequence[float], adjust: Adjustment, level: float
) -> pl.DataFrame:
    """The columns of `Fit.estimates` and `null`, one row per combination; see `Fit.contrast`."""
    asked = hypotheses(spec, fit.names, null)
    estimate = asked.L @ fit.coefficients
    variance = np.einsum("ij,jk,ik->i", asked.L, fit.covariance, asked.L)
    scale = np.einsum("ij,j,ij->i", asked.L, np.abs(np.diagonal(fit.covariance)), asked.L)
    error = np.sqrt(np.where(variance > NEGLIGIBLE**2 * scale, variance, np.nan))
    df = np.array([fit.model.test_df(row[None, :]) if row.any() else np.nan for row in asked.L])
    rows = tidy(asked.labels, estimate, error, df, level, asked.null)
    rows = rows.with_columns(pl.Series("null", asked.null))
    if adjust == "none":
        return rows
    p, m = rows["p_value"].to_numpy(), len(rows)
    if adjust == "single-step":
        correlation = asked.L @ fit.covariance @ asked.L.T / np.outer(error, error)
        p, critical = single_step(rows["statistic"].to_numpy(), correlation, df.min(), level)
        half = critical * error
    elif adjust in ("bonferroni", "holm"):
        p = bonferroni(p) if adjust == "bonferroni" else holm(p)
        half = half_width(1 - (1 - level) / m, df) * error
    else:
        raise FitError(f"{adjust!r} is no adjustment. Known: none, bonferroni, holm, single-step.")
    return rows.with_columns(p_value=p, conf_low=estimate - half, conf_high=estimate + half)


def joint_test(fit: "Fit", spec: Spec, null: float | Sequence[float] = 0.0) -> pl.DataFrame:
    """One row: term, df_num, df_den, statistic, p_value; see `Fit.joint_test`.

    Combinations that follow from the others are left out of `df_num`.
    """
    asked = hypotheses(spec, fit.names, null)
    return f_test(fit, ", ".join(asked.labels), asked.L, asked.null)


def f_test(fit: "Fit", term: str, L: Values, null: Values) -> pl.DataFrame:
    """F test of L β = null, L (k, p) of any rank, as one row."""
    size = np.linalg.norm(L, axis=1, keepdims=True)
    if not size.all():
        raise FitError(f"{term}: a combination without coefficients cannot be tested.")
    u, d, vt = np.linalg.svd(L / size, full_matrices=False)
    rank = int((d > NEGLIGIBLE * d[0]).sum())
    target = u.T @ (null / size[:, 0])
    if np.abs(target[rank:]).max(initial=0.0) > 1e-8 * max(1.0, np.abs(target).max()):
        raise FitError(f"{term}: the null values contradict each other.")
    L, target = vt[:rank], target[:rank] / d[:rank]
    covariance = L @ fit.covariance @ L.T
    scale = np.sqrt(np.abs(np.diagonal(covariance)))
    if not (scale > 0).all() or not np.isfinite(covariance).all():
        raise FitError(f"{term}: has no standard error, so there is no test.")
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    known = int((values > NEGLIGIBLE * values[-1]).sum())
    if known < rank:
        raise FitError(
            f"{term}: {rank} restrictions cannot be tested jointly, because the covariance "
            f"({fit.covariance_type}) of their estimates has rank {known}: it rests on fewer "
            "independent units. Test fewer at once."
        )
    z = vectors.T @ ((L @ fit.coefficients - target) / scale)
    df = fit.model.test_df(L)
    statistic = float(fit.model.f_scale(L) * np.sum(z**2 / values) / rank)
    return pl.DataFrame(
        {
            "term": [term],
            "df_num": [float(rank)],
            "df_den": [df],
            "statistic": [statistic],
            "p_value": [f_tail(statistic, rank, df)],
        }
    )


def single_step(
    statistic: Values, correlation: Values, df: float, level: float
) -> tuple[Values, float]:
    """p-values (m,) and critical value of max |T|, T multivariate t (Hothorn et al. 2008).

    All tests have the smallest of their degrees of freedom, which is conservative. T = ρ A u with
    correlation A A', u uniform on the sphere in r dimensions and ρ²/r ~ F(r, df): the radius is
    integrated exactly, the direction by a fixed quasi-random sequence. So singular correlations
    (all pairs of means) are no special case, and small p-values keep their relative accuracy.
    """
    if not np.isfinite(statistic).all() or not df > 0:
        raise FitError("A single-step adjustment needs a standard error for every combination.")
    values, vectors = np.linalg.eigh(correlation)
    kept = values > NEGLIGIBLE * values[-1]
    r = int(kept.sum())
    reach = _largest_projections(vectors[:, kept] * np.sqrt(values[kept]))

    def tail(t: float) -> float:
        radius = t * t / (r * reach * reach)
        return float(chdtrc(r, r * radius).mean() if np.isinf(df) else fdtrc(r, df, radius).mean())

    from scipy.optimize import brentq

    p = np.array([min(1.0, tail(t)) for t in np.abs(statistic)])
    low = float(half_width(level, df))
    high = 1.01 * float(half_width(1 - (1 - level) / len(statistic), df))
    alone = len(statistic) == 1 or tail(low) <= 1 - level
    return p, low if alone else float(brentq(lambda t: tail(t) - 1 + level, low, high))


def _largest_projections(A: Values) -> Values:
    """Largest |A u| (n,) over the rows of A (m, r), for n directions u spread evenly."""
    # scipy.stats takes most of a second to import, and this is all that is needed of it.
    from scipy.stats.qmc import Sobol

    m, r = A.shape
    if r == 1:
        return np.array([np.abs(A).max()])
    points = Sobol(r, scramble=False).random_base2(LOG2_DIRECTIONS)
    # The sequence starts at 0, where the normal quantile is infinite; any shift is as uniform.
    points = (points + np.random.default_rng(SHIFT_SEED).random(r)) % 1.0
    z = ndtri(points)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return np.concatenate(
        [np.abs(part @ A.T).max(axis=1) for part in np.array_split(z, max(1, m // 16))]
    )
