"""Cross-products Z'W Z for weights that change: what does not change is worked out once.

A row adds to one place of every block of Z'W Z, so a block is one `bincount` of the weights. Where
that place is, and which elimination suits, depends on the codes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse

from distortion.errors import FitError
from distortion.fits.laplace.design import Design
from distortion.fits.laplace.refill import Refill
from distortion.fits.mixed.pairs import Sparse
from distortion.fits.mixed.plan import make_plan
from distortion.fits.mixed.products import DENSE_ENTRIES, DENSE_SHARE, Products, Responses
from distortion.fits.mixed.system import Factor, factorise
from distortion.fits.mixed.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Crossing:
    """Where the rows stand in Z_j'W Z_k, the grouping with more columns being j.

    slot       (n,) which block of (r_j, r_k) entries a row adds to
    n_slots    how many there are: all L_j L_k if dense
    place      (n_slots, r_j, r_k) of each entry in the data of a csr matrix; None if dense
    """

    j: int
    k: int
    slot: np.ndarray
    n_slots: int
    place: np.ndarray | None
    indices: np.ndarray
    indptr: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Weighting:
    """A design and the structure of its cross-products, which does not depend on its counts.

    crossings   every pair of groupings
    refill      the elimination that leaves least work
    """

    design: Design
    crossings: tuple[Crossing, ...]
    refill: Refill

    @classmethod
    def of(cls, design: Design, names: Sequence[str]) -> "Weighting":
        """Work out the structure; `names` of the grouping factors are for messages.

        Raises
        ------
        FitError
            Two large crossed groupings would remain for a dense factor.
        """
        pairs = list(combinations(range(len(design.shapes)), 2))
        ones = np.ones(design.n)
        crossings = tuple(_crossing(design, *pair) for pair in pairs)
        products = _products(design, crossings, ones, fixed=False)
        plan = make_plan(products, tuple(names))
        if isinstance(plan.elimination, Sparse):
            e = plan.eliminated[0]
            crossings = tuple(
                _crossing(design, *pair, dense=False) if e in pair else crossing
                for pair, crossing in zip(pairs, crossings, strict=True)
            )
            products = _products(design, crossings, ones, fixed=False)
        return cls(design, crossings, Refill(plan, products))

    def factorise(self, weight: Array, factors: Sequence[Array], *, fixed: bool) -> Factor:
        """Factorise Λ'Z'W ZΛ + I, with the columns of X beside it if `fixed`.

        Raises
        ------
        FitError
            It is not positive: W may be negative, or leaves a column of X nothing to be estimated
            from, or Λ is out of all proportion.
        """
        products = _products(self.design, self.crossings, weight, fixed=fixed)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            try:
                factor = factorise(products, self.refill(products), list(factors))
                positive = np.isfinite(factor.logdet_v)
            except np.linalg.LinAlgError:
                positive = False
        if not positive:
            raise FitError(
                "The random effects cannot be solved for: their variances are out of proportion "
                "to the counts. Rescale the covariates, or simplify the random terms."
            )
        return factor

    def response(self, values: Array, *, fixed: bool) -> Responses:
        """Return the cross-products of W⁻¹ values, (n,), for `Factor.solve`."""
        zy = tuple(block[:, None] for block in self.design.collect(values))
        xy = self.design.x.T @ values if fixed else np.zeros(0)
        return Responses(zy, xy[:, None], np.zeros((1, 1)))


def _products(
    design: Design, crossings: Sequence[Crossing], weight: Array, *, fixed: bool
) -> Products:
    diag, zx = [], []
    weighted = design.x * weight[:, None] if fixed else np.zeros((design.n, 0))
    for (n_levels, r), codes, covariates in zip(
        design.shapes, design.codes, design.covariates, strict=True
    ):
        blocks = np.empty((n_levels, r, r))
        beside = np.zeros((n_levels * r, weighted.shape[1]))
        for u, left in enumerate(covariates):
            part = weight if left is None else weight * left
            for v, right in enumerate(covariates[: u + 1]):
                values = part if right is None else part * right
                blocks[:, u, v] = np.bincount(codes, values, minlength=n_levels)
                blocks[:, v, u] = blocks[:, u, v]
            if fixed:
                beside[u::r] = _indicator(codes, left, n_levels) @ weighted
        diag.append(blocks)
        zx.append(beside)
    xx = weighted.T @ design.x if fixed else np.zeros((0, 0))
    cross = dict(_cross(design, crossing, weight) for crossing in crossings)
    return Products(design.n, design.shapes, tuple(diag), cross, tuple(zx), xx, 0.0)


def _cross(design: Design, crossing: Crossing, weight: Array) -> tuple[tuple[int, int], Any]:
    j, k = crossing.j, crossing.k
    (n_j, r_j), (n_k, r_k) = design.shapes[j], design.shapes[k]
    place = crossing.place
    filled = np.empty((n_j * r_j, n_k * r_k) if place is None else place.size)
    for u, left in enumerate(design.covariates[j]):
        part = weight if left is None else weight * left
        for v, right in enumerate(design.covariates[k]):
            values = part if right is None else part * right
            counted = np.bincount(crossing.slot, values, minlength=crossing.n_slots)
            if place is None:
                filled[u::r_j, v::r_k] = counted.reshape(n_j, n_k)
            else:
                filled[place[:, u, v]] = counted
    block: Any = filled
    if place is not None:
        shape = (n_j * r_j, n_k * r_k)
        block = sparse.csr_array((filled, crossing.indices, crossing.indptr), shape=shape)
    return ((j, k), block) if j < k else ((k, j), block.T)


def _crossing(design: Design, j: int, k: int, *, dense: bool = True) -> Crossing:
    columns = [n_levels * r for n_levels, r in design.shapes]
    if columns[j] < columns[k]:
        j, k = k, j
    (n_j, r_j), (n_k, r_k) = design.shapes[j], design.shapes[k]
    key = design.codes[j] * n_k + design.codes[k]
    none = np.zeros(0, dtype=np.int32)
    if dense and n_j * n_k * r_j * r_k <= DENSE_ENTRIES:
        filled = np.count_nonzero(np.bincount(key, minlength=n_j * n_k))
        if filled >= DENSE_SHARE * n_j * n_k:
            return Crossing(j, k, key, n_j * n_k, None, none, none)
    touched, slot = np.unique(key, return_inverse=True)
    level, other = np.divmod(touched, n_k)
    counts = np.bincount(level, minlength=n_j)
    starts = np.cumsum(counts) - counts
    # the r_j rows of a level stand one after the other, each with all its blocks
    within = np.arange(len(touched)) - starts[level]
    place = (
        (starts[level] * r_j * r_k + within * r_k)[:, None, None]
        + (np.arange(r_j) * r_k)[:, None] * counts[level][:, None, None]
        + np.arange(r_k)
    )
    indices = np.empty(place.size, dtype=np.int32)
    indices[place] = (other * r_k)[:, None, None] + np.arange(r_k)
    ends = np.cumsum(np.repeat(counts * r_k, r_j))
    indptr = np.concatenate([[0], ends]).astype(np.int32)
    return Crossing(j, k, slot.astype(np.intp), len(touched), place, indices, indptr)


def _indicator(codes: np.ndarray, values: Array | None, n_levels: int) -> Any:
    """Z' of one covariate, (L, n): one entry per row of the data."""
    filled = np.ones(len(codes)) if values is None else values
    ends = np.arange(len(codes) + 1)
    return sparse.csc_array((filled, codes, ends), shape=(n_levels, len(codes)))
