"""A plan for new cross-products of the same structure, without choosing and sorting again."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from distortion.fits.mixed.elimination import Dense
from distortion.fits.mixed.nested import Nested
from distortion.fits.mixed.pairs import Sparse
from distortion.fits.mixed.plan import Plan, cross
from distortion.fits.mixed.products import Products
from distortion.fits.mixed.types import Array


def _array(block: Any) -> Array:
    return block if isinstance(block, np.ndarray) else np.asarray(block.toarray())


@dataclass(frozen=True, eq=False)
class Refill:
    """Fills `plan` with the numbers of other products.

    first   products of the same structure, to learn it from
    """

    plan: Plan
    first: Products

    def __call__(self, products: Products) -> Plan:
        """Return the plan for `products`."""
        return replace(self.plan, elimination=self._elimination(products))

    def _elimination(self, products: Products) -> Dense | Nested | Sparse:
        plan, border = self.plan, self._border(products)
        e = plan.eliminated[0]
        diag = products.diag[e]
        if isinstance(plan.elimination, Sparse):
            c = self._beside_sparse(products)
            return Sparse(diag, c, products.zx[e], border, self._pairs.fill(c))
        inner = Dense(diag, self._beside(products, e), border)
        if isinstance(plan.elimination, Dense):
            return inner
        outer = plan.eliminated[1]
        old = plan.elimination
        return Nested(
            inner,
            self._link(cross(products, e, outer), old),
            old.parent,
            products.diag[outer],
            self._beside(products, outer),
            old.total,
        )

    def _border(self, products: Products) -> Array:
        plan, q = self.plan, self.plan.q
        border = np.zeros((q + products.p, q + products.p))
        for i, (k, where) in enumerate(zip(plan.rest, plan.slices, strict=True)):
            n_levels, r = products.shapes[k]
            at = np.arange(where.start, where.stop).reshape(n_levels, r)
            border[at[:, :, None], at[:, None, :]] = products.diag[k]
            border[where, q:] = products.zx[k]
            for j, there in zip(plan.rest[i + 1 :], plan.slices[i + 1 :], strict=True):
                block = _array(cross(products, k, j))
                border[where, there] = block
                border[there, where] = block.T
        border[q:, :q] = border[:q, q:].T
        border[q:, q:] = products.xx
        return border

    def _beside(self, products: Products, k: int) -> Array:
        """Return Z_k'W [R X], dense."""
        plan, q = self.plan, self.plan.q
        beside = np.empty((len(products.zx[k]), q + products.p))
        for j, where in zip(plan.rest, plan.slices, strict=True):
            beside[:, where] = _array(cross(products, k, j))
        beside[:, q:] = products.zx[k]
        return beside

    def _beside_sparse(self, products: Products) -> Any:
        """Return Z_e'W R, sparse by rows."""
        e = self.plan.eliminated[0]
        blocks = [sparse.csr_array(cross(products, e, j)) for j in self.plan.rest]
        return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks, format="csr")

    def _link(self, block: Any, old: Nested) -> Array:
        n_inner, r_inner, r_outer = old.link.shape
        if isinstance(block, np.ndarray):
            split = block.reshape(n_inner, r_inner, -1, r_outer)
            return np.asarray(split[np.arange(n_inner), :, old.parent, :])
        # every inner level has one outer level: each row of the block is full
        return np.asarray(sparse.csr_array(block).data.reshape(old.link.shape))

    @cached_property
    def _pairs(self) -> "Pairs":
        r = self.first.shapes[self.plan.eliminated[0]][1]
        return make_pairs(self._beside_sparse(self.first), r)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The structure of `Sparse.pairs`: which two entries of C each of its entries multiplies."""

    first: np.ndarray
    second: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]

    def fill(self, c: Any) -> Any:
        """Return the matrix for the entries of C, (q q, L r r) sparse."""
        products = c.data[self.first]
        products *= c.data[self.second]
        return sparse.csc_array((products, self.indices, self.indptr), shape=self.shape)


def make_pairs(c: Any, r: int) -> Pairs:
    """Return the pairs of C = Z_e'R, (L r, q) by rows, whose r rows of a level look the same."""
    n_levels, q = c.shape[0] // r, c.shape[1]
    touched = np.diff(c.indptr)[::r]
    n_pairs = touched * (touched + 1) // 2
    begin = c.indptr[:-1:r].astype(np.int64)
    # entries of a level in the order: covariate u, covariate v, first column, second column
    level = np.repeat(np.arange(n_levels), n_pairs)
    a, b = _upper(touched)
    blocks_first, blocks_second = [], []
    for u in range(r):
        for v in range(r):
            blocks_first.append(begin[level] + u * touched[level] + a)
            blocks_second.append(begin[level] + v * touched[level] + b)
    before = np.cumsum(n_pairs) - n_pairs
    within = np.arange(len(level)) - before[level]
    place = before[level] * r * r + within
    first = np.empty(len(level) * r * r, dtype=np.int32)
    second = np.empty_like(first)
    for i, (one, other) in enumerate(zip(blocks_first, blocks_second, strict=True)):
        first[place + i * n_pairs[level]] = one
        second[place + i * n_pairs[level]] = other
    row = c.indices[first].astype(np.int64) * q + c.indices[second]
    ends = np.concatenate([[0], np.cumsum(np.repeat(n_pairs, r * r))])
    return Pairs(first, second, row, ends, (q * q, n_levels * r * r))


def _upper(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (a, b), a <= b, below each size, one size after the other."""
    start = np.cumsum(sizes) - sizes
    item = np.arange(sizes.sum())
    partners = np.repeat(start + sizes, sizes) - item
    one = np.repeat(item, partners)
    other = np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners) + one
    offset = np.repeat(np.repeat(start, sizes), partners)
    return one - offset, other - offset
