"""Kenward and Roger's covariance of the fixed effects and degrees of freedom, from traces alone.

    V = Σ_i γ_i G_i,  G_i = Z (I ⊗ E_i) Z',  E_i symmetric with one or two ones,  and the last
    G = V itself, which spans the same covariances as the residual's and needs no trace

    P_i = −X'V⁻¹G_iV⁻¹X    Q_ij = X'V⁻¹G_iV⁻¹G_jV⁻¹X    K_ij = tr V⁻¹G_iV⁻¹G_j    Φ = (X'V⁻¹X)⁻¹
    W = 2 (K_ij − 2 tr ΦQ_ij + tr ΦP_iΦP_j)⁻¹           covariance of γ, expected information
    Φ_A = Φ + 2 Φ (Σ_ij W_ij (Q_ij − P_iΦP_j)) Φ        adjusted covariance of β

With C = Z'V⁻¹X and T = Z'V⁻¹Z these are C'E_iC, C'E_iTE_jC and tr E_iTE_jT. The first two come
from solving for p and m p responses; the last from `pair_traces`. No (n, n) matrix appears, and
γ is relative to σ², of which only Φ and Φ_A are multiples. Prior weights are part of V.

Source: Kenward and Roger (1997), Biometrics 53, 983, as in pbkrtest (Halekoh and Højsgaard 2014,
J. Stat. Softw. 59(9)), whose answers these are where there are no weights, which it leaves out.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from distortion.errors import FitError
from distortion.fits.mixed.criterion import Evaluation
from distortion.fits.mixed.pair_traces import pair_traces, symmetric_unit
from distortion.fits.mixed.types import Array

# Scaled eigenvalues of the information below this are variances that the design cannot tell apart.
UNDECIDED = 1e-10


@dataclass(frozen=True, slots=True)
class KenwardRoger:
    """What tests need, in the coefficients that the arithmetic sees, relative to σ².

    covariance   (p, p) Φ_A;  unadjusted (p, p) Φ
    slopes       (m + 1, p, p): P_i
    variance     (m + 1, m + 1): W
    """

    covariance: Array
    unadjusted: Array
    slopes: Array
    variance: Array

    def df(self, L: Array) -> float:
        """Return the denominator degrees of freedom of the test of L β, L (k, p) of full rank."""
        return self._moments(L)[0]

    def scale(self, L: Array) -> float:
        """Return λ: λ F of L β is compared with F(k, df)."""
        return self._moments(L)[1]

    def _moments(self, L: Array) -> tuple[float, float]:
        k = len(L)
        root = np.linalg.cholesky(L @ self.unadjusted @ L.T)
        half = solve_triangular(root, L @ self.unadjusted, lower=True)
        change = half @ self.slopes @ half.T
        traces = np.trace(change, axis1=1, axis2=2)
        a1 = float(traces @ self.variance @ traces)
        a2 = float(np.einsum("ij,iab,jba->", self.variance, change, change))
        if a2 <= 0.0:
            return np.inf, 1.0
        if k == 1:
            return 2.0 / a2, 1.0
        b = (a1 + 6.0 * a2) / (2.0 * k)
        g = ((k + 1) * a1 - (k + 4) * a2) / ((k + 2) * a2)
        d = 3.0 * k + 2.0 * (1.0 - g)
        v0, v1, v2 = d + g * b, d - (k - g) * b, d - (k + 2 - g) * b
        v0 = 0.0 if abs(v0) < 1e-10 * abs(d) else v0
        mean = 1.0 - a2 / k
        # rho − 1 / k, times k v1² v2: nothing is divided by what may vanish
        excess = (mean * d) ** 2 * v0 - v1**2 * v2
        if excess == 0.0:
            return np.inf, mean
        df = 4.0 + (k + 2) * v1**2 * v2 / excess
        return df, 1.0 if abs(df - 2.0) < 1e-2 else df * mean / (df - 2.0)


def kenward_roger(evaluation: Evaluation) -> KenwardRoger:
    """Return what Kenward and Roger's method needs, from a REML optimum.

    Raises
    ------
    FitError
        The fit is by maximum likelihood, or has too many crossed random effects.
    """
    criterion, factor = evaluation.criterion, evaluation.factor
    products = criterion.products
    if not criterion.reml:
        raise FitError(
            "Kenward and Roger's method corrects REML estimates, and this is a fit by maximum "
            'likelihood. Use method="reml", or df="satterthwaite".'
        )
    inner = factor.solve(products.x_as_responses, fixed=False)
    positions = criterion.template.positions
    units = [symmetric_unit(products.shapes[k][1], row, col) for k, row, col in positions]
    m, p = len(units), products.p
    blocks = [np.zeros((len(c), m * p)) for c in inner.c]
    slopes = np.empty((m + 1, p, p))
    slopes[m] = -inner.rss
    for i, ((k, _, _), unit) in enumerate(zip(positions, units, strict=True)):
        part = (unit @ inner.c[k].reshape(-1, len(unit), p)).reshape(-1, p)
        blocks[k][:, i * p : (i + 1) * p] = part
        slopes[i] = -inner.c[k].T @ part
    crossed = factor.solve(products.responses_of(blocks), fixed=False).rss
    crossed = crossed.reshape(m, p, m, p).transpose(0, 2, 1, 3)
    phi = factor.xvx_inverse
    weighted = phi @ slopes
    information = np.empty((m + 1, m + 1))
    information[:m, :m] = (
        pair_traces(products, factor.factors, positions)
        - 2.0 * np.einsum("ab,ijba->ij", phi, crossed)
        + np.einsum("iab,jba->ij", weighted[:m], weighted[:m])
    )
    scores = factor.scores(reml=True)
    for i, ((k, _, _), unit) in enumerate(zip(positions, units, strict=True)):
        information[i, m] = information[m, i] = (unit * scores[k]).sum()
    information[m, m] = products.n - p
    variance = 2.0 * _inverse(information)
    excess = crossed - slopes[:m, None] @ phi @ slopes[None, :m]
    middle = np.einsum("ij,ijab->ab", variance[:m, :m], excess)
    adjusted = phi + phi @ (middle + middle.T) @ phi
    return KenwardRoger(adjusted, phi, slopes, variance)


def _inverse(matrix: Array) -> Array:
    scale = np.sqrt(np.maximum(np.diagonal(matrix), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    kept = values > UNDECIDED * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    return np.asarray(root @ root.T)
