"""What a distribution of counts has to say: derivatives of its log-likelihood in the predictor.

symbol   name here     meaning, per row
η        eta           linear predictor
y, n     y, trials     count, and what it is out of (Poisson: none)
μ        mean          probability of a success, or rate
ℓ        loglik        log-likelihood without its normaliser, which no parameter changes
s        score         ∂ℓ/∂η
H        curvature     −∂²ℓ/∂η²
W        weight        what stands for H in the log-determinant of Laplace's approximation: E H,
                       as in lme4; for the beta-binomial, which lme4 does not know, H itself
ν        shape         a parameter of the distribution itself, or nothing

Prior weights multiply ℓ and everything that derives from it.
Source: McCullagh and Nelder (1989), Generalized Linear Models, chapter 2.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from distortion.fits.laplace.links import Link

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What is modelled: counts y (n,), trials (n,) or None, prior weights (n,) or None."""

    y: Array
    trials: Array | None = None
    weights: Array | None = None

    @property
    def size(self) -> Array | float:
        """Trials; 1 without them."""
        return 1.0 if self.trials is None else self.trials

    def weighted(self, value: Array) -> Array:
        """Multiply by the prior weights."""
        return value if self.weights is None else self.weights * value


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What an iteration towards the conditional modes needs of every row, (n,) each.

    positive   stands for H where that may be negative; H itself where it is not
    inner      what the family wants to see again, at a nearby η
    """

    loglik: Array
    score: Array
    curvature: Array
    positive: Array
    inner: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class ShapeSlopes:
    """Derivatives in ν at fixed η: of ℓ, s, W and of `Weighing.extra`, (n,) each."""

    loglik: Array
    score: Array
    weight: Array
    extra: Array | float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """W and ∂W/∂η of every row, (n,) each.

    extra         what a row adds to the log-determinant by itself, and its slope in η
    shape         derivatives in ν, of distributions that have one
    """

    weight: Array
    slope: Array
    extra: Array | float = 0.0
    extra_slope: Array | float = 0.0
    shape: ShapeSlopes | None = None


class Family(Protocol):
    """A distribution with its link.

    observed   W = H
    shaped     it has a shape ν, and is even in it; zero is the case without it
    """

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def link(self) -> Link:
        """Between mean and linear predictor."""

    @property
    def observed(self) -> bool:
        """Whether W = H."""

    @property
    def shaped(self) -> bool:
        """Whether there is a shape."""

    def step(self, eta: Array, counts: Counts, shape: float, before: Step | None = None) -> Step:
        """Return ℓ, s and H; `before` is a step at a nearby η."""

    def weigh(self, eta: Array, counts: Counts, shape: float, step: Step) -> Weighing:
        """Return W; `step` is the one at this η."""

    def normaliser(self, counts: Counts) -> Array:
        """Return what ℓ leaves out, (n,)."""

    def saturated(self, counts: Counts) -> Array:
        """Return ℓ at the mean that fits each row best, (n,)."""

    def variance(self, mean: Array, counts: Counts, shape: float) -> Array:
        """Return Var(y), (n,), of rows with weight one."""

    def draw(self, rng: np.random.Generator, mean: Array, counts: Counts, shape: float) -> Array:
        """Draw counts of this mean, (n,)."""

    def shape_curvature(self, counts: Counts, eta: Array, shape: float) -> float:
        """Return roughly the second derivative of −2 Σ ℓ in ν."""


def log_choose(counts: Counts) -> Array:
    """Return log of n over y, (n,)."""
    n, y = counts.trials, counts.y
    if n is None:
        return np.zeros_like(y)
    return np.asarray(gammaln(n + 1.0) - gammaln(y + 1.0) - gammaln(n - y + 1.0))
