"""Removing two groupings, one nested in the other: classes of networks, then networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distortion.fits.mixed.blocks import per_level
from distortion.fits.mixed.elimination import Dense, DenseState, Levels, mirrored
from distortion.fits.mixed.types import Array


@dataclass(frozen=True, slots=True)
class Nested:
    """Elimination of a grouping, then of the one in which it is nested.

    inner      the nested grouping, its K without the columns of the outer one
    link       (L_1, r_1, r_2): Z_1'Z_2 of each inner level and its one outer level
    parent     (L_1,) outer level of each inner level
    diag, k    of the outer grouping, as in `Dense`
    """

    inner: Dense
    link: Array
    parent: np.ndarray
    diag: Array
    k: Array
    total: Any  # (L_2, L_1) sparse: sums inner levels into outer ones

    def at(self, factors: list[Array]) -> "NestedState":
        """Eliminate with the given Λ, one per eliminated grouping."""
        first = self.inner.at(factors[:1])
        linked = self.link.transpose(0, 2, 1)  # (L_1, r_2, r_1)
        wlink = first.weight @ self.link
        lost = self.total @ (linked @ wlink).reshape(len(linked), -1)
        second = Dense(
            self.diag - lost.reshape(self.diag.shape),
            self.k - self.sum_up(linked, first.wk),
            first.border,
        )
        return NestedState(self, first, second.at(factors[1:]))

    def sum_up(self, linked: Array, rows: Array) -> Array:
        """Sum link' rows of inner levels into outer levels: (L_1 r_1, m) gives (L_2 r_2, m)."""
        n_inner, _, r_inner = linked.shape
        product = linked @ rows.reshape(n_inner, r_inner, -1)
        summed = self.total @ product.reshape(n_inner, -1)
        return np.asarray(summed.reshape(len(self.diag) * linked.shape[1], -1))


@dataclass(frozen=True, slots=True)
class NestedState:
    """`Nested` at a value of θ."""

    fixed: Nested
    first: DenseState
    second: DenseState

    @property
    def logdet(self) -> float:
        """Log-determinants of both groupings."""
        return self.first.logdet + self.second.logdet

    @property
    def border(self) -> Array:
        """What both groupings leave."""
        return self.second.border

    def _reduced(self, ze: list[Array]) -> Array:
        linked = self.fixed.link.transpose(0, 2, 1)
        weighted = per_level(self.first.weight, ze[0])
        return ze[1] - self.fixed.sum_up(linked, weighted)

    def reduce(self, ze: list[Array]) -> Array:
        """See `State`."""
        return self.first.reduce(ze[:1]) + self.second.reduce([self._reduced(ze)])

    def back(self, ze: list[Array], solved: Array) -> list[Array]:
        """See `State`."""
        [outer] = self.second.back([self._reduced(ze)], solved)
        n_outer, r = self.second.weight.shape[:2]
        of_parent = outer.reshape(n_outer, r, -1)[self.fixed.parent]
        pulled = (self.fixed.link @ of_parent).reshape(len(ze[0]), -1)
        return [*self.first.back([ze[0] - pulled], solved), outer]

    def levels(self, adjoint: Array) -> list[Levels]:
        """See `State`."""
        link, parent, w2 = self.fixed.link, self.fixed.parent, self.second.weight
        adjoint = mirrored(adjoint)
        n_inner, r_inner, r = link.shape
        outer = self.second.outer(adjoint)
        of_diag = Levels(self.second.fixed.diag, w2, outer).inverse[parent]
        of_k = -(self.second.wk @ adjoint).reshape(len(w2), r, -1)[parent]
        k1 = self.first.fixed.k.reshape(n_inner, r_inner, -1)
        mixed = link @ of_k @ k1.transpose(0, 2, 1)
        collected = link @ of_diag @ link.transpose(0, 2, 1) + mixed + mixed.transpose(0, 2, 1)
        collected += self.first.outer(adjoint)
        return [
            Levels(self.first.fixed.diag, self.first.weight, collected),
            Levels(self.second.fixed.diag, w2, outer),
        ]
