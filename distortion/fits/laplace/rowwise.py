"""A normal random effect of every row, such as (1 | observation), without columns for it.

    ℓ̃(η) = max over o of  ℓ(η + ν o) − o²/2

takes the place of ℓ. With D = 1 + ν²W, Schur complements of M give what a row adds to log|M| and
the weight that it leaves to the other random effects,

    log D    and    W̃ = W / D,

which is Laplace's approximation to the model with the random effect written out. The conditional
mode solves η̂ = η + ν² s(η̂), one equation per row. The effect's standard deviation ν is a shape of
the family: even, and zero for none.
"""

from dataclasses import dataclass

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.family import Counts, Family, ShapeSlopes, Step, Weighing
from distortion.fits.laplace.links import Link
from distortion.fits.mixed.types import Array

MOST_STEPS = 100
# Stop where the next Newton step in η would be below this, relative to η.
TOLERANCE = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class Inside:
    """The conditional modes of the rows.

    eta, reached   η and η̂, (n,)
    step           of the family itself, at η̂
    """

    eta: Array
    reached: Array
    step: Step


@dataclass(frozen=True, slots=True)
class RowEffect:
    """`base` with a normal random effect of every row."""

    base: Family
    shaped: bool = True

    @property
    def name(self) -> str:
        """See `Family`."""
        return self.base.name

    @property
    def link(self) -> Link:
        """See `Family`."""
        return self.base.link

    @property
    def observed(self) -> bool:
        """See `Family`."""
        return self.base.observed

    def step(self, eta: Array, counts: Counts, shape: float, before: Step | None = None) -> Step:
        """See `Family`."""
        inside = self._inside(eta, counts, shape**2, before)
        step, variance = inside.step, shape**2
        loglik = step.loglik - variance * step.score**2 / 2.0
        curvature = step.curvature / (1.0 + variance * step.curvature)
        positive = curvature
        if step.positive is not step.curvature:
            positive = step.positive / (1.0 + variance * step.positive)
        return Step(loglik, step.score, curvature, positive, inside)

    def _inside(self, eta: Array, counts: Counts, variance: float, before: Step | None) -> Inside:
        """Solve η̂ = η + ν² s(η̂); Newton steps from where the modes were, if that is near."""
        reached = eta
        if before is not None and isinstance(before.inner, Inside):
            old = before.inner
            rate = 1.0 / (1.0 + variance * old.step.positive)
            reached = old.reached + rate * (eta - old.eta)
        size = np.inf
        while True:
            step, change = self._newton(eta, reached, counts, variance)
            largest = float((np.abs(change) / (1.0 + np.abs(reached))).max())
            if largest <= TOLERANCE:
                return Inside(eta, reached, step)
            if not largest <= size / 2.0:
                return self._bracketed(eta, counts, variance)
            size, reached = largest, reached + change

    def _bracketed(self, eta: Array, counts: Counts, variance: float) -> Inside:
        """Solve η̂ = η + ν² s(η̂) between bounds: the left minus the right rises with η̂."""
        reached = eta
        low, high = np.full_like(eta, -np.inf), np.full_like(eta, np.inf)
        size = np.full_like(eta, np.inf)
        for _ in range(MOST_STEPS):
            step, change = self._newton(eta, reached, counts, variance)
            if (np.abs(change) <= TOLERANCE * (1.0 + np.abs(reached))).all():
                return Inside(eta, reached, step)
            low = np.where(change > 0.0, reached, low)
            high = np.where(change < 0.0, reached, high)
            proposed = reached + change
            slow = (np.abs(change) > 0.5 * size) | (proposed <= low) | (proposed >= high)
            slow &= np.isfinite(low) & np.isfinite(high) & (change != 0.0)
            if slow.any():
                middle = np.where(slow, low, 0.0) + np.where(slow, high - low, 0.0) / 2.0
                proposed = np.where(slow, middle, proposed)
            size = np.abs(proposed - reached)
            reached = proposed
        raise FitError("The random effects of single rows were not found.")

    def _newton(
        self, eta: Array, reached: Array, counts: Counts, variance: float
    ) -> tuple[Step, Array]:
        step = self.base.step(reached, counts, 0.0)
        excess = reached - eta - variance * step.score
        return step, -excess / (1.0 + variance * step.positive)

    def weigh(self, eta: Array, counts: Counts, shape: float, step: Step) -> Weighing:
        """See `Family`."""
        inside = step.inner
        assert isinstance(inside, Inside)
        inner, variance = inside.step, shape**2
        at = self.base.weigh(inside.reached, counts, 0.0, inner)
        rate = 1.0 / (1.0 + variance * inner.curvature)
        moved = 2.0 * shape * inner.score * rate  # of η̂, with ν
        shrink = 1.0 / (1.0 + variance * at.weight)
        slope = at.slope * shrink**2
        extra_slope = variance * at.slope * shrink
        weight = at.weight * shrink
        slopes = ShapeSlopes(
            shape * inner.score**2,
            -inner.curvature * moved,
            slope * moved - 2.0 * shape * weight**2,
            extra_slope * moved + 2.0 * shape * weight,
        )
        return Weighing(
            weight, slope * rate, np.log1p(variance * at.weight), extra_slope * rate, slopes
        )

    def reached(self, step: Step) -> Array:
        """Return η̂, with the effects of the rows, (n,)."""
        assert isinstance(step.inner, Inside)
        return step.inner.reached

    def effects(
        self, step: Step, weighing: Weighing, leverage: Array, shape: float
    ) -> tuple[Array, Array]:
        """Return conditional modes and variances of the rows' effects ν o, (n,) each."""
        inside = step.inner
        assert isinstance(inside, Inside)
        # W̃ = W / (1 + ν²W), and D = 1 / (1 − ν²W̃)
        kept = 1.0 - shape**2 * weighing.weight
        variance = shape**2 * (kept + shape**2 * weighing.weight**2 * leverage)
        return inside.reached - inside.eta, variance

    def normaliser(self, counts: Counts) -> Array:
        """See `Family`."""
        return self.base.normaliser(counts)

    def saturated(self, counts: Counts) -> Array:
        """See `Family`."""
        return self.base.saturated(counts)

    def variance(self, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`; of a row whose effect is known."""
        return self.base.variance(mean, counts, 0.0)

    def draw(self, rng: np.random.Generator, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`; `mean` includes the row's effect."""
        return self.base.draw(rng, mean, counts, 0.0)

    def shape_curvature(self, counts: Counts, eta: Array, shape: float) -> float:
        """See `Family`: the average information of a variance, Σ (2 ν W̃)²."""
        step = self.step(eta, counts, shape)
        return float(np.sum((2.0 * shape * step.positive) ** 2))
