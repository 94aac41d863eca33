"""Leverages of rows: h_i = z_i' T z_i with T = Λ M⁻¹ Λ', from blocks of T.

Of T only blocks of levels that meet in a row are needed. With R the border, e what was eliminated,
K = Z_e'W R and W_e as in `distortion.fits.mixed.elimination`,

    T_RR = Λ N⁻¹ Λ',    T_eR = −W_e K T_RR,    T_ee = W_e − T_eR K' W_e,

and the same once more where two nested groupings were eliminated.
"""

from itertools import pairwise

import numpy as np
from scipy.linalg import lapack

from distortion.fits.laplace.design import Design
from distortion.fits.mixed.blocks import per_level
from distortion.fits.mixed.elimination import DenseState, mirrored
from distortion.fits.mixed.nested import NestedState
from distortion.fits.mixed.pairs import SparseState
from distortion.fits.mixed.system import Factor, scale_square
from distortion.fits.mixed.types import Array

# Entries of T_eR that are made at a time where K is sparse: 128 MB.
MOST_ENTRIES = 1 << 24


def leverages(design: Design, factor: Factor) -> Array:
    """Return h, (n,), given the factor of M."""
    plan = factor.plan
    adjoint = _adjoint(factor)
    border = mirrored(adjoint[: plan.q, : plan.q])
    total = np.zeros(design.n)
    for k, blocks in enumerate(_diagonal(factor, adjoint)):
        _add_own(total, design, k, blocks)
    for i, (k, where) in enumerate(zip(plan.rest, plan.slices, strict=True)):
        for j, there in zip(plan.rest[i + 1 :], plan.slices[i + 1 :], strict=True):
            _add_meeting(total, design, k, j, border[where, there])
    state = factor.state
    if isinstance(state, SparseState):
        _add_sparse(total, design, factor, state, border)
    elif isinstance(state, NestedState):
        _add_nested(total, design, factor, state, border, adjoint)
    elif isinstance(state, DenseState) and plan.rest:
        beside = state.wk[:, : plan.q] @ border
        _add_beside(total, design, factor, plan.eliminated[0], -beside)
    return total


def _adjoint(factor: Factor) -> Array:
    """Return Λ N⁻¹ Λ' of the border without X, in the size of the border; upper triangle."""
    q = factor.plan.q
    inverse = np.zeros_like(factor.lower, order="F")
    if q:
        inverse[:q, :q] = lapack.dpotri(factor.lower[:q, :q], lower=1)[0]
    return scale_square(inverse.T, factor.plan, factor.factors, transpose=False)


def _diagonal(factor: Factor, adjoint: Array) -> list[Array]:
    """Return the diagonal blocks of T, (L, r, r) per grouping."""
    plan = factor.plan
    levels = factor.state.levels(adjoint)
    blocks = {k: found.inverse for k, found in zip(plan.eliminated, levels, strict=True)}
    for k, where in zip(plan.rest, plan.slices, strict=True):
        r = len(factor.factors[k])
        at = np.arange(where.start, where.stop).reshape(-1, r)
        low, high = np.minimum, np.maximum
        first, second = at[:, :, None], at[:, None, :]
        blocks[k] = adjoint[low(first, second), high(first, second)]
    return [blocks[k] for k in range(len(blocks))]


def _add_own(total: Array, design: Design, k: int, blocks: Array) -> None:
    """Add what rows owe to the diagonal blocks of grouping k."""
    codes, covariates = design.codes[k], design.covariates[k]
    for u, left in enumerate(covariates):
        for v, right in enumerate(covariates[: u + 1]):
            values = np.ascontiguousarray(blocks[:, u, v]).take(codes)
            _accumulate(total, values, left, right, 1.0 if u == v else 2.0)


def _add_meeting(total: Array, design: Design, j: int, k: int, block: Array) -> None:
    """Add what rows owe to the block of groupings j and k, (L_j r_j, L_k r_k)."""
    for u, left in enumerate(design.covariates[j]):
        rows = design.codes[j] * len(design.covariates[j]) + u
        for v, right in enumerate(design.covariates[k]):
            columns = design.codes[k] * len(design.covariates[k]) + v
            _accumulate(total, block[rows, columns], left, right, 2.0)


def _add_beside(total: Array, design: Design, factor: Factor, e: int, block: Array) -> None:
    for j, where in zip(factor.plan.rest, factor.plan.slices, strict=True):
        _add_meeting(total, design, e, j, block[:, where])


def _add_sparse(
    total: Array, design: Design, factor: Factor, state: SparseState, border: Array
) -> None:
    """Add what the eliminated grouping and the border share, some levels at a time."""
    e = factor.plan.eliminated[0]
    n_levels, r = design.shapes[e]
    size = max(1, MOST_ENTRIES // (r * len(border)))
    if size >= n_levels:
        _add_beside(total, design, factor, e, -per_level(state.weight, state.fixed.c @ border))
        return
    order = np.argsort(design.codes[e], kind="stable")
    ends = np.searchsorted(design.codes[e][order], np.arange(0, n_levels + size, size))
    for first, (start, stop) in zip(range(0, n_levels, size), pairwise(ends), strict=True):
        levels = slice(first, first + size)
        rows = state.fixed.c[first * r : (first + size) * r] @ border
        part = design.rows(order[start:stop], e, first)
        found = np.zeros(part.n)
        _add_beside(found, part, factor, e, -per_level(state.weight[levels], rows))
        total[order[start:stop]] += found


def _add_nested(
    total: Array,
    design: Design,
    factor: Factor,
    state: NestedState,
    border: Array,
    adjoint: Array,
) -> None:
    """Add what two nested eliminated groupings and the border share."""
    e, outer = factor.plan.eliminated
    q = len(border)
    parent = state.fixed.parent
    n_inner, r_inner, r_outer = state.fixed.link.shape
    wlink = state.first.weight @ state.fixed.link  # (L_1, r_1, r_2)
    of_outer = -state.second.wk[:, :q] @ border
    split = of_outer.reshape(len(of_outer) // r_outer, r_outer, q)
    of_inner = -state.first.wk[:, :q] @ border
    of_inner -= (wlink @ split[parent]).reshape(of_inner.shape)
    if q:
        _add_beside(total, design, factor, outer, of_outer)
        _add_beside(total, design, factor, e, of_inner)
    own = state.levels(adjoint)[1].inverse
    shared = -wlink @ own[parent]
    wk = state.first.wk[:, :q].reshape(n_inner, r_inner, q)
    shared -= wk @ split.transpose(0, 2, 1)[parent]
    codes = design.codes[e]
    for u, left in enumerate(design.covariates[e]):
        for v, right in enumerate(design.covariates[outer]):
            values = np.ascontiguousarray(shared[:, u, v]).take(codes)
            _accumulate(total, values, left, right, 2.0)


def _accumulate(
    total: Array, values: Array, left: Array | None, right: Array | None, times: float
) -> None:
    """Add times · left · right · values, destroying `values`."""
    for multiplier in (left, right):
        if multiplier is not None:
            values *= multiplier
    if times != 1.0:
        values *= times
    total += values
