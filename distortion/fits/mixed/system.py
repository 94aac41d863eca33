"""The mixed-model equations at one θ: log-determinants, solutions, traces.

After the elimination the border is scaled by Λ and factorised,

    N = [ I + Λ_R'H_RR Λ_R   Λ_R'H_RX ]      log|V| = Σ log|M_e| + log|N_RR|,
        [ .                  H_XX     ]      log|X'V⁻¹X| = log|N| − log|N_RR|,

with H the border of `elimination`. Nothing is divided by a variance, so every formula holds where
one of them is zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from distortion.errors import FitError
from distortion.fits.mixed.blocks import diagonal, per_level
from distortion.fits.mixed.elimination import State, mirrored
from distortion.fits.mixed.plan import Plan
from distortion.fits.mixed.products import Products, Responses
from distortion.fits.mixed.types import Array

# A factor with a diagonal entry below this, times the length of its covariate, counts as singular
# in `Factor.scores`.
NEARLY_SINGULAR = 1e-3


@dataclass(frozen=True)
class Solution:
    """Estimates for m responses at one θ.

    beta    (p, m);  b per grouping (L r, m), in units of y: b = Λ u
    rss     (m, m): Y'P Y
    """

    products: Products
    responses: Responses
    beta: Array
    b: list[Array]
    rss: Array

    @cached_property
    def c(self) -> list[Array]:
        """Z'(y − Xβ − Zb) = Z'P y, per grouping (L r, m)."""
        return self.products.residual(self.responses, self.b, self.beta)


@dataclass(frozen=True)
class Factor:
    """Everything at one θ that does not depend on the response.

    lower   Cholesky factor of N; its upper triangle is not meant
    """

    products: Products
    plan: Plan
    factors: list[Array]
    state: State
    lower: Array

    @property
    def logdet_v(self) -> float:
        """Log-determinant of V."""
        q = self.plan.q
        return self.state.logdet + 2.0 * float(np.log(np.diagonal(self.lower)[:q]).sum())

    @property
    def logdet_x(self) -> float:
        """Log-determinant of X'V⁻¹X."""
        q = self.plan.q
        return 2.0 * float(np.log(np.diagonal(self.lower)[q:]).sum())

    @cached_property
    def xvx_inverse(self) -> Array:
        """(X'V⁻¹X)⁻¹, (p, p): the covariance of β relative to σ²."""
        q = self.plan.q
        return mirrored(lapack.dpotri(self.lower[q:, q:], lower=1)[0].T)

    def solve(self, responses: Responses, fixed: bool = True) -> Solution:
        """Solve for responses; without `fixed`, β is held at 0 (V⁻¹ in place of P)."""
        plan, q = self.plan, self.plan.q
        ze = [responses.zy[k] for k in plan.eliminated]
        rest = [responses.zy[k] for k in plan.rest]
        right = np.concatenate([*rest, responses.xy]) - self.state.reduce(ze)
        right[:q] = self._scale(right[:q], transpose=True)
        end = len(self.lower) if fixed else q
        solved = np.zeros(right.shape)
        if end:
            solved[:end] = lapack.dpotrs(self.lower[:end, :end], right[:end], lower=1)[0]
        solved[:q] = self._scale(solved[:q], transpose=False)
        beta = solved[q:]
        blocks = dict(zip(plan.eliminated, self.state.back(ze, solved), strict=True))
        blocks |= {k: solved[where] for k, where in zip(plan.rest, plan.slices, strict=True)}
        b = [blocks[k] for k in range(len(blocks))]
        rss = responses.yy - responses.xy.T @ beta
        for zy, block in zip(responses.zy, b, strict=True):
            rss = rss - zy.T @ block
        return Solution(self.products, responses, beta, b, rss)

    def scores(self, reml: bool) -> list[Array]:
        """Return Σ_l of the (r, r) diagonal blocks of Z'PZ (REML) or Z'V⁻¹Z, per grouping.

        They are the derivatives of log|V| + log|X'V⁻¹X|, or of log|V|, with respect to Σ_k.
        """
        plan = self.plan
        inverse = self._inverse(len(self.lower) if reml else plan.q)
        adjoint = scale_square(inverse, plan, self.factors, transpose=False)
        levels = self.state.levels(adjoint)
        scores = {k: found.score for k, found in zip(plan.eliminated, levels, strict=True)}
        for k, where in zip(plan.rest, plan.slices, strict=True):
            factor = self.factors[k]
            if np.abs(np.diagonal(factor) * self.products.lengths[k]).min() < NEARLY_SINGULAR:
                scores[k] = self._exact_score(where, len(factor), mirrored(adjoint))
            else:
                blocks = _diagonal_blocks(inverse[where, where], len(factor))
                kept = mirrored(blocks.sum(axis=0))
                root = lapack.dtrtri(factor, lower=1)[0]
                scores[k] = root.T @ (len(blocks) * np.eye(len(factor)) - kept) @ root
        return [scores[k] for k in range(len(scores))]

    def conditional_variances(self) -> list[Array]:
        """Return Var(b | y, β) / σ² of every level: the diagonal blocks of Λ M⁻¹ Λ', (L, r, r)."""
        plan = self.plan
        adjoint = scale_square(self._inverse(plan.q), plan, self.factors, transpose=False)
        levels = self.state.levels(adjoint)
        blocks = {k: found.inverse for k, found in zip(plan.eliminated, levels, strict=True)}
        for k, where in zip(plan.rest, plan.slices, strict=True):
            upper = _diagonal_blocks(adjoint[where, where], len(self.factors[k]))
            blocks[k] = np.triu(upper) + np.triu(upper, 1).transpose(0, 2, 1)
        return [blocks[k] for k in range(len(blocks))]

    def _exact_score(self, where: slice, r: int, adjoint: Array) -> Array:
        """Σ_l of the diagonal blocks of H − H Λ N⁻¹ Λ'H, without dividing by Λ."""
        rows = mirrored(self.state.border)[where]
        split = -1, r, rows.shape[1]
        lost = np.einsum("lum,lvm->uv", (rows @ adjoint).reshape(split), rows.reshape(split))
        return np.asarray(_diagonal_blocks(rows[:, where], r).sum(axis=0) - lost)

    def _inverse(self, size: int) -> Array:
        """Return the inverse of the leading part of N in the size of N; upper triangle only."""
        inverse = np.zeros(self.lower.shape, order="F")
        if size:
            inverse[:size, :size] = lapack.dpotri(self.lower[:size, :size], lower=1)[0]
        return inverse.T

    def _scale(self, rows: Array, transpose: bool) -> Array:
        return scale_rows(rows, self.plan, self.factors, transpose)


