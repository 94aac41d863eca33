"""Overdispersion: whether counts vary more than their family says.

Pearson's χ² compares the squared residuals at the conditional modes with the rows that parameters
do not use up. The test gives every row a random effect of its own (`rowwise`) with SD ν and
compares likelihoods; under ν = 0 twice their log-ratio is 0 or χ²(1), each half of the time (Self
and Liang 1987). Where the likelihood falls as ν² leaves zero, the ratio is taken to be 1 without
another fit:

    ∂F/∂ν² = Σ [ W − s² + h (W's − W²) − H s ZΛv ]    at ν = 0.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from distortion.errors import FitError
from distortion.fits.laplace.curvature import information
from distortion.fits.laplace.descent import Trace, descend
from distortion.fits.laplace.deviance import Laplace, LaplaceEvaluation
from distortion.fits.laplace.estimation import off_zero
from distortion.fits.laplace.families import find_family
from distortion.fits.laplace.family import Family
from distortion.fits.laplace.rowwise import RowEffect


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Pearson's χ² with its degrees of freedom, and the test of a random effect of every row.

    sd          estimate of ν
    statistic   likelihood ratio; NaN where the model with ν could not be fitted
    """

    chi2: float
    df: int
    sd: float
    statistic: float

    @property
    def pearson_p(self) -> float:
        """Upper tail of χ²."""
        return float(chdtrc(self.df, self.chi2)) if self.df > 0 else float("nan")

    @property
    def p_value(self) -> float:
        """Of the likelihood ratio: ½ χ²(0) + ½ χ²(1)."""
        return float("nan") if np.isnan(self.statistic) else tail(self.statistic)


def pearson(evaluation: LaplaceEvaluation) -> tuple[float, int]:
    """Return Pearson's χ² and its degrees of freedom, rows less parameters."""
    problem = evaluation.problem
    counts = problem.weighting.design.counts
    mean = problem.family.link.mean(evaluation.modes.eta)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = (counts.y - counts.size * mean) ** 2 / problem.family.variance(mean, counts, 0.0)
    # where the variance has underflowed the count is certain
    squares = counts.weighted(np.where(np.isfinite(squares), squares, 0.0))
    return float(squares.sum()), len(counts.y) - len(evaluation.point)


def dispersion(evaluation: LaplaceEvaluation) -> Dispersion:
    """Test a fit of a family without a shape."""
    chi2, df = pearson(evaluation)
    if slope(evaluation) >= 0.0:
        return Dispersion(chi2, df, 0.0, 0.0)
    problem = replace(evaluation.problem, family=RowEffect(evaluation.problem.family))
    criterion = Laplace(problem, profiled=False)
    weights = evaluation.weighing.weight
    excess = max(chi2 / max(df, 1) - 1.0, 0.01)
    start = float(np.sqrt(excess / max(float(weights.mean()), 1e-12)))
    try:
        begun = criterion(np.append(evaluation.point, start), evaluation)
        found = descend(criterion, begun, information(begun), Trace(), "dispersion", 1e-4)
        best = found.evaluation
        ratio = max(evaluation.value - best.value, 0.0)
    except FitError:
        return Dispersion(chi2, df, float("nan"), float("nan"))
    return Dispersion(chi2, df, abs(float(best.point[-1])), ratio)


def slope(evaluation: LaplaceEvaluation) -> float:
    """Return ∂F/∂ν² of a random effect of every row, at zero."""
    weighing, step = evaluation.weighing, evaluation.modes.step
    w, s = weighing.weight, step.score
    pulled = evaluation.leverage @ (weighing.slope * s - w**2)
    through_modes = (step.curvature * s) @ evaluation.shift
    return float(np.sum(w - s**2) + pulled - through_modes)


def without_shape(evaluation: LaplaceEvaluation) -> tuple[float, float]:
    """Return the likelihood ratio of a shape against none, and its p-value."""
    family = evaluation.problem.family
    if isinstance(family, RowEffect):
        base: Family = family.base
    else:
        base = find_family("binomial", family.link.name)
    problem = replace(evaluation.problem, family=base)
    criterion = Laplace(problem, profiled=False)
    begun = criterion(off_zero(problem, evaluation.point[:-1]), evaluation)
    best = descend(criterion, begun, information(begun), Trace(), "dispersion", 1e-4).evaluation
    ratio = max(best.value - evaluation.value, 0.0)
    return ratio, tail(ratio)


def tail(ratio: float) -> float:
    """Return the upper tail of ½ χ²(0) + ½ χ²(1)."""
    return float(chdtrc(1, ratio)) / 2.0 if ratio > 0.0 else 1.0
