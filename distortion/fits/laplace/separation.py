"""Separated counts: directions of the fixed effects along which the likelihood never stops rising.

Counts are separated if some γ ≠ 0 has x'γ >= 0 in rows of successes only, x'γ <= 0 in rows of
failures only (Poisson: rows without counts), and x'γ = 0 in all others. The smallest such γ, in the
sum of absolute values, is the solution of a linear programme.
Source: Konis (2007), Linear programming algorithms for detecting separated data.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from distortion.fits.laplace.family import Counts
from distortion.fits.laplace.links import Link, Log
from distortion.fits.mixed.types import Array

# Where no probability or rate is below this, the search for an optimum has met no separation:
# it would have followed it further.
CERTAIN = 1e-8
NEGLIGIBLE = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """A direction γ (p,) of the columns of X, and the rows (n,) that it separates."""

    direction: Array
    rows: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """Positions of the columns involved."""
        return np.flatnonzero(np.abs(self.direction) > 1e-6 * np.abs(self.direction).max())


def nearly_certain(eta: Array, link: Link) -> bool:
    """Return whether fixed effects alone make an outcome next to certain: worth a closer look."""
    smallest = link.mean(eta).min()
    if not isinstance(link, Log):
        smallest = min(smallest, 1.0 - link.mean(eta).max())
    return bool(smallest < CERTAIN)


def extreme(counts: Counts, limited: bool) -> Array:
    """Return 1 for rows of successes only, −1 for rows without successes, 0 for others, (n,).

    `limited` counts are out of a number of trials.
    """
    signs = np.where(counts.y == 0.0, -1.0, 0.0)
    return np.where(counts.y == counts.size, 1.0, signs) if limited else signs


def find_separation(x: Array, counts: Counts, limited: bool) -> Separation | None:
    """Return the simplest direction that separates the counts of the columns X (n, p)."""
    scale = np.abs(x).max(axis=0)
    scale[scale == 0.0] = 1.0
    signs = extreme(counts, limited)
    rows, position = np.unique(np.column_stack([x / scale, signs]), axis=0, return_inverse=True)
    sides = rows[:, -1]
    free = sides != 0.0
    signed = rows[free, :-1] * sides[free, None]
    if not len(signed):
        return None
    # γ = g − h with g, h >= 0: minimise Σ g + h, signed γ >= 0, others γ = 0, Σ signed γ = 1
    mixed = rows[~free, :-1]
    equal = np.vstack([signed.sum(axis=0), mixed])
    p = x.shape[1]
    found = linprog(
        np.ones(2 * p),
        A_ub=np.hstack([-signed, signed]),
        b_ub=np.zeros(len(signed)),
        A_eq=np.hstack([equal, -equal]),
        b_eq=np.concatenate([[1.0], np.zeros(len(mixed))]),
        method="highs",
    )
    if found.status != 0:
        return None
    direction = found.x[:p] - found.x[p:]
    along = rows[:, :-1] @ direction
    separated = np.abs(along) > NEGLIGIBLE * np.abs(along).max()
    return Separation(direction / scale, separated[position.ravel()])
