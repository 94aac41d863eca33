"""Minimising a criterion with its gradient: quasi-Newton steps, and a second optimizer.

Steps are those of BFGS, which begins with the approximate Hessian of `curvature` and so knows the
scale of every parameter. The criterion is even in every column of every Λ_k: θ is unbounded, zero
is an ordinary stationary point, and `Template.canonical` fixes signs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
import polars as pl
from scipy.linalg import lapack
from scipy.optimize import minimize

from distortion.errors import FitError
from distortion.fits.mixed.types import Array

MOST_STEPS = 200
# Stop when a step is expected to lower −2 log L by less than this, or by rounding error.
TOLERANCE = 1e-9
ROUNDING = 1e-14
SHORTEST = 1e-6


class Smooth(Protocol):
    """A criterion at a point, with its derivative there."""

    @property
    def point(self) -> Array:
        """Where."""

    @property
    def value(self) -> float:
        """What is minimised."""

    @property
    def gradient(self) -> Array:
        """Its derivative."""


S = TypeVar("S", bound=Smooth)
# From a point, and an evaluation near it, to the evaluation there.
Function = Callable[[Array, S], S]


@dataclass
class Trace:
    """Every evaluation: stage, point, criterion."""

    rows: list[tuple[str, Array, float]] = field(default_factory=list)

    def add(self, stage: str, evaluation: Smooth) -> None:
        """Record an evaluation."""
        self.rows.append((stage, evaluation.point, evaluation.value))

    def table(self, split: Callable[[str, Array], tuple[Array, Array]]) -> pl.DataFrame:
        """Return one row per evaluation: evaluation, optimizer, criterion, theta and beta.

        `split` makes the last two of a stage and its point.
        """
        stages, points, values = zip(*self.rows, strict=True)
        halves = [split(stage, point) for stage, point in zip(stages, points, strict=True)]
        return pl.DataFrame(
            {
                "evaluation": range(1, len(values) + 1),
                "optimizer": stages,
                "criterion": values,
                "theta": [theta.tolist() for theta, _ in halves],
                "beta": [beta.tolist() for _, beta in halves],
            },
            schema_overrides={name: pl.List(pl.Float64) for name in ("theta", "beta")},
        )


@dataclass(frozen=True, eq=False)
class Descent(Generic[S]):
    """Where a descent stopped.

    matrix   the last approximate Hessian
    """

    evaluation: S
    matrix: Array
    converged: bool


def positive(matrix: Array) -> Array:
    """Return the matrix with its eigenvalues made positive, on the scale of its diagonal."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), 1e-8))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    made = (vectors * np.maximum(np.abs(values), 1e-3)) @ vectors.T
    return np.asarray(made * np.outer(scale, scale))


def descend(
    criterion: Function[S],
    evaluation: S,
    matrix: Array,
    trace: Trace,
    stage: str,
    tolerance: float = TOLERANCE,
    rough: Callable[[S], Array] | None = None,
) -> Descent[S]:
    """Minimise from `evaluation` on, beginning with the approximate Hessian `matrix`.

    Where `rough` makes such a matrix at every point, it takes the place of updates.
    """
    for _ in range(MOST_STEPS):
        gradient = evaluation.gradient
        step = -_solved(matrix, gradient)
        decrement = -float(gradient @ step) / 2.0
        enough = max(tolerance, ROUNDING * abs(evaluation.value))
        if decrement <= enough:
            return Descent(evaluation, matrix, True)
        following = _line_search(criterion, evaluation, step, decrement, trace, stage)
        if following is None:
            return Descent(evaluation, matrix, decrement <= 100 * enough)
        matrix = _updated(matrix, following, evaluation) if rough is None else rough(following)
        evaluation = following
    return Descent(evaluation, matrix, False)


def _solved(matrix: Array, gradient: Array) -> Array:
    """Return matrix⁻¹ gradient; updates may have left the matrix not quite positive."""
    _, solution, info = lapack.dposv(matrix, gradient)
    if info:
        _, solution, info = lapack.dposv(positive(matrix), gradient)
    return np.asarray(solution)


def _line_search(
    criterion: Function[S],
    evaluation: S,
    step: Array,
    decrement: float,
    trace: Trace,
    stage: str,
) -> S | None:
    """Shorten the step, by the parabola through what is known, until the criterion falls."""
    length, slope = 1.0, -2.0 * decrement
    while length > SHORTEST:
        try:
            candidate = criterion(evaluation.point + length * step, evaluation)
            change = candidate.value - evaluation.value
        except FitError:
            length /= 4.0
            continue
        trace.add(stage, candidate)
        if change <= 1e-4 * length * slope:
            return candidate
        best = -slope * length**2 / (2.0 * (change - slope * length))
        length = min(max(best, 0.1 * length), 0.5 * length)
    return None


def _updated(matrix: Array, new: Smooth, old: Smooth) -> Array:
    """Return the BFGS update, damped where the curvature along the step is not positive."""
    step, turn = new.point - old.point, new.gradient - old.gradient
    along = matrix @ step
    expected, found = float(step @ along), float(step @ turn)
    if found < 0.2 * expected:
        share = 0.8 * expected / (expected - found)
        turn = share * turn + (1.0 - share) * along
        found = float(step @ turn)
    return np.asarray(matrix - np.outer(along, along) / expected + np.outer(turn, turn) / found)


def second_opinion(criterion: Function[S], best: S, matrix: Array, trace: Trace) -> S:
    """Return what L-BFGS-B makes of a criterion on which quasi-Newton steps have stalled."""
    scale = 1.0 / np.sqrt(np.diagonal(matrix))

    def both(scaled: Array) -> tuple[float, Array]:
        nonlocal best
        try:
            evaluation = criterion(scaled * scale, best)
            value, gradient = evaluation.value, evaluation.gradient
        except FitError:
            return 1e300, np.zeros_like(scaled)
        trace.add("l-bfgs-b", evaluation)
        if value < best.value:
            best = evaluation
        return value, gradient * scale

    minimize(both, best.point / scale, jac=True, method="L-BFGS-B")
    return best
