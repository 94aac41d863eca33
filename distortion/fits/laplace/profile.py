"""Profiles of −2 log L: one parameter held, all others at their best.

A restriction maps the value x of a parameter and the `others`, one number less than ψ has, to ψ.
`distortion.fits.mixed.profile.end` follows a profile to where an interval ends.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.curvature import hessian
from distortion.fits.laplace.descent import Trace, descend, positive
from distortion.fits.laplace.deviance import Criterion, Evaluation, Laplace
from distortion.fits.laplace.estimation import Estimate, off_zero, rough
from distortion.fits.mixed.profile import Point
from distortion.fits.mixed.template import Template, gather
from distortion.fits.mixed.types import Array


class Restriction(Protocol):
    """ψ as a function of a parameter's value and of the others."""

    def point(self, x: float, others: Array) -> Array:
        """Return ψ."""

    def others(self, point: Array) -> Array:
        """Return the others of a ψ."""

    def jacobian(self, x: float, others: Array) -> Array:
        """Return ∂ψ/∂others, (size, size − 1)."""

    def along(self, x: float, others: Array) -> Array:
        """Return ∂ψ/∂x, (size,)."""


@dataclass(frozen=True, slots=True)
class Entry(Restriction):
    """The entry of ψ at `index`: an SD."""

    index: int

    def point(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        return np.insert(others, self.index, x)

    def others(self, point: Array) -> Array:
        """See `Restriction`."""
        return np.delete(point, self.index)

    def jacobian(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        return np.delete(np.eye(len(others) + 1), self.index, axis=1)

    def along(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        return np.asarray(np.eye(len(others) + 1)[self.index])


@dataclass(frozen=True, slots=True, eq=False)
class Coefficient(Restriction):
    """w'β, with β after m entries of ψ.

    row    w (p,)
    rest   (p, p − 1) orthonormal, w'rest = 0
    """

    m: int
    row: Array
    rest: Array

    @classmethod
    def of(cls, m: int, row: Array) -> "Coefficient":
        """Return it for w."""
        return cls(m, row, np.linalg.qr(row[:, None], mode="complete")[0][:, 1:])

    def point(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        m, p = self.m, len(self.row)
        beta = x * self.row / (self.row @ self.row) + self.rest @ others[m : m + p - 1]
        return np.concatenate([others[:m], beta, others[m + p - 1 :]])

    def others(self, point: Array) -> Array:
        """See `Restriction`."""
        m, p = self.m, len(self.row)
        return np.concatenate([point[:m], self.rest.T @ point[m : m + p], point[m + p :]])

    def jacobian(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        m, p = self.m, len(self.row)
        matrix = np.zeros((len(others) + 1, len(others)))
        matrix[:m, :m] = np.eye(m)
        matrix[m : m + p, m : m + p - 1] = self.rest
        matrix[m + p :, m + p - 1 :] = np.eye(len(others) + 1 - m - p)
        return matrix

    def along(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        found = np.zeros(len(others) + 1)
        found[self.m : self.m + len(self.row)] = self.row / (self.row @ self.row)
        return found


@dataclass(frozen=True, slots=True)
class Angle(Restriction):
    """The angle of two entries of θ, whose cosine is a correlation; `first` becomes their length.

    The second one stands after the first.
    """

    first: int
    second: int

    def point(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        length = others[self.first]
        point = np.insert(others, self.second, length * np.sin(x))
        point[self.first] = length * np.cos(x)
        return point

    def others(self, point: Array) -> Array:
        """See `Restriction`."""
        found = np.delete(point, self.second)
        found[self.first] = np.hypot(point[self.first], point[self.second])
        return found

    def jacobian(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        matrix = np.delete(np.eye(len(others) + 1), self.second, axis=1)
        matrix[self.first, self.first] = np.cos(x)
        matrix[self.second, self.first] = np.sin(x)
        return matrix

    def along(self, x: float, others: Array) -> Array:
        """See `Restriction`."""
        found = np.zeros(len(others) + 1)
        found[self.first] = -others[self.first] * np.sin(x)
        found[self.second] = others[self.first] * np.cos(x)
        return found


@dataclass(frozen=True, eq=False)
class RestrictedEvaluation:
    """An evaluation as one of the others alone."""

    full: Evaluation
    restriction: Restriction
    x: float
    point: Array

    @property
    def value(self) -> float:
        """−2 log L."""
        return self.full.value

    @property
    def gradient(self) -> Array:
        """Derivative in the others."""
        return np.asarray(self.restriction.jacobian(self.x, self.point).T @ self.full.gradient)


@dataclass(frozen=True, eq=False)
class Ordered:
    """An optimum whose factor of one grouping has a chosen order of coefficients.

    matrix     Hessian
    diagonal   which entries of θ are on the diagonal of the factor in that order
    """

    criterion: Criterion
    evaluation: Evaluation
    matrix: Array
    diagonal: np.ndarray


def ordered(estimate: Estimate, k: int, front: tuple[int, ...]) -> Ordered:
    """Put coefficients first in the factor of grouping k: the first SD is then an entry of θ."""
    evaluation = estimate.evaluation
    problem = evaluation.problem
    template, m = problem.template, problem.m
    if len(template.free[k]) == 1:
        diagonal = template.diagonal()
        return Ordered(estimate.criterion, evaluation, estimate.hessian, diagonal)
    free = template.free[k].copy()
    columns = [int(v) for v in np.flatnonzero(free[front[0]] | free[:, front[0]])]
    order = [*front, *(v for v in columns if v not in front)]
    factors = template.factors(evaluation.point[:m])
    square = np.ix_(order, columns)
    lower = np.asarray(np.linalg.qr(factors[k][square].T, mode="r")).T
    factors[k][square] = lower * np.where(np.diagonal(lower) < 0, -1.0, 1.0)
    free[square] = np.tril(np.ones(lower.shape, dtype=bool))
    new = Template((*template.free[:k], free, *template.free[k + 1 :]))
    changed = replace(problem, template=new)
    criterion: Criterion = Laplace(changed, profiled=False)
    point = np.concatenate([gather(factors, new), evaluation.point[m:]])
    found = criterion(point, evaluation)
    place = dict(zip(columns, order, strict=True))
    diagonal = np.array(
        [row == (place.get(c, c) if j == k else c) for j, row, c in new.positions], dtype=bool
    )
    return Ordered(criterion, found, hessian(criterion, found, rough(found)), diagonal)


@dataclass(frozen=True, eq=False)
class Target:
    """A parameter to profile.

    best   the optimum, for conditional modes to begin at
    """

    best: Ordered
    restriction: Restriction

    def at(self, x: float, others: Array) -> Point:
        """Return the restricted optimum at x, started from `others`.

        Raises
        ------
        FitError
            It is not found.
        """
        restriction = self.restriction
        problem = self.best.evaluation.problem
        lifted = off_zero(problem, restriction.point(x, others), self.best.diagonal)
        begun = self._evaluate(x, restriction.others(lifted), self.best.evaluation)
        jacobian = restriction.jacobian(x, begun.point)
        found = descend(
            lambda point, near: self._evaluate(x, point, near.full),
            begun,
            positive(jacobian.T @ self.best.matrix @ jacobian),
            Trace(),
            "profile",
        )
        if not found.converged:
            raise FitError(
                "The likelihood could not be maximised with a parameter held for its profile. Use "
                "bootstrap intervals, or simplify the random terms."
            )
        best = found.evaluation
        slope = best.full.gradient @ restriction.along(x, best.point)
        return Point(best.value, float(slope), best.point)

    def _evaluate(self, x: float, others: Array, near: Evaluation) -> RestrictedEvaluation:
        full = self.best.criterion(self.restriction.point(x, others), near)
        return RestrictedEvaluation(full, self.restriction, x, others)
