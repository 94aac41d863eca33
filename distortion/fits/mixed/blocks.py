"""Many small matrices at once: (L, r, r) arrays, with plain division where r is 1."""

import numpy as np

from distortion.fits.mixed.types import Array


def diagonal(squares: Array) -> Array:
    """Return the diagonals of (…, r, r) as a view."""
    return np.asarray(np.einsum("...uu->...u", squares))


def inner(factor: Array, diag: Array) -> tuple[Array, float]:
    """Return W = Λ (I + Λ'A Λ)⁻¹ Λ', (L, r, r), and Σ log |I + Λ'A Λ|, for A of every level.

    Defined for singular Λ as well.
    """
    if factor.shape == (1, 1):
        variance = factor[0, 0] ** 2
        inflated = 1.0 + variance * diag
        return variance / inflated, float(np.log(inflated).sum())
    inflated = factor.T @ diag @ factor
    diagonal(inflated)[:] += 1.0
    lower = np.linalg.cholesky(inflated)
    logdet = 2.0 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())
    return np.asarray(factor @ np.linalg.inv(inflated) @ factor.T), logdet


def per_level(blocks: Array, rows: Array) -> Array:
    """Return block times rows of every level: (L, r, r) and (L r, m) give (L r, m).

    One block (1, r, r) is that of all levels.
    """
    r = blocks.shape[1]
    if r == 1:
        return np.asarray(blocks[:, 0] * rows)
    return np.asarray((blocks @ rows.reshape(len(rows) // r, r, -1)).reshape(rows.shape))


def level_products(left: Array, right: Array, r: int) -> Array:
    """Return left_l right_l' of every level l: (L r, m) twice give (L, r, r)."""
    if r == 1:
        return np.asarray(np.einsum("lm,lm->l", left, right)[:, None, None])
    split = len(left) // r, r, -1
    return np.asarray(left.reshape(split) @ right.reshape(split).transpose(0, 2, 1))
