"""Newton's method with average information, and a second optimizer for when it stalls.

The criterion is even in every column of every Λ_k and smooth through zero, so θ is unbounded here
and a variance of zero is an ordinary stationary point; `Template.canonical` fixes signs at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy.optimize import minimize

from distortion.errors import FitError
from distortion.fits.mixed.criterion import Criterion, Evaluation, hessian
from distortion.fits.mixed.types import Array

SCHEMA = {
    "evaluation": pl.Int64(),
    "optimizer": pl.String(),
    "criterion": pl.Float64(),
    "theta": pl.List(pl.Float64),
}
MOST_STEPS = 40
# Average information is cheap, but with few levels far from the Hessian, which takes over then.
AVERAGED_STEPS = 6
# Stop when a Newton step is expected to lower −2 log L by less than this, or by rounding error.
TOLERANCE = 1e-13
ROUNDING = 1e-16
# A criterion of size f is known to about this share of it.
NOISE = 1e-13
# Without a step that lowers −2 log L, or after as many as are made along a bent valley, this much
# expected decrease still counts as an optimum.
FLAT = 1e-7


@dataclass
class Trace:
    """Every evaluation that an optimizer made: optimizer, θ, criterion."""

    rows: list[tuple[str, Array, float]] = field(default_factory=list)

    def add(self, optimizer: str, evaluation: Evaluation) -> None:
        """Record an evaluation."""
        self.rows.append((optimizer, evaluation.theta, evaluation.value))

    def table(self, constant: float = 0.0) -> pl.DataFrame:
        """One row per evaluation: optimizer, criterion plus a constant, θ."""
        rows = [
            (evaluation, optimizer, value + constant, theta.tolist())
            for evaluation, (optimizer, theta, value) in enumerate(self.rows, start=1)
        ]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@dataclass(frozen=True)
class Optimum:
    """Where an optimizer stopped, and whether it is an optimum."""

    evaluation: Evaluation
    converged: bool
    trace: Trace
    notes: tuple[str, ...] = ()


def minimise(criterion: Criterion, start: Array) -> Optimum:
    """Return the minimum of the criterion, by Newton's method and, if that stalls, L-BFGS-B."""
    trace = Trace()
    evaluation, converged = newton(criterion, start, trace)
    notes: tuple[str, ...] = ()
    if not converged:
        evaluation = _second(criterion, evaluation, trace)
        evaluation, converged = newton(criterion, evaluation.theta, trace)
        notes = (f"Newton's method stalled; L-BFGS-B took over ({len(trace.rows)} evaluations).",)
    return Optimum(evaluation, converged, trace, notes)


def newton(criterion: Criterion, start: Array, trace: Trace) -> tuple[Evaluation, bool]:
    """Run Newton's method with step halving: average information first, then the Hessian."""
    natural = criterion.scale
    evaluation = criterion(start)
    trace.add("newton", evaluation)
    curvature = np.zeros((len(start), len(start)))
    for steps in range(MOST_STEPS):
        enough = max(TOLERANCE, ROUNDING * abs(evaluation.value))
        # the curvature of the last step is good enough to see that there is nothing left to gain
        if steps and _step(evaluation.gradient, curvature, natural)[1] <= enough:
            return evaluation, True
        exact = steps >= AVERAGED_STEPS
        curvature = hessian(criterion, evaluation) if exact else evaluation.information
        step, decrement = _step(evaluation.gradient, curvature, natural)
        if decrement <= enough:
            return evaluation, True
        following = _line_search(criterion, evaluation, step, decrement, trace)
        if following is None:
            return evaluation, decrement <= FLAT
        evaluation = following
    return evaluation, _step(evaluation.gradient, curvature, natural)[1] <= FLAT


def _step(gradient: Array, matrix: Array, natural: Array) -> tuple[Array, float]:
    """Return the Newton step, downhill in every direction, and the decrease that it promises."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), 1e-8 / natural**2))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    values = np.maximum(np.abs(values), 1e-4)
    step = -(vectors @ ((vectors.T @ (gradient / scale)) / values)) / scale
    return step, -float(gradient @ step) / 2.0


def _line_search(
    criterion: Criterion, evaluation: Evaluation, step: Array, decrement: float, trace: Trace
) -> Evaluation | None:
    """Halve the step until the criterion falls; None when it does not."""
    length = 1.0
    while length > 1e-4:
        try:
            candidate = criterion(evaluation.theta + length * step)
        except FitError:  # so far away that no digits are left
            length /= 2.0
            continue
        trace.add("newton", candidate)
        enough = evaluation.value - 1e-4 * length * decrement
        if candidate.value <= enough + NOISE * abs(enough):
            return candidate
        length /= 2.0
    return None


def _second(criterion: Criterion, best: Evaluation, trace: Trace) -> Evaluation:
    def both(theta: Array) -> tuple[float, Array]:
        evaluation = criterion(theta)
        trace.add("l-bfgs-b", evaluation)
        return evaluation.value, evaluation.gradient

    function: Callable[[Array], tuple[float, Array]] = both
    found = minimize(function, best.theta, jac=True, method="L-BFGS-B")
    evaluation = criterion(np.asarray(found.x))
    return evaluation if evaluation.value < best.value else best
