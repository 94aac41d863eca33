"""Satterthwaite's degrees of freedom.

    df(l) = 2 (l'C l)² / (g'A g),   g_i = ∂(l'C l)/∂φ_i,   φ = (θ, σ),

C the covariance of β, A twice the inverse Hessian of −2 log L in φ (that is, the covariance of φ).
Joint tests combine single contrasts: Fai and Cornelius (1996), J. Stat. Comput. Simul. 54, 363,
as in lmerTest (Kuznetsova et al. 2017, J. Stat. Softw. 82(13), section 3.1).
"""

from dataclasses import dataclass

import numpy as np

from distortion.fits.mixed.blocks import per_level
from distortion.fits.mixed.criterion import Evaluation, hessian
from distortion.fits.mixed.template import slope
from distortion.fits.mixed.types import Array

# Eigenvalues of the scaled Hessian below this are directions that the data do not decide.
UNDECIDED = 1e-8


@dataclass(frozen=True, slots=True)
class Satterthwaite:
    """What degrees of freedom need, in the coefficients that the arithmetic sees.

    covariance   (p, p) of β
    jacobian     (m + 1, p, p): its derivatives in φ
    variance     (m + 1, m + 1): covariance A of φ
    """

    covariance: Array
    jacobian: Array
    variance: Array

    def df(self, contrasts: Array) -> Array:
        """Return the degrees of freedom, (k,), of the t test of every row l of L, (k, p)."""
        variance = ((contrasts @ self.covariance) * contrasts).sum(axis=-1)
        gradient = ((contrasts @ self.jacobian) * contrasts).sum(axis=-1)
        spread = (gradient * (self.variance @ gradient)).sum(axis=0)
        varies = spread > 0
        return np.where(varies, 2.0 * variance**2 / np.where(varies, spread, 1.0), np.inf)

    def joint_df(self, contrasts: Array) -> float:
        """Return the denominator degrees of freedom of the F test of L β, L (k, p) of full rank."""
        if len(contrasts) == 1:
            return self.df(contrasts).item()
        values, vectors = np.linalg.eigh(contrasts @ self.covariance @ contrasts.T)
        rotated = vectors.T @ contrasts
        return expected_f_df(self.df(rotated[values > values[-1] * 1e-12]))


def expected_f_df(df: Array) -> float:
    """Return the ν of F(k, ν) whose mean is that of the mean of squared t's with the given df."""
    if np.isinf(df).all() or np.ptp(df) < 1e-8:
        return float(df.mean())
    if (df <= 2.0).any():
        return 2.0  # a mean of squared t's is infinite, as lmerTest has it
    shares = np.where(np.isinf(df), 1.0, df / np.where(np.isinf(df), 1.0, df - 2.0))
    total = float(shares.sum())
    return 2.0 * total / (total - len(df))


def satterthwaite(evaluation: Evaluation) -> Satterthwaite:
    """Return what Satterthwaite's method needs, from an optimum."""
    criterion, factor = evaluation.criterion, evaluation.factor
    sigma, rss, nu = evaluation.sigma, evaluation.rss, criterion.nu
    relative = factor.xvx_inverse
    inner = factor.solve(criterion.products.x_as_responses, fixed=False).c
    jacobian = []
    for k, row, column in criterion.template.positions:
        change = slope(factor.factors[k], row, column)
        middle = inner[k].T @ per_level(change[None], inner[k])
        jacobian.append(sigma**2 * relative @ middle @ relative)
    jacobian.append(2.0 * sigma * relative)
    linear = evaluation.rss_gradient
    full = np.empty((len(linear) + 1, len(linear) + 1))
    full[:-1, :-1] = hessian(criterion, evaluation) + nu * np.outer(linear, linear) / rss**2
    full[:-1, -1] = full[-1, :-1] = -2.0 * linear / sigma**3
    full[-1, -1] = 4.0 * nu / sigma**2
    return Satterthwaite(sigma**2 * relative, np.array(jacobian), 2.0 * _inverse(full))


def _inverse(matrix: Array) -> Array:
    """Return the inverse over the directions in which the matrix is positive."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    kept = values > UNDECIDED
    root = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    return np.asarray(root @ root.T)
