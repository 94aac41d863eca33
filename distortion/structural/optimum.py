"""From a start to the maximum of the likelihood, and its Hessian there.

ψ without μ is short, so its rows of the Hessian are differences of the exact gradient; the block
of μ, with W taken as fixed, is known in closed form. Quasi-Newton steps begin with both.

What μ leaves to the other parameters is the smallest value over T of

    [I T'] H [I T']',    T = −H_μμ⁻¹ H_μψ at the smallest,

so a T that is a few per cent wrong, as the approximate block makes it, gives that Hessian up to the
square of the error.
"""

from dataclasses import dataclass, replace

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.descent import Trace, descend, positive, second_opinion
from distortion.fits.mixed.types import Array
from distortion.structural.latent import Successes
from distortion.structural.likelihood import Criterion, Evaluation
from distortion.structural.parameters import Parameters
from distortion.structural.start import start

# Steps of central differences, as a share of a parameter, or of the least share.
STEP, LEAST = 1e-4, 0.1
# SDs below this are compared with zero, which may cost so much of −2 log L.
NEARLY_ZERO, INDIFFERENT = 0.03, 1e-6
# SDs below this are lifted before a search that may want them larger.
LIFTED = 0.01
# Eigenvalues of a Hessian, on the scale of its diagonal, below which it is flat, or a saddle.
FLAT, SADDLE = 1e-7, 1e-4
MOST_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Optimum:
    """The maximum of the likelihood.

    matrix    approximate Hessian of −2 log L in ψ
    reduced   that in ψ without μ, μ being at its best everywhere
    """

    criterion: Criterion
    evaluation: Evaluation
    matrix: Array
    reduced: Array
    converged: bool

    @property
    def covariance(self) -> Array:
        """Covariance of ψ without μ: 2 / reduced, without directions in which it is flat."""
        scale, values, vectors = _spectrum(self.reduced)
        inverse = np.where(values > FLAT, 1.0 / np.maximum(values, FLAT), 0.0)
        return np.asarray(2.0 * (vectors * inverse) @ vectors.T / np.outer(scale, scale))


def maximise(successes: Successes, parameters: Parameters) -> Optimum:
    """Maximise the likelihood.

    Returns
    -------
    In γ, or where τ is at zero in γ τ: `criterion.parameters` says so.

    Raises
    ------
    FitError
        No modes are found at the point.
    """
    criterion = Criterion(successes, replace(parameters, products=True))
    best, converged = criterion(start(successes, criterion.parameters), None), False
    for _ in range(MOST_ROUNDS):
        best, converged = _settled(criterion, best)
        best = _zeroed(criterion, best)
        best = criterion(criterion.parameters.canonical(best.point), None)
        lower = _off_saddle(criterion, best, hessian(criterion, best)[1])
        if lower is None:
            break
        best, converged = lower, False
    if best.point[parameters.tau] > 0.0:
        criterion = Criterion(successes, parameters)
        best = criterion(parameters.point(best.state.loadings), best)
    return Optimum(criterion, best, *hessian(criterion, best), converged)


def hessian(criterion: Criterion, at: Evaluation) -> tuple[Array, Array]:
    """The Hessian in ψ with an approximate block of μ, and what μ leaves of it."""
    count = criterion.parameters.levels.start
    rows = _differences(criterion, at, np.eye(len(at.point))[:count])
    matrix = np.zeros((len(at.point), len(at.point)))
    matrix[:count], matrix[:, :count] = rows, rows.T
    matrix[:count, :count] = (rows[:, :count] + rows[:, :count].T) / 2.0
    matrix[count:, count:] = at.curvature_of_levels
    follow = -np.linalg.solve(matrix[count:, count:], rows[:, count:].T).T
    directions = np.hstack([np.eye(count), follow])
    reduced = _differences(criterion, at, directions) @ directions.T
    return matrix, (reduced + reduced.T) / 2.0


def lifted(criterion: Criterion, point: Array) -> Array:
    """A point whose SDs are not at zero, where the likelihood is level."""
    point = point.copy()
    which = criterion.parameters.deviations
    point[which] = np.where(np.abs(point[which]) < LIFTED, LIFTED, point[which])
    return point


def _settled(criterion: Criterion, begun: Evaluation) -> tuple[Evaluation, bool]:
    matrix = positive(hessian(criterion, begun)[0])
    found = descend(criterion, begun, matrix, Trace(), "laplace")
    if found.converged:
        return found.evaluation, True
    best = second_opinion(criterion, found.evaluation, positive(found.matrix), Trace())
    matrix = positive(hessian(criterion, best)[0])
    again = descend(criterion, best, matrix, Trace(), "again")
    return again.evaluation, again.converged


def _differences(criterion: Criterion, at: Evaluation, directions: Array) -> Array:
    """Derivatives of the gradient along directions, which are rows."""
    count = criterion.parameters.levels.start
    sizes = STEP * np.maximum(np.abs(at.point[:count]), LEAST)
    found = [
        (
            criterion(at.point + size * direction, at).gradient
            - criterion(at.point - size * direction, at).gradient
        )
        / (2.0 * size)
        for size, direction in zip(sizes, directions, strict=True)
    ]
    return np.array(found)


def _zeroed(criterion: Criterion, best: Evaluation) -> Evaluation:
    """Put SDs at zero that are next to it and no better for that."""
    for i in criterion.parameters.deviations:
        if 0.0 < abs(best.point[i]) < NEARLY_ZERO:
            point = best.point.copy()
            point[i] = 0.0
            candidate = criterion(point, best)
            if candidate.value <= best.value + INDIFFERENT:
                best = candidate
    return best


def _off_saddle(criterion: Criterion, best: Evaluation, reduced: Array) -> Evaluation | None:
    """A better point along a direction of negative curvature, if there is one."""
    scale, values, vectors = _spectrum(reduced)
    if values[0] > -SADDLE:
        return None
    direction = np.zeros_like(best.point)
    direction[: len(values)] = vectors[:, 0] / scale
    for length in (1.0, 0.3, 0.1, 0.03, 0.01):
        for sign in (1.0, -1.0):
            try:
                candidate = criterion(best.point + sign * length * direction, best)
            except FitError:
                continue
            if candidate.value < best.value - INDIFFERENT:
                return candidate
    return None


def _spectrum(matrix: Array) -> tuple[Array, Array, Array]:
    """Scale of the diagonal, and eigenvalues (rising) and -vectors of the matrix on that scale."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), 1e-8))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    return scale, values, vectors
