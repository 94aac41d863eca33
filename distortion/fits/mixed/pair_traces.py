"""Traces of pairs of variance directions, tr E_i T E_j T with T = Z'V⁻¹Z, without all of T.

The largest grouping e is eliminated as in `elimination`; R are the columns of the others.

    t = A − A W A per level,  B = (I − A W) Z_e'R,  H = R'V_e⁻¹R,  V_e without R
    D = Λ (I + Λ'HΛ)⁻¹ Λ',    J = I − D H
    T_ee = t − B D B'         T_eR = B J            T_RR = H J

t is block diagonal, so what involves T_ee needs only N_i = B'E_iB, as wide as R.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from distortion.errors import FitError
from distortion.fits.mixed.blocks import diagonal, inner
from distortion.fits.mixed.largest import Largest, by_level, dense
from distortion.fits.mixed.products import Products
from distortion.fits.mixed.types import Array

# Several dense matrices of this many columns squared are held at once, 288 MB each.
MOST_BESIDE = 6_000


def symmetric_unit(r: int, row: int, column: int) -> Array:
    """Return dΣ of one (co)variance of Σ (r, r): ones at its one or two places."""
    unit = np.zeros((r, r))
    unit[row, column] = unit[column, row] = 1.0
    return unit


def pair_traces(
    products: Products, factors: Sequence[Array], positions: Sequence[tuple[int, int, int]]
) -> Array:
    """Return tr V⁻¹G_iV⁻¹G_j, (m, m), of the (co)variances at `positions`: grouping, row, column.

    Raises
    ------
    FitError
        More than `MOST_BESIDE` random effects stand beside the largest grouping.
    """
    largest = Largest(products)
    first = largest.first
    if largest.q > MOST_BESIDE:
        raise FitError(
            f"Kenward and Roger's method needs dense matrices of the {largest.q:,} random effects "
            f"beside the largest grouping factor, and {MOST_BESIDE:,} is the most that is tried. "
            'Use df="satterthwaite".'
        )
    split = _Split(largest, factors)
    units = [symmetric_unit(products.shapes[k][1], row, col) for k, row, col in positions]
    groups = [k for k, _, _ in positions]
    border = [
        split.border(unit) if k == first else unit for k, unit in zip(groups, units, strict=True)
    ]
    traces = np.empty((len(units), len(units)))
    for i, j in combinations_with_replacement(range(len(units)), 2):
        if groups[i] == groups[j] == first:
            trace = split.both_eliminated(units[i], border[i], units[j], border[j])
        elif groups[i] == first:
            trace = split.across(border[i], groups[j], units[j])
        elif groups[j] == first:
            trace = split.across(border[j], groups[i], units[i])
        else:
            trace = split.both_left(groups[i], units[i], groups[j], units[j])
        traces[i, j] = traces[j, i] = trace
    return traces


@dataclass(frozen=True)
class _Split:
    """Z'V⁻¹Z in the parts that the module docstring names."""

    largest: Largest
    factors: Sequence[Array]

    @cached_property
    def weight(self) -> Array:
        diag = self.largest.diag
        return inner(self.factors[self.largest.first], diag)[0].reshape(diag.shape)

    @cached_property
    def alone(self) -> Array:
        """t, (L, r, r)."""
        diag = self.largest.diag
        return np.asarray(diag - diag @ self.weight @ diag)

    @cached_property
    def b(self) -> Any:
        diag = self.largest.diag
        return by_level(np.eye(diag.shape[1]) - diag @ self.weight) @ self.largest.beside

    @cached_property
    def h(self) -> Array:
        beside = self.largest.beside
        explained = dense(beside.T @ (by_level(self.weight) @ beside))
        return np.asarray(self.largest.gram() - explained)

    @cached_property
    def d(self) -> Array:
        shapes = self.largest.products.shapes
        parts = [
            sparse.kron(sparse.eye_array(shapes[k][0]), self.factors[k]) for k in self.largest.where
        ]
        scaling = sparse.block_diag(parts, format="csr")
        n = scaling.T @ (scaling.T @ self.h).T
        diagonal(n)[:] += 1.0
        lower = lapack.dpotrf(n, lower=1)[0]
        half = lapack.dtrtrs(lower, scaling.T.toarray(), lower=1)[0]
        return np.asarray(half.T @ half)

    @cached_property
    def j(self) -> Array:
        return np.asarray(np.eye(len(self.d)) - self.d @ self.h)

    @cached_property
    def t(self) -> Array:
        """T_RR."""
        return np.asarray(self.h @ self.j)

    def border(self, unit: Array) -> Array:
        """Return N_i, (q, q)."""
        if not self.largest.where:
            return np.zeros((0, 0))
        repeated = np.broadcast_to(unit, self.weight.shape)
        return dense(self.b.T @ (by_level(repeated) @ self.b))

    def both_eliminated(self, unit: Array, n: Array, second: Array, n_second: Array) -> float:
        """Return the trace of two directions of e, beside their N."""
        trace = ((unit @ self.alone) * (second @ self.alone).transpose(0, 2, 1)).sum()
        if self.largest.where:
            mixed = dense(self.b.T @ (by_level(unit @ self.alone @ second) @ self.b))
            trace += ((n @ self.d) * (n_second @ self.d).T).sum() - 2.0 * (mixed * self.d).sum()
        return float(trace)

    def across(self, n: Array, k: int, unit: Array) -> float:
        """Return the trace of a direction of e, whose N is `n`, and one of grouping `k`."""
        shape = len(n), *self.largest.products.shapes[k]
        left = self.j[:, self.largest.where[k]]
        right = n @ left
        pair = np.einsum("clu,clv->uv", left.reshape(shape), right.reshape(shape), optimize=True)
        return float((pair * unit).sum())

    def both_left(self, k: int, unit: Array, other: int, second: Array) -> float:
        """Return the trace of a direction of grouping `k` and one of grouping `other`."""
        shape = *self.largest.products.shapes[k], *self.largest.products.shapes[other]
        block = self.t[self.largest.where[k], self.largest.where[other]].reshape(shape)
        product = np.einsum("uv,lvma,ab->lumb", unit, block, second, optimize=True)
        return float((product * block).sum())
