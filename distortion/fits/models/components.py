"""Variance components of a mixed model as a table, and what is said of zeros among them."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.grouping import Grouping
from distortion.fits.mixed.criterion import Evaluation
from distortion.fits.mixed.products import Products, Responses

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
# A residual sum of squares below this share of y'y is rounding error.
EXPLAINED = 1e-26
# Average information in natural units is of the order of the number of levels; this is none.
FLAT = 1e-9
# Smallest eigenvalue of the covariates' moments, with unit diagonal, below which one is redundant.
COLLINEAR = 1e-13


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
    for j in range(len(sd)):
        for i in range(j):
            if grouping.free[j, i]:
                product = sd[i] * sd[j]
                yield (i, j), float(covariance[i, j] / product) if product > 0 else float("nan")


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
                f"estimated as zero. The data show no such variation; the fixed effects are "
                f"those of a model without it."
            )
        else:
            notes.append(
                f"Singular fit: the random coefficients of {grouping.name} are estimated as "
                f"perfectly correlated. The data do not support all of its covariances; simplify "
                f"the term, for example with ||."
            )
    return tuple(notes)


def check_residual(responses: Responses, total: float) -> None:
    """Refuse a response that the fixed effects explain but for rounding error.

    Parameters
    ----------
    responses : cross-products of what the fixed effects leave of y
    total : y'y
    """
    if responses.yy.item() <= EXPLAINED * total:
        raise FitError(
            "The fixed effects explain the response without a residual: nothing is left for "
            "variances. Leave out terms, or use another response."
        )


def check_covariates(products: Products, groupings: Sequence[Grouping]) -> None:
    """Refuse random coefficients whose covariates are zero or determine each other.

    Raises
    ------
    FitError
        Names the grouping factor and its covariates.
    """
    for grouping, diag in zip(groupings, products.diag, strict=True):
        moments = diag.sum(axis=0)
        length = np.sqrt(np.diagonal(moments))
        zero = np.array(grouping.covariates)[length == 0]
        if len(zero):
            raise FitError(
                f"{zero[0]} is zero in every row, so that its variance between levels of "
                f"{grouping.name} is not defined. Drop the term."
            )
        if np.linalg.eigvalsh(moments / np.outer(length, length))[0] < COLLINEAR:
            raise FitError(
                f"The random coefficients {', '.join(grouping.covariates)} of {grouping.name} have "
                f"covariates that determine each other: the rows cannot tell their variances "
                f"apart. Drop one of them."
            )


def check_identified(evaluation: Evaluation, groupings: Sequence[Grouping]) -> None:
    """Refuse variances that the rows hold no information about.

    At an optimum where no variance is zero, a direction in which the criterion is flat is one that
    the design leaves open: a random term that repeats fixed effects, or another random term.

    Raises
    ------
    FitError
        Names the random coefficients of that direction.
    """
    criterion = evaluation.criterion
    natural = evaluation.information * np.outer(criterion.scale, criterion.scale)
    values, vectors = np.linalg.eigh(natural)
    if values[0] > FLAT * max(1.0, values[-1]):
        return
    lengths = criterion.products.lengths
    weights = np.abs(vectors[:, 0])
    found = {}
    for weight, (k, row, _) in zip(weights, criterion.template.positions, strict=True):
        if weight > 1e-3 * weights.max():
            found[k, row] = f"{groupings[k].covariates[row]} of {groupings[k].name}"
    for k in {k for k, _ in found}:
        scaled = lengths[k][:, None] * evaluation.factor.factors[k]
        if np.linalg.svd(scaled, compute_uv=False)[-1] < ZERO:
            return  # a zero among the variances, which has a note of its own
    raise FitError(
        f"The rows cannot tell the variance of {' and '.join(found.values())} from "
        f"{'each other' if len(found) > 1 else 'the fixed effects'}: infinitely many values fit "
        f"equally well. Drop {'one of these terms' if len(found) > 1 else 'this random term'}."
    )
