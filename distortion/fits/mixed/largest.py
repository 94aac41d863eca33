"""The grouping with most columns, e, whose Z_e'Z_e is block diagonal; the others, R, beside it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from distortion.fits.mixed.plan import cross
from distortion.fits.mixed.products import Products
from distortion.fits.mixed.types import Array

# Z_e'R stays sparse below this share of entries: a sparse multiplication costs about 40 dense ones.
SPARSE_SHARE = 0.15


@dataclass(frozen=True)
class Largest:
    """Cross-products, split into the largest grouping and the rest."""

    products: Products

    @cached_property
    def columns(self) -> list[int]:
        """Columns of Z per grouping."""
        return [n_levels * r for n_levels, r in self.products.shapes]

    @cached_property
    def first(self) -> int:
        """Which grouping is e."""
        return int(np.argmax(self.columns))

    @cached_property
    def where(self) -> dict[int, slice]:
        """Columns of R, per grouping in it."""
        found, start = {}, 0
        for k, columns in enumerate(self.columns):
            if k != self.first:
                found[k] = slice(start, start + columns)
                start += columns
        return found

    @property
    def q(self) -> int:
        """Columns of R."""
        return sum(self.columns) - self.columns[self.first]

    @property
    def diag(self) -> Array:
        """Z_e'Z_e, (L, r, r)."""
        return self.products.diag[self.first]

    @cached_property
    def beside(self) -> Any:
        """Z_e'R, (L r, q), sparse or dense."""
        if not self.where:
            return np.zeros((self.columns[self.first], 0))
        blocks = [sparse.csr_array(cross(self.products, self.first, k)) for k in self.where]
        matrix = sparse.hstack(blocks, format="csr")
        filled = matrix.nnz >= SPARSE_SHARE * matrix.shape[0] * matrix.shape[1]
        return matrix.toarray() if filled else matrix

    def gram(self) -> Array:
        """Return R'R, (q, q)."""
        if not self.where:
            return np.zeros((0, 0))
        blocks = [[self._block(j, k) for k in self.where] for j in self.where]
        return np.asarray(sparse.block_array(blocks).toarray())

    def _block(self, j: int, k: int) -> Any:
        if j == k:
            return by_level(self.products.diag[k])
        return sparse.csr_array(cross(self.products, j, k))


def by_level(blocks: Array) -> Any:
    """Return the block diagonal sparse matrix of one (r, r) block per level."""
    n_levels, r, _ = blocks.shape
    ends = np.arange(n_levels + 1)
    return sparse.bsr_array((blocks, ends[:-1], ends), shape=(n_levels * r,) * 2).tocsr()


def dense(matrix: Any) -> Array:
    """Return a sparse or dense matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else np.asarray(matrix.toarray())
