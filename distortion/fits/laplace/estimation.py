"""From a problem to its optimum: a quick fit first, then the likelihood itself."""

from dataclasses import dataclass, replace

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.curvature import hessian, information
from distortion.fits.laplace.descent import Descent, Trace, descend, second_opinion
from distortion.fits.laplace.deviance import (
    Criterion,
    Evaluation,
    Laplace,
    LaplaceEvaluation,
    Problem,
    find_modes,
    split,
)
from distortion.fits.laplace.quadrature import Quadrature
from distortion.fits.laplace.start import SMALLEST_SHAPE, fixed_effects, variances
from distortion.fits.mixed.types import Array

# The quick fit stops when a step would lower −2 log L by less than this.
ROUGH = 1e-2
# SDs of random effects below this are compared with zero.
NEARLY_ZERO = 1e-2
# How much a zero may cost in −2 log L, besides rounding.
INDIFFERENT = 1e-7
# Expected decrease of −2 log L, absolute and relative, that is still called an optimum.
CONVERGED = 1e-6
RELATIVE = 1e-12
# Eigenvalues of a Hessian on the scale of its diagonal below which it says nothing.
FLAT = 1e-7
# Below minus this, such an eigenvalue is of a saddle; so many are left before giving up.
SADDLE = 1e-4
MOST_SADDLES = 3


