"""Removing a grouping that touches few columns of a large border: sparse products, built once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from distortion.fits.mixed.blocks import diagonal, inner, level_products, per_level
from distortion.fits.mixed.elimination import Levels, mirrored
from distortion.fits.mixed.types import Array


@dataclass(frozen=True, slots=True)
class Sparse:
    """Elimination with a sparse Z_e'R.

    diag     (L, r, r): Z_e'Z_e
    c        (L r, q) sparse: Z_e'R;  zx (L r, p): Z_e'X
    border   (q + p, q + p): [R X]'[R X]
    pairs    (q q, L r r) sparse by columns: its row i q + j, i <= j, times vec(W) is (C'W C)_ij
    """

    diag: Array
    c: Any
    zx: Array
    border: Array
    pairs: Any

    def at(self, factors: list[Array]) -> "SparseState":
        """Eliminate with the given Λ, one per eliminated grouping."""
        weight, logdet = inner(factors[0], self.diag)
        q = self.c.shape[1]
        wzx = per_level(weight, self.zx)
        border = self.border.copy()
        border[:q, :q] -= (self.pairs @ weight.ravel()).reshape(q, q)
        border[:q, q:] -= self.c.T @ wzx
        border[q:, q:] -= self.zx.T @ wzx
        return SparseState(self, weight, logdet, border)


@dataclass(frozen=True, slots=True)
class SparseState:
    """`Sparse` at a value of θ."""

    fixed: Sparse
    weight: Array
    logdet: float
    border: Array

    def reduce(self, ze: list[Array]) -> Array:
        """See `State`."""
        weighted = per_level(self.weight, ze[0])
        return np.vstack([self.fixed.c.T @ weighted, self.fixed.zx.T @ weighted])

    def back(self, ze: list[Array], solved: Array) -> list[Array]:
        """See `State`."""
        q = self.fixed.c.shape[1]
        rest = self.fixed.c @ solved[:q] + self.fixed.zx @ solved[q:]
        return [per_level(self.weight, ze[0] - rest)]

    def levels(self, adjoint: Array) -> list[Levels]:
        """See `State`."""
        c, zx, r = self.fixed.c, self.fixed.zx, self.weight.shape[1]
        q = c.shape[1]
        doubled = 2.0 * adjoint[:q, :q]
        diagonal(doubled)[:] /= 2.0
        outer = (self.fixed.pairs.T @ doubled.ravel()).reshape(self.weight.shape)
        outer = (outer + outer.transpose(0, 2, 1)) / 2
        mixed = level_products(c @ adjoint[:q, q:], zx, r)
        outer = outer + mixed + mixed.transpose(0, 2, 1)
        outer += level_products(zx @ mirrored(adjoint[q:, q:]), zx, r)
        return [Levels(self.fixed.diag, self.weight, outer)]


def pair_count(c: Any, r: int) -> int:
    """Entries of `pairs` for Z_e'R: how much work and memory the sparse way takes."""
    per_level = _union(c, r)[1]
    return int((per_level * (per_level + 1) // 2).sum()) * r * r


def make_pairs(c: Any, r: int) -> Any:
    """Return the matrix of `Sparse.pairs` for Z_e'R, (L r, q) sparse."""
    columns, per_level, values = _union(c, r)
    q = c.shape[1]
    ends = np.cumsum(per_level)
    level = np.repeat(np.arange(len(per_level)), per_level)
    partners = np.repeat(ends, per_level) - np.arange(len(columns))
    first = np.repeat(np.arange(len(columns)), partners)
    starts = np.cumsum(partners) - partners
    second = np.arange(len(first)) - starts[first] + first
    row = columns[first] * q + columns[second]
    shape = q * q, c.shape[0] * r
    if r == 1:  # already column by column
        ends = np.concatenate([[0], np.cumsum(per_level * (per_level + 1) // 2)])
        products = values[first, 0] * values[second, 0]
        return sparse.csc_array((products, row, ends), shape=shape)
    products = values[first][:, :, None] * values[second][:, None, :]
    column = level[first][:, None] * r * r + np.arange(r * r)
    return sparse.csc_array((products.ravel(), (np.repeat(row, r * r), column.ravel())), shape)


def _union(c: Any, r: int) -> tuple[np.ndarray, np.ndarray, Array]:
    """Columns that the r rows of each level touch: columns, how many per level, values (…, r)."""
    entries = sparse.coo_array(c)
    level, covariate = entries.row // r, entries.row % r
    key = level.astype(np.int64) * c.shape[1] + entries.col
    touched, position = np.unique(key, return_inverse=True)
    values = np.zeros((len(touched), r))
    values[position, covariate] = entries.data
    counts = np.bincount(touched // c.shape[1], minlength=c.shape[0] // r)
    return touched % c.shape[1], counts, values