def scale_rows(rows: Array, plan: Plan, factors: Sequence[Array], transpose: bool) -> Array:
    """Return Λ rows, or Λ' rows, for the groupings that are left in the border: (q, m)."""
    scaled = np.empty_like(rows)
    for k, where in zip(plan.rest, plan.slices, strict=True):
        factor = factors[k].T if transpose else factors[k]
        scaled[where] = per_level(factor[None], rows[where])
    return scaled


def scale_square(square: Array, plan: Plan, factors: Sequence[Array], transpose: bool) -> Array:
    """Return S A S' with S = Λ (Λ' if `transpose`) on the groupings of the border, I on X."""
    q = plan.q
    if all(factors[k].shape == (1, 1) for k in plan.rest):
        by = np.ones(len(square))
        for k, where in zip(plan.rest, plan.slices, strict=True):
            by[where] = factors[k][0, 0]
        scaled = square * by
        scaled *= by[:, None]
        return np.asarray(scaled)
    scaled = mirrored(square)  # rows of a level mix, so both triangles count
    scaled[:q] = scale_rows(scaled[:q], plan, factors, transpose)
    scaled[:, :q] = scale_rows(scaled[:, :q].T, plan, factors, transpose).T
    return scaled


def factorise(products: Products, plan: Plan, factors: list[Array]) -> Factor:
    """Factorise the mixed-model equations at the given Λ.

    Raises
    ------
    FitError
        The fixed effects are collinear given the random ones.
    """
    q = plan.q
    state = plan.elimination.at([factors[k] for k in plan.eliminated])
    scaled = scale_square(state.border, plan, factors, transpose=True)
    diagonal(scaled)[:q] += 1.0
    lower, info = lapack.dpotrf(scaled.T, lower=1, clean=0, overwrite_a=1)
    if info:
        raise FitError(
            "The fixed effects cannot be told apart from each other and the random effects: "
            "X'V⁻¹X is singular. Leave out a term of the formula."
        )
    return Factor(products, plan, factors, state, lower)


def _diagonal_blocks(square: Array, r: int) -> Array:
    """Return the (r, r) blocks along a diagonal: (L r, L r) gives (L, r, r)."""
    n_levels = len(square) // r
    return np.asarray(np.einsum("lulv->luv", square.reshape(n_levels, r, n_levels, r)))