@dataclass(frozen=True, eq=False)
class Estimate:
    """An optimum with its Hessian.

    evaluation   there; its point is θ, β, ν
    laplace      the best of Laplace's approximation
    matrix       rough Hessian, for those who go on from here
    hessian      of −2 log L
    converged    whether the gradient vanishes and no direction of negative curvature leads lower
    """

    criterion: Criterion
    evaluation: Evaluation
    laplace: LaplaceEvaluation
    matrix: Array
    hessian: Array
    converged: bool
    trace: Trace
    notes: tuple[str, ...]

    @property
    def covariance(self) -> Array:
        """2 H⁻¹, without directions in which the criterion is flat."""
        scale, values, vectors = _spectrum(self.hessian)
        inverse = np.where(values > FLAT, 1.0 / np.maximum(values, FLAT), 0.0)
        return np.asarray(2.0 * (vectors * inverse) @ vectors.T * np.outer(scale, scale))


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the search ended.

    laplace   the best of Laplace's approximation, from where quadrature sets out
    matrix    rough Hessian
    """

    criterion: Criterion
    evaluation: Evaluation
    laplace: LaplaceEvaluation
    matrix: Array
    converged: bool
    trace: Trace
    notes: tuple[str, ...]


def optimum(problem: Problem, n_points: int = 1, near: Evaluation | None = None) -> Optimum:
    """Minimise −2 log L by Laplace's approximation, or with `n_points` nodes.

    Parameters
    ----------
    near : an optimum for similar counts, to begin there

    Raises
    ------
    FitError
        No conditional modes are found, or a column of X has nothing to be estimated from.
    """
    trace = Trace()
    laplace = Laplace(problem, profiled=False)
    begun = _quick(problem, trace) if near is None else _again(laplace, near, trace)
    trace.add("laplace", begun)
    found, notes = _settled(laplace, begun, trace, "laplace")
    best = _zeroed(laplace, found.evaluation, trace)
    assert isinstance(best, LaplaceEvaluation)
    if n_points == 1:
        return Optimum(laplace, best, best, found.matrix, found.converged, trace, notes)
    criterion = Quadrature(problem, n_points)
    started = criterion(found.evaluation.point, found.evaluation)
    trace.add("quadrature", started)
    found, more = _settled(criterion, started, trace, "quadrature", found.matrix)
    evaluation = _zeroed(criterion, found.evaluation, trace)
    return Optimum(criterion, evaluation, best, found.matrix, found.converged, trace, notes + more)


def estimate(problem: Problem, n_points: int = 1, near: Evaluation | None = None) -> Estimate:
    """Return the optimum with its Hessian; parameters and errors as `optimum`."""
    found = optimum(problem, n_points, near)
    matrix = hessian(found.criterion, found.evaluation, found.matrix)
    saddles = 0
    while (lower := _off_saddle(found, matrix)) is not None and saddles < MOST_SADDLES:
        found, saddles = lower, saddles + 1
        matrix = hessian(found.criterion, found.evaluation, found.matrix)
    evaluation, decrement = _polished(found.criterion, found.evaluation, matrix, found.trace)
    enough = max(CONVERGED, RELATIVE * abs(evaluation.value))
    converged = lower is None and decrement <= enough
    laplace = evaluation if isinstance(evaluation, LaplaceEvaluation) else found.laplace
    return Estimate(
        found.criterion, evaluation, laplace, found.matrix, matrix, converged, found.trace,
        found.notes,
    )  # fmt: skip


def _off_saddle(found: Optimum, matrix: Array) -> Optimum | None:
    """Go on from a stationary point that is no minimum, such as a zero that should not be one."""
    scale, values, vectors = _spectrum(matrix)
    if values[0] > -SADDLE:
        return None
    direction = scale * vectors[:, 0]
    for length in (1.0, 0.3, 0.1, 0.03, 0.01):
        try:
            lower = found.criterion(found.evaluation.point + length * direction, found.evaluation)
            fell = found.evaluation.value - lower.value
        except FitError:
            continue
        if fell > 2.0 * INDIFFERENT:
            break
    else:
        return None
    found.trace.add("off saddle", lower)
    settled, notes = _settled(found.criterion, lower, found.trace, "off saddle")
    best = _zeroed(found.criterion, settled.evaluation, found.trace)
    laplace = best if isinstance(best, LaplaceEvaluation) else found.laplace
    return replace(
        found, evaluation=best, laplace=laplace, matrix=settled.matrix,
        converged=settled.converged, notes=found.notes + notes,
    )  # fmt: skip


def _quick(problem: Problem, trace: Trace) -> LaplaceEvaluation:
    """Return the joint criterion near its optimum, after a fit with profiled fixed effects."""
    design, family = problem.weighting.design, problem.family
    beta = fixed_effects(design, family)
    theta = variances(design, family, beta, problem.template)
    point, shape = theta, 0.0
    if family.shaped:
        shape = SMALLEST_SHAPE
        point = np.append(theta, shape)
    profiled = Laplace(problem, profiled=True)
    modes = find_modes(problem, theta, beta, shape, None, free=True)
    begun = profiled.at(point, modes)
    trace.add("profiled", begun)
    # the rough curvature in ν is too rough to go without updates
    again = None if family.shaped else information
    found = descend(profiled, begun, information(begun), trace, "profiled", ROUGH, again).evaluation
    m = problem.m
    joint = np.concatenate([found.point[:m], found.modes.beta, found.point[m:]])
    return Laplace(problem, profiled=False)(joint, found)


def _again(laplace: Laplace, near: Evaluation, trace: Trace) -> LaplaceEvaluation:
    """Return the criterion at the optimum for other counts, moved off zero variances."""
    try:
        return laplace(off_zero(laplace.problem, near.point), near)
    except FitError:
        return _quick(laplace.problem, trace)


def off_zero(problem: Problem, point: Array, diagonal: np.ndarray | None = None) -> Array:
    """Return a point from which every variance can move: zero is stationary.

    `diagonal` says which entries of θ are on a diagonal, where the template does not.
    """
    point = point.copy()
    least = 5.0 * _least(problem)
    if diagonal is None:
        diagonal = problem.template.diagonal()
    theta = point[: problem.m]
    theta[diagonal] = np.maximum(np.abs(theta[diagonal]), least[diagonal])
    if problem.family.shaped:
        point[-1] = max(abs(point[-1]), SMALLEST_SHAPE / 2.0)
    return point


def _settled(
    criterion: Criterion,
    begun: Evaluation,
    trace: Trace,
    stage: str,
    matrix: Array | None = None,
) -> tuple[Descent[Evaluation], tuple[str, ...]]:
    """Descend; once more with a fresh approximate Hessian, then by another optimizer."""
    found = descend(criterion, begun, rough(begun) if matrix is None else matrix, trace, stage)
    if found.converged:
        return found, ()
    found = descend(criterion, found.evaluation, rough(found.evaluation), trace, stage)
    if found.converged:
        return found, ()
    best = second_opinion(criterion, found.evaluation, found.matrix, trace)
    found = descend(criterion, best, rough(best), trace, stage)
    note = f"Quasi-Newton steps stalled; L-BFGS-B took over ({len(trace.rows)} evaluations)."
    return found, (note,)


def rough(evaluation: Evaluation) -> Array:
    """Return the rough Hessian of Laplace's approximation at a point."""
    laplace = Laplace(evaluation.problem, profiled=False)
    return information(laplace.at(evaluation.point, evaluation.modes))


