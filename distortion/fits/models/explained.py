"""How much of the variance of a response a mixed model explains, and where it is.

    fixed      variance over the rows of Xβ
    random     mean over the rows of z'Σz, per grouping factor
    residual   σ², or the variance of the distribution in a generalised model

    marginal R² = fixed / total,  conditional R² = (fixed + random) / total
    ICC = random / (random + residual), adjusted for the fixed effects;  unadjusted: / total

Source: Nakagawa and Schielzeth (2013), Methods Ecol. Evol. 4, 133; random slopes: Johnson (2014),
Methods Ecol. Evol. 5, 944. A variance of zero is a share of zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distortion.fits.models.linearmixed import LinearMixedModel

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """Variances of a response: of the fixed part, per grouping factor, and what remains."""

    fixed: float
    random: Mapping[str, float]
    residual: float

    @property
    def total(self) -> float:
        """All variances."""
        return self.fixed + sum(self.random.values()) + self.residual

    @property
    def r_squared(self) -> dict[str, float]:
        """R² by name: "marginal" and "conditional"."""
        return {
            "marginal": self.fixed / self.total,
            "conditional": 1.0 - self.residual / self.total,
        }

    @property
    def icc(self) -> pl.DataFrame:
        """Group, variance, icc, icc_unadjusted: one row per grouping factor and one for "All"."""
        random = {**self.random, "All": sum(self.random.values())}
        variance = np.array(list(random.values()))
        return pl.DataFrame(
            {
                "group": list(random),
                "variance": variance,
                "icc": variance / (random["All"] + self.residual),
                "icc_unadjusted": variance / self.total,
            }
        )


def of_linear(model: "LinearMixedModel") -> Explained:
    """Return the variances of a linear mixed model, from its cross-products where they suffice."""
    evaluation, frame = model.evaluation, model.frame
    covariances = [evaluation.sigma**2 * factor @ factor.T for factor in evaluation.factor.factors]
    fixed = None if frame.weights is not None else _fixed(model)
    if fixed is None:
        fixed, squares = _by_rows(model)
    else:
        products = evaluation.criterion.products
        squares = [diag.sum(axis=0) / products.n for diag in products.diag]
    random = {
        grouping.name: float((covariance * square).sum())
        for grouping, covariance, square in zip(frame.groupings, covariances, squares, strict=True)
    }
    return Explained(fixed, random, evaluation.sigma**2)


def _fixed(model: "LinearMixedModel") -> float | None:
    """Return the variance of Xβ; None where cross-products do not give its mean."""
    products, groupings = model.evaluation.criterion.products, model.frame.groupings
    to_seen = np.linalg.inv(model.basis.transform[model.basis.kept])
    beta = to_seen @ model.beta
    if "Intercept" in model.names:
        ones = to_seen[:, model.names.index("Intercept")]
        beta = beta - ones * (ones @ products.xx @ beta) / (ones @ products.xx @ ones)
        return float(beta @ products.xx @ beta) / (products.n - 1)
    for grouping, zx in zip(groupings, products.zx, strict=True):
        if "Intercept" in grouping.covariates:
            first, r = grouping.covariates.index("Intercept"), len(grouping.covariates)
            mean = float(zx[first::r].sum(axis=0) @ beta) / products.n
            square = float(beta @ products.xx @ beta) - products.n * mean**2
            return square / (products.n - 1)
    return None


def _by_rows(model: "LinearMixedModel") -> tuple[float, list[Values]]:
    """Return the variance of Xβ, and per grouping factor the mean of zz' (r, r)."""
    beta = np.zeros(len(model.frame.fixed_names))
    beta[model.basis.kept] = model.beta
    squares = [np.zeros((len(g.covariates),) * 2) for g in model.frame.groupings]
    count, mean, about = 0, 0.0, 0.0
    for rows in model.frame.chunks():
        fitted = rows.X @ beta
        m, own = len(fitted), float(fitted.mean())
        about += float(((fitted - own) ** 2).sum()) + (own - mean) ** 2 * m * count / (m + count)
        mean += (own - mean) * m / (m + count)
        count += m
        for square, covariates in zip(squares, rows.covariates, strict=True):
            square += m if covariates is None else covariates.T @ covariates
    return about / (count - 1), [square / count for square in squares]
