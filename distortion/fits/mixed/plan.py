"""Which groupings are removed level by level, and which are left for a dense factor."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from distortion.errors import FitError
from distortion.fits.mixed.elimination import Dense
from distortion.fits.mixed.nested import Nested
from distortion.fits.mixed.pairs import Sparse, make_pairs, pair_count
from distortion.fits.mixed.products import Products
from distortion.fits.mixed.types import Array

# A dense matrix of this many columns squared takes 1.6 GB, and its factor minutes.
MOST_DENSE = 14_000
# Below this many remaining columns a second elimination is not worth its overhead.
FEW_COLUMNS = 400
# Sparse pairs cost about this many times a dense multiplication each; and 12 bytes.
SPARSE_COST = 40
MOST_PAIRS = 100_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Order of the groupings: `eliminated` (one or two), then `rest`, which becomes dense.

    slices   columns of the border, per grouping of `rest`
    """

    eliminated: tuple[int, ...]
    rest: tuple[int, ...]
    elimination: Dense | Nested | Sparse
    slices: tuple[slice, ...]

    @property
    def q(self) -> int:
        """Columns of Z that are left in the border."""
        return self.slices[-1].stop if self.slices else 0


def make_plan(products: Products, names: tuple[str, ...]) -> Plan:
    """Choose the elimination that leaves least work.

    Raises
    ------
    FitError
        Two large crossed groupings would remain: their dense factor would not fit.
    """
    columns = [n_levels * r for n_levels, r in products.shapes]
    by_size = sorted(range(len(columns)), key=lambda k: -columns[k])
    first, others = by_size[0], by_size[1:]
    eliminated = [first]
    if others and sum(columns[k] for k in others) > FEW_COLUMNS:
        parent = _parent(products, first, others[0])
        if parent is not None:
            eliminated.append(others[0])
    rest = tuple(sorted(set(range(len(columns))) - set(eliminated)))
    bounds = np.cumsum([0, *(columns[k] for k in rest)])
    slices = tuple(slice(int(a), int(b)) for a, b in pairwise(bounds))
    if bounds[-1] > MOST_DENSE:
        listed = ", ".join(f"{names[k]} ({columns[k]} columns)" for k in rest)
        raise FitError(
            f"The grouping factors {listed} are large and crossed: after the largest factor is "
            f"eliminated {bounds[-1]} random effects remain for a dense factor, and "
            f"{MOST_DENSE} are the most that is tried. Leave out a term, or fit on a subset."
        )
    border = _border(products, rest, slices)
    if len(eliminated) == 2:
        outer = eliminated[1]
        elimination: Dense | Nested | Sparse = _nested(products, first, outer, rest, slices, border)
    else:
        elimination = _single(products, first, rest, border)
    return Plan(tuple(eliminated), rest, elimination, slices)


def cross(products: Products, j: int, k: int) -> Any:
    """Return Z_j'Z_k, an array or sparse, in whichever order it is stored."""
    return products.cross[j, k] if j < k else products.cross[k, j].T


def _border(products: Products, rest: tuple[int, ...], slices: tuple[slice, ...]) -> Array:
    q = slices[-1].stop if slices else 0
    border = np.zeros((q + products.p, q + products.p))
    for k, where in zip(rest, slices, strict=True):
        n_levels, r = products.shapes[k]
        block = border[where, where].reshape(n_levels, r, n_levels, r)
        levels = np.arange(n_levels)
        block[levels, :, levels, :] = products.diag[k]
        border[where, where] = block.reshape(n_levels * r, n_levels * r)
        border[where, q:] = products.zx[k]
        border[q:, where] = products.zx[k].T
        for j, there in zip(rest, slices, strict=True):
            if j != k:
                border[where, there] = _dense(cross(products, k, j))
    border[q:, q:] = products.xx
    return border


def _dense(block: Any) -> Array:
    return block.toarray() if sparse.issparse(block) else block  # type: ignore[no-any-return]


def _beside(products: Products, k: int, rest: tuple[int, ...]) -> Array:
    """Return Z_k'[R X], dense."""
    return np.hstack([*(_dense(cross(products, k, j)) for j in rest), products.zx[k]])


def _single(products: Products, first: int, rest: tuple[int, ...], border: Array) -> Dense | Sparse:
    n_levels, r = products.shapes[first]
    blocks = [cross(products, first, j) for j in rest]
    if any(sparse.issparse(block) for block in blocks):
        c = sparse.hstack(blocks, format="csr")
        q = c.shape[1]
        pairs = pair_count(c, r)
        if pairs * SPARSE_COST < n_levels * r * q * q and pairs <= MOST_PAIRS:
            zx = products.zx[first]
            return Sparse(products.diag[first], c, zx, border, make_pairs(c, r))
    return Dense(products.diag[first], _beside(products, first, rest), border)


def _parent(products: Products, inner: int, outer: int) -> np.ndarray | None:
    """Return the one outer level of every inner level, or None where the two are crossed."""
    link = sparse.coo_array(cross(products, inner, outer))
    (n_inner, r_inner), (_, r_outer) = products.shapes[inner], products.shapes[outer]
    level, above = link.row // r_inner, link.col // r_outer
    highest, lowest = np.full(n_inner, -1), np.full(n_inner, np.iinfo(np.int64).max)
    np.maximum.at(highest, level, above)
    np.minimum.at(lowest, level, above)
    return highest if bool((highest == lowest).all()) else None


def _nested(
    products: Products,
    first: int,
    outer: int,
    rest: tuple[int, ...],
    slices: tuple[slice, ...],
    border: Array,
) -> Nested:
    parent = _parent(products, first, outer)
    assert parent is not None
    (n_inner, r_inner), (n_outer, r_outer) = products.shapes[first], products.shapes[outer]
    blocks = sparse.coo_array(cross(products, first, outer))
    link = np.zeros((n_inner, r_inner, r_outer))
    link[blocks.row // r_inner, blocks.row % r_inner, blocks.col % r_outer] = blocks.data
    total = sparse.csc_array(
        (np.ones(n_inner), parent, np.arange(n_inner + 1)), shape=(n_outer, n_inner)
    ).tocsr()
    inner = Dense(products.diag[first], _beside(products, first, rest), border)
    k = _beside(products, outer, rest)
    return Nested(inner, link, parent, products.diag[outer], k, total)
