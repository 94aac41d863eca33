"""Removing the largest grouping, level by level, before anything dense is factorised.

The columns of Z of one grouping do not overlap between levels, so its block of Z'V⁻¹Z falls apart
into (r, r) pieces. What they leave behind is the *border*: the other groupings (columns R) and X,

    border = [R X]'[R X] − K' W K,      K = Z_e'[R X],   W = Λ (I + Λ'A Λ)⁻¹ Λ'.

`Dense` keeps K as an array; `nested.Nested` removes a second grouping as well, in which the first
is nested; `pairs.Sparse` keeps Z_e'R sparse and turns its products into one matrix, built once.

Of symmetric matrices (border, adjoint) only the upper triangle is meant.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from distortion.fits.mixed.blocks import inner, level_products, per_level
from distortion.fits.mixed.types import Array


def mirrored(upper: Array) -> Array:
    """Return the symmetric matrix of which only the upper triangle is given."""
    return np.where(np.tri(len(upper), k=-1, dtype=np.bool_), upper.T, upper)


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of an eliminated grouping, each (L, r, r), beside an adjoint B̄ of the border.

    diag     A = Z_e'Z_e, less what was eliminated before
    weight   W = Λ (I + Λ'A Λ)⁻¹ Λ'
    outer    Y = K B̄ K', diagonal blocks
    """

    diag: Array
    weight: Array
    outer: Array

    @property
    def inverse(self) -> Array:
        """Diagonal blocks of Λ M⁻¹ Λ' where B̄ is that of the border: W + W Y W."""
        return np.asarray(self.weight + self.weight @ self.outer @ self.weight)

    @property
    def score(self) -> Array:
        """Derivative in Σ of log|M_e| + tr(B̄ border): Σ_l K A − K Y K', K = I − A W, (r, r)."""
        if self.diag.shape[1] == 1:
            shrink = 1.0 - self.diag * self.weight
            return np.asarray((shrink * self.diag - shrink**2 * self.outer).sum(axis=0))
        shrink = np.eye(self.diag.shape[1]) - self.diag @ self.weight
        lost = shrink @ self.outer @ shrink.transpose(0, 2, 1)
        score = (shrink @ self.diag - lost).sum(axis=0)
        return np.asarray((score + score.T) / 2)


class State(Protocol):
    """An elimination at given factors."""

    @property
    def logdet(self) -> float:
        """Log-determinant of what was eliminated."""

    @property
    def border(self) -> Array:
        """What the elimination leaves, (border, border)."""

    def reduce(self, ze: list[Array]) -> Array:
        """Return K' W F of responses F = Z_e'Y, summed over what was eliminated: (border, m)."""

    def back(self, ze: list[Array], solved: Array) -> list[Array]:
        """Return b of the eliminated groupings, given that of the border, (border, m)."""

    def levels(self, adjoint: Array) -> "list[Levels]":
        """Return what an adjoint of the border means for every level, one per grouping."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Elimination with a dense K.

    diag     (L, r, r): Z_e'Z_e
    k        (L r, border): Z_e'[R X]
    border   (border, border): [R X]'[R X]
    """

    diag: Array
    k: Array
    border: Array

    def at(self, factors: list[Array]) -> "DenseState":
        """Eliminate with the given Λ, one per eliminated grouping."""
        weight, logdet = inner(factors[0], self.diag)
        wk = per_level(weight, self.k)
        return DenseState(self, weight, wk, logdet, self.border - self.k.T @ wk)


@dataclass(frozen=True, slots=True)
class DenseState:
    """`Dense` at a value of θ."""

    fixed: Dense
    weight: Array
    wk: Array
    logdet: float
    border: Array

    def reduce(self, ze: list[Array]) -> Array:
        """See `State`."""
        return np.asarray(self.wk.T @ ze[0])

    def back(self, ze: list[Array], solved: Array) -> list[Array]:
        """See `State`."""
        return [per_level(self.weight, ze[0]) - self.wk @ solved]

    def outer(self, adjoint: Array) -> Array:
        """Return K adjoint K' of every level, (L, r, r), of a full adjoint."""
        return level_products(self.fixed.k @ adjoint, self.fixed.k, self.weight.shape[1])

    def levels(self, adjoint: Array) -> list[Levels]:
        """See `State`."""
        return [Levels(self.fixed.diag, self.weight, self.outer(mirrored(adjoint)))]