def _least(problem: Problem) -> Array:
    """Return SDs (m,) so small that the linear predictor hardly notices."""
    lengths = problem.weighting.design.lengths
    return NEARLY_ZERO / np.array([
        lengths[k][row] for k, row, _ in problem.template.positions
    ])  # fmt: skip


def _zeroed(criterion: Criterion, evaluation: Evaluation, trace: Trace) -> Evaluation:
    """Replace what has come close to zero by zero, where that costs nothing."""
    problem = evaluation.problem
    factors = problem.template.factors(evaluation.point[: problem.m])
    small = np.zeros(len(evaluation.point), dtype=bool)
    least = _least(problem)
    for i, (k, _, _) in enumerate(problem.template.positions):
        small[i] = len(factors[k]) == 1 and abs(evaluation.point[i]) < least[i]
    if problem.family.shaped:
        small[-1] = abs(evaluation.point[-1]) < NEARLY_ZERO
    if not small.any():
        return evaluation
    try:
        zero = criterion(np.where(small, 0.0, evaluation.point), evaluation)
        cost = zero.value - evaluation.value
    except FitError:
        return evaluation
    trace.add("zero", zero)
    return zero if cost <= INDIFFERENT + 1e-13 * abs(zero.value) else evaluation


def _polished(
    criterion: Criterion, evaluation: Evaluation, matrix: Array, trace: Trace
) -> tuple[Evaluation, float]:
    """Take one Newton step with the exact Hessian; return also what the next one promises."""
    step, decrement = _newton(evaluation, matrix)
    if decrement <= 1e-14 * abs(evaluation.value):
        return evaluation, decrement
    try:
        better = criterion(evaluation.point + step, evaluation)
        improved = better.value <= evaluation.value
    except FitError:
        return evaluation, decrement
    trace.add("newton", better)
    return (better, _newton(better, matrix)[1]) if improved else (evaluation, decrement)


def _newton(evaluation: Evaluation, matrix: Array) -> tuple[Array, float]:
    scale, values, vectors = _spectrum(matrix)
    gradient = vectors.T @ (evaluation.gradient * scale)
    usable = values > FLAT
    along = np.where(usable, gradient / np.where(usable, values, 1.0), 0.0)
    return -(vectors @ along) * scale, float(gradient @ along) / 2.0


def _spectrum(matrix: Array) -> tuple[Array, Array, Array]:
    """Return scales, and eigenvalues and eigenvectors of the matrix with unit diagonal."""
    size = np.abs(np.diagonal(matrix))
    scale = 1.0 / np.sqrt(np.maximum(size, 1e-12 * max(float(size.max()), 1e-300)))
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
    return scale, values, vectors


def parts(evaluation: Evaluation) -> tuple[Array, Array, float]:
    """Return θ, β of the orthonormal columns, and ν."""
    theta, beta, shape = split(evaluation.problem, evaluation.point, profiled=False)
    assert beta is not None
    return theta, beta, shape
