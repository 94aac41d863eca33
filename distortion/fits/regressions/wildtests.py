"""Tests and intervals of a fitted regression by the wild cluster bootstrap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.regressions import wild
from distortion.fits.regressions.clusters import Clustering
from distortion.fits.regressions.leastsquares import gather
from distortion.fits.regressions.wild import WildWeights
from distortion.fits.results.distributions import tidy
from distortion.fits.results.equations import Hypotheses, Spec, hypotheses

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

__all__ = ["WildWeights", "wild_rows", "wild_test"]

Values = NDArray[np.float64]
# With fewer clusters, two-point weights have too few values of t* (Webb 2023).
ENOUGH_FOR_RADEMACHER: Final = 12


def wild_test(
    fit: "Fit",
    spec: Spec,
    *,
    null: float | Sequence[float] = 0.0,
    draws: int = 9999,
    weights: WildWeights | None = None,
    rng: np.random.Generator | int | None = None,
    level: float | None = None,
) -> pl.DataFrame:
    """Test linear combinations of the coefficients of `fit_ols(..., cluster=)`.

    Parameters
    ----------
    fit : clustered in one way
    spec, null : as in `Fit.contrast`
    draws, weights, rng : as in `fit_ols`

    Returns
    -------
    The columns of `Fit.estimates` and `null`; p-values and intervals are the bootstrap's.

    Raises
    ------
    FitError
        The fit is not a regression clustered in one way, or random draws have no generator.
    """
    asked = hypotheses(spec, fit.names, null)
    level = fit.conf_level if level is None else level
    return wild_rows(fit, asked, draws, weights, rng, level)[0]


def wild_rows(
    fit: "Fit",
    asked: Hypotheses,
    draws: int,
    weights: WildWeights | None,
    rng: np.random.Generator | int | None,
    level: float,
) -> tuple[pl.DataFrame, str]:
    """As `wild_test`, and how it was done in a sentence."""
    way = one_clustering(fit)
    if draws < 1:
        raise FitError(f"A bootstrap needs at least one draw, not {draws}.")
    if weights is None:
        weights = "rademacher" if way.size >= ENOUGH_FOR_RADEMACHER else "webb"
    elif weights not in wild.POINTS:
        raise FitError(f"{weights!r} are no wild weights. Known: {', '.join(wild.POINTS)}.")
    enumerated = wild.n_enumerated(way.size, weights) <= draws
    if rng is None and not enumerated:
        raise FitError(
            f"The wild bootstrap draws {draws:,} times at random: give it a generator or a seed, "
            "rng=1."
        )
    X, residuals, A = weighted_parts(fit)
    generator = None if enumerated else np.random.default_rng(rng)
    p, low, high = [], [], []
    for row, null in zip(asked.L, asked.null, strict=True):
        found = wild.scores(X, residuals, way.codes, way.size, A, fit.coefficients, row)
        drawn = wild.draw(found, weights, draws, generator)
        p.append(wild.p_value(found, drawn, float(null)))
        bounds = wild.interval(found, drawn, level)
        low.append(bounds[0])
        high.append(bounds[1])
    error = np.sqrt(np.einsum("ij,jk,ik->i", asked.L, fit.covariance, asked.L))
    rows = tidy(asked.labels, asked.L @ fit.coefficients, error, fit.df.min(), level, asked.null)
    rows = rows.with_columns(
        p_value=np.array(p), conf_low=np.array(low), conf_high=np.array(high), null=asked.null
    )
    number = wild.n_enumerated(way.size, weights) if enumerated else draws
    how = "all " if enumerated else ""
    note = (
        f"p-values and intervals are of the wild cluster bootstrap: null imposed, {weights} "
        f"weights, {how}{number:,} draws over {way.size} clusters of {way.name}. Contrasts and "
        "joint tests use t and F."
    )
    return rows, note


def one_clustering(fit: "Fit") -> Clustering:
    """The only clustering of a regression, or FitError."""
    settings = getattr(fit.model, "settings", None)
    ways: tuple[Clustering, ...] = getattr(settings, "clusters", ())
    if len(ways) != 1:
        raise FitError(
            "The wild cluster bootstrap is of a regression clustered in one way: "
            'fit_ols(..., cluster="network").'
        )
    return ways[0]


def weighted_parts(fit: "Fit") -> tuple[Values, Values, Values]:
    """X (n, p) and residuals (n,), times the roots of the weights, and (X'X)⁻¹ (p, p)."""
    columns = [fit.model.frame.fixed_names.index(name) for name in fit.names]
    arrays = gather(fit.model.frame, columns).weighted()
    scale = np.linalg.norm(arrays.X, axis=0)
    scaled = arrays.X.T @ arrays.X / np.outer(scale, scale)
    A = np.linalg.inv(scaled) / np.outer(scale, scale)
    return arrays.X, arrays.y - arrays.X @ fit.coefficients, A


def resampled_coefficients(fit: "Fit", n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Coefficients of `n` samples, a row each: wild by cluster or row, else normal errors.

    Errors are residuals times Rademacher weights of their cluster (of their row under HC0 to HC3),
    or normal with the residual variance where the covariance is not robust. X stays as it is.
    """
    X, residuals, A = weighted_parts(fit)
    if fit.covariance_type == "nonrobust":
        steps = rng.standard_normal((n, len(A))) @ np.linalg.cholesky(A).T
        return _named(fit, steps * (fit.sigma or 0.0))
    if "clustered" in fit.covariance_type:
        way = one_clustering(fit)
        S = wild.sums_by_code(X, residuals, way.codes, way.size)
    else:
        S = X * residuals[:, None]
    size = max(1, wild.BLOCK // len(S))
    parts = [
        rng.choice([-1.0, 1.0], (min(size, n - start), len(S))) @ S for start in range(0, n, size)
    ]
    return _named(fit, np.concatenate(parts) @ A)


def _named(fit: "Fit", steps: Values) -> pl.DataFrame:
    return pl.DataFrame(fit.coefficients + steps, schema=list(fit.names))
