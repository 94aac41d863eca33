"""From θ to the relative covariance factors, and which sign of θ is reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distortion.fits.mixed.types import Array


@dataclass(frozen=True)
class Template:
    """Where the entries of θ stand in the factors Λ_k.

    free   per grouping (r, r) bool: entries of the lower triangle that are parameters
    """

    free: tuple[np.ndarray, ...]

    @cached_property
    def positions(self) -> list[tuple[int, int, int]]:
        """(grouping, row, column) of every entry of θ, column by column as lme4 orders them."""
        return [
            (k, int(row), int(column))
            for k, free in enumerate(self.free)
            for column, row in np.argwhere(free.T)
        ]

    @property
    def n_parameters(self) -> int:
        """Length of θ."""
        return sum(int(free.sum()) for free in self.free)

    def factors(self, theta: Array) -> list[Array]:
        """Return Λ_k, (r, r) lower triangular, of every grouping."""
        factors = [np.zeros(free.shape) for free in self.free]
        for value, (k, row, column) in zip(theta, self.positions, strict=True):
            factors[k][row, column] = value
        return factors

    def start(self, scale: float = 1.0) -> Array:
        """Return θ of factors that are `scale` times the identity."""
        return np.array([scale * (row == column) for _, row, column in self.positions])

    def canonical(self, theta: Array) -> Array:
        """Return the θ of the same covariance whose factors have no negative diagonal.

        The criterion is even in every column of every factor, so the optimizer needs no bounds.
        """
        positions = self.positions
        negative = {
            (k, column)
            for value, (k, row, column) in zip(theta, positions, strict=True)
            if row == column and value < 0
        }
        signs = [-1.0 if (k, column) in negative else 1.0 for k, _, column in positions]
        return np.asarray(theta * np.array(signs))

    def diagonal(self) -> np.ndarray:
        """Return which entries of θ stand on a diagonal, (m,) bool."""
        return np.array([row == column for _, row, column in self.positions], dtype=bool)


def slope(factor: Array, row: int, column: int) -> Array:
    """Return the derivative of Σ = Λ Λ', (r, r), in one entry of Λ."""
    change = np.zeros_like(factor)
    change[row] = factor[:, column]
    return change + change.T


def gather(matrices: Sequence[Array], template: Template) -> Array:
    """Return the entries of one (r, r) matrix per grouping that belong to θ, (m,)."""
    return np.array([matrices[k][row, column] for k, row, column in template.positions])
