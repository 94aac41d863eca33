"""Profile likelihood of a contrast of γ: the contrast held, everything else at its best."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.descent import Trace, descend, positive
from distortion.fits.laplace.profile import Coefficient
from distortion.fits.mixed.profile import Point, end
from distortion.fits.mixed.types import Array
from distortion.structural.likelihood import Evaluation
from distortion.structural.optimum import Optimum, hessian, lifted

# An end that is further off than this, in standard errors, is called infinite.
FURTHEST = 50.0
# Searches for a restricted optimum, each with a new Hessian.
MOST_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Held:
    """An evaluation as one of the parameters that are not held."""

    full: Evaluation
    contrast: Coefficient
    point: Array

    @property
    def value(self) -> float:
        """−2 log L."""
        return self.full.value

    @property
    def gradient(self) -> Array:
        """Derivative in the parameters that are not held."""
        full, p = self.full.gradient, len(self.contrast.row)
        return np.concatenate([self.contrast.rest.T @ full[:p], full[p:]])


class Contrast:
    """row'γ at one optimum; `at` makes it a `distortion.fits.mixed.profile.Target`."""

    def __init__(self, optimum: Optimum, row: Array) -> None:
        self.optimum, self.coefficient = optimum, Coefficient.of(0, row)
        self.estimate = float(row @ optimum.evaluation.point[: len(row)])
        covariance = optimum.covariance[: len(row), : len(row)]
        self.std_error = float(np.sqrt(row @ covariance @ row))

    @cached_property
    def matrix(self) -> Array:
        """The Hessian at the optimum in the parameters that are not held."""
        return self._reduced(self.optimum.matrix)

    def at(self, x: float, others: Array) -> Point:
        """Return the restricted optimum at x, started from `others`.

        Raises
        ------
        FitError
            It is not found.
        """
        contrast, criterion = self.coefficient, self.optimum.criterion
        begun = lifted(criterion, contrast.point(x, others))
        best = self._evaluate(x, contrast.others(begun), self.optimum.evaluation)
        matrix = self.matrix
        for _ in range(MOST_ROUNDS):
            found = descend(
                lambda point, near: self._evaluate(x, point, near.full),
                best,
                matrix,
                Trace(),
                "profile",
            )
            if found.converged:
                break
            best = found.evaluation
            matrix = self._reduced(hessian(criterion, best.full)[0])
        else:
            raise FitError("The likelihood could not be maximised with a contrast of γ held.")
        best = found.evaluation
        slope = best.full.gradient @ contrast.along(x, best.point)
        return Point(best.value, float(slope), best.point)

    def root(self, null: float) -> float:
        """The signed root of the likelihood ratio of row'γ = null."""
        start = self.coefficient.others(self.optimum.evaluation.point)
        rise = self.at(null, start).deviance - self.optimum.evaluation.value
        return float(np.copysign(np.sqrt(max(rise, 0.0)), self.estimate - null))

    def interval(self, z: float) -> tuple[float, float]:
        """Where the root is ±z; an end that is not found near is infinite."""
        start = self.coefficient.others(self.optimum.evaluation.point)
        least = self.optimum.evaluation.value
        found = []
        for side in (-1.0, 1.0):
            bound = self.estimate + side * FURTHEST * self.std_error
            step = side * z * self.std_error
            x = end(self, least, z, self.estimate, step, start, bound)
            found.append(side * np.inf if x == bound else x)
        return found[0], found[1]

    def _reduced(self, matrix: Array) -> Array:
        """A Hessian in the parameters that are not held, made positive."""
        jacobian = self.coefficient.jacobian(0.0, np.zeros(len(matrix) - 1))
        return positive(jacobian.T @ matrix @ jacobian)

    def _evaluate(self, x: float, others: Array, near: Evaluation) -> Held:
        full = self.optimum.criterion(self.coefficient.point(x, others), near)
        return Held(full, self.coefficient, others)
