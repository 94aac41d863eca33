"""Variance components of a mixed model as a table, and what is said of zeros among them."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.fits.formulas.grouping import Grouping

Values = NDArray[np.float64]
SCHEMA = {
    "group": pl.String,
    "term": pl.String,
    "variance": pl.Float64,
    "sd": pl.Float64,
    "correlation": pl.Float64,
}
# A random coefficient that adds less than this share of the residual SD to a typical row is zero.
ZERO = 1e-3


def variance_table(
    groupings: Sequence[Grouping], covariances: Sequence[Values], sigma: float | None
) -> pl.DataFrame:
    """Return group, term, variance, sd, correlation: one row per random coefficient.

    Parameters
    ----------
    covariances : per grouping (r, r), in units of y
    sigma : residual SD, for the last row; None for models without one

    The correlation of a pair stands in the row of the second coefficient where a grouping has two,
    and in a row of its own, "a, b", where it has more. Uncorrelated ones (`||`) have none.
    """
    rows: list[tuple[str, str | None, float | None, float | None, float | None]] = []
    for grouping, covariance in zip(groupings, covariances, strict=True):
        names = grouping.covariates
        pairs = list(_correlations(grouping, covariance))
        beside = dict(pairs) if len(names) == 2 else {}
        for i, name in enumerate(names):
            variance = float(covariance[i, i])
            rows.append((grouping.name, name, variance, variance**0.5, beside.get((0, i))))
        if len(names) > 2:
            for (i, j), correlation in pairs:
                rows.append((grouping.name, f"{names[i]}, {names[j]}", None, None, correlation))
    if sigma is not None:
        rows.append(("Residual", None, sigma**2, sigma, None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _correlations(
    grouping: Grouping, covariance: Values
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield the correlation of every pair of coefficients that may be correlated."""
    sd = np.sqrt(np.diagonal(covariance))
    for j, i in np.argwhere(np.tril(grouping.free, -1)):
        product = sd[i] * sd[j]
        yield (int(i), int(j)), float(covariance[i, j] / product) if product > 0 else float("nan")


def singular_notes(
    groupings: Sequence[Grouping], factors: Sequence[Values], lengths: Sequence[Values]
) -> tuple[str, ...]:
    """Return one sentence per grouping whose covariance is singular, none where all is well.

    Parameters
    ----------
    factors : per grouping (r, r), relative to the residual SD
    lengths : per grouping (r,), root mean square of each covariate over the rows
    """
    notes = []
    for grouping, factor, length in zip(groupings, factors, lengths, strict=True):
        scaled = length[:, None] * factor
        if np.linalg.svd(scaled, compute_uv=False)[-1] >= ZERO:
            continue
        zero = np.linalg.norm(scaled, axis=1) < ZERO
        if zero.any():
            named = ", ".join(np.array(grouping.covariates)[zero])
            notes.append(
                f"Singular fit: the variance of {named} between levels of {grouping.name} is "
                f"estimated as zero. The data show no such variation beyond the residual; the "
                f"fixed effects are those of a model without it."
            )
        else:
            notes.append(
                f"Singular fit: the random coefficients of {grouping.name} are estimated as "
                f"perfectly correlated. The data do not support all of its covariances; simplify "
                f"the term, for example with ||."
            )
    return tuple(notes)
