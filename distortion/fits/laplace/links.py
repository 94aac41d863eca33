"""Links between mean and linear predictor, safe where a probability is next to 0 or 1.

Of a probability p(η) the tails are used: with r₁ = p'/p and r₀ = p'/(1 − p),

    ℓ = y log p + (n − y) log(1 − p),    s = y r₁ − (n − y) r₀,    W = E H = n r₁ r₀,

so that nothing is divided by a probability that has underflowed.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

Array = NDArray[np.float64]
# exp(300)² is still a float64; no rate or hazard of this size is ever an optimum.
LARGEST: Final = 300.0
# Beyond this, Mills' ratio loses the digits that a curvature needs.
LARGEST_PROBIT: Final = 1e4
# Below this, the series of 1 − h − h / (exp(h) − 1) has all digits.
SMALL_HAZARD: Final = 1e-2
ROOT_TWO_PI: Final = float(np.sqrt(2.0 * np.pi))


class Tails(NamedTuple):
    """log p, log(1 − p), r₁, r₀ and the derivatives of r₁ and r₀ in η."""

    log_p: Array
    log_q: Array
    up: Array
    down: Array
    up_slope: Array
    down_slope: Array


class Link(Protocol):
    """η = g(μ)."""

    @property
    def name(self) -> str:
        """What users call it."""

    def mean(self, eta: Array) -> Array:
        """Return μ."""

    def slope(self, eta: Array) -> Array:
        """Return ∂μ/∂η."""

    def predictor(self, mean: Array) -> Array:
        """Return η of a mean strictly inside its range."""


class ProbabilityLink(Link, Protocol):
    """A link of probabilities; y of n counts are successes, n may be the number 1."""

    def complement(self, eta: Array) -> Array:
        """Return 1 − μ."""

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        """Return the first three derivatives of μ in η."""

    def binomial(self, eta: Array, y: Array, n: Array | float) -> tuple[Array, Array, Array]:
        """Return ℓ, s and H of binomial counts."""

    def information(self, eta: Array, n: Array | float) -> tuple[Array, Array]:
        """Return W and ∂W/∂η of binomial counts."""


def rate(eta: Array) -> Array:
    """exp(η), without overflow."""
    return np.asarray(np.exp(np.minimum(eta, LARGEST)))


@dataclass(frozen=True, slots=True)
class Log:
    """log(μ), the canonical link of Poisson counts."""

    name: str = "log"

    def mean(self, eta: Array) -> Array:
        """See `Link`."""
        return rate(eta)

    def slope(self, eta: Array) -> Array:
        """See `Link`."""
        return rate(eta)

    def predictor(self, mean: Array) -> Array:
        """See `Link`."""
        return np.asarray(np.log(mean))


@dataclass(frozen=True, slots=True)
class Logit:
    """log(μ / (1 − μ)), the canonical link of binomial counts."""

    name: str = "logit"

    def mean(self, eta: Array) -> Array:
        """See `Link`."""
        small = np.exp(-np.abs(eta))
        return np.asarray(np.where(eta > 0, 1.0, small) / (1.0 + small))

    def complement(self, eta: Array) -> Array:
        """See `ProbabilityLink`."""
        return self.mean(-eta)

    def predictor(self, mean: Array) -> Array:
        """See `Link`."""
        return np.asarray(np.log(mean) - np.log1p(-mean))

    def slope(self, eta: Array) -> Array:
        """See `Link`."""
        return self.slopes(eta)[0]

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        """See `ProbabilityLink`."""
        weight, tilt = _logistic(eta)
        return weight, weight * tilt, weight * (1.0 - 6.0 * weight)

    def binomial(self, eta: Array, y: Array, n: Array | float) -> tuple[Array, Array, Array]:
        """See `ProbabilityLink`."""
        small = np.exp(-np.abs(eta))
        inverse = 1.0 / (1.0 + small)
        mean = np.where(eta > 0, 1.0, small)
        mean *= inverse
        loglik = y * eta - n * (np.maximum(eta, 0.0) + np.log1p(small))
        small *= inverse
        small *= inverse
        return loglik, y - n * mean, n * small

    def information(self, eta: Array, n: Array | float) -> tuple[Array, Array]:
        """See `ProbabilityLink`."""
        weight, tilt = _logistic(eta)
        weight = n * weight
        return weight, weight * tilt


def _logistic(eta: Array) -> tuple[Array, Array]:
    """Return p (1 − p) and 1 − 2 p."""
    small = np.exp(-np.abs(eta))
    inverse = 1.0 / (1.0 + small)
    return small * inverse**2, np.copysign((1.0 - small) * inverse, -eta)


class _Tailed:
    """Binomial counts by the tails of their probability."""

    __slots__ = ()

    def tails(self, eta: Array) -> Tails:
        """Return what the formulas at the top of this file need."""
        raise NotImplementedError

    def binomial(self, eta: Array, y: Array, n: Array | float) -> tuple[Array, Array, Array]:
        """See `ProbabilityLink`."""
        at, rest = self.tails(eta), n - y
        return (
            y * at.log_p + rest * at.log_q,
            y * at.up - rest * at.down,
            rest * at.down_slope - y * at.up_slope,
        )

    def information(self, eta: Array, n: Array | float) -> tuple[Array, Array]:
        """See `ProbabilityLink`."""
        at = self.tails(eta)
        return n * at.up * at.down, n * (at.up_slope * at.down + at.up * at.down_slope)


@dataclass(frozen=True, slots=True)
class Probit(_Tailed):
    """Φ⁻¹(μ)."""

    name: str = "probit"

    def mean(self, eta: Array) -> Array:
        """See `Link`."""
        return np.asarray(ndtr(eta))

    def complement(self, eta: Array) -> Array:
        """See `ProbabilityLink`."""
        return self.mean(-eta)

    def predictor(self, mean: Array) -> Array:
        """See `Link`."""
        return np.asarray(ndtri(mean))

    def slope(self, eta: Array) -> Array:
        """See `Link`."""
        return self.slopes(eta)[0]

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        """See `ProbabilityLink`."""
        density = np.exp(-0.5 * np.minimum(eta**2, 2.0 * LARGEST)) / ROOT_TWO_PI
        return density, -eta * density, (eta**2 - 1.0) * density

    def tails(self, eta: Array) -> Tails:
        """See `_Tailed`."""
        eta = np.clip(eta, -LARGEST_PROBIT, LARGEST_PROBIT)
        up = 2.0 / ROOT_TWO_PI / erfcx(-eta / np.sqrt(2.0))
        down = 2.0 / ROOT_TWO_PI / erfcx(eta / np.sqrt(2.0))
        return Tails(log_ndtr(eta), log_ndtr(-eta), up, down, -up * (eta + up), down * (down - eta))


@dataclass(frozen=True, slots=True)
class Cloglog(_Tailed):
    """log(−log(1 − μ)): a constant hazard over a time whose logarithm is an offset."""

    name: str = "cloglog"

    def mean(self, eta: Array) -> Array:
        """See `Link`."""
        return np.asarray(-np.expm1(-rate(eta)))

    def complement(self, eta: Array) -> Array:
        """See `ProbabilityLink`."""
        return np.asarray(np.exp(-np.minimum(rate(eta), 2.0 * LARGEST)))

    def predictor(self, mean: Array) -> Array:
        """See `Link`."""
        return np.asarray(np.log(-np.log1p(-mean)))

    def slope(self, eta: Array) -> Array:
        """See `Link`."""
        return self.slopes(eta)[0]

    def slopes(self, eta: Array) -> tuple[Array, Array, Array]:
        """See `ProbabilityLink`."""
        hazard = np.minimum(rate(eta), 2.0 * LARGEST)
        first = hazard * np.exp(-hazard)
        return first, first * (1.0 - hazard), first * ((1.0 - hazard) ** 2 - hazard)

    def tails(self, eta: Array) -> Tails:
        """See `_Tailed`; r₁ = h / (exp(h) − 1) with the hazard h = exp(η) = r₀."""
        eta = np.minimum(eta, LARGEST)
        hazard = np.exp(eta)
        limited = np.clip(hazard, 1e-300, 2.0 * LARGEST)
        share = -np.expm1(-limited) / limited  # p / h
        up = np.exp(-limited) / share
        series = -limited / 2.0 - limited**2 / 12.0 + limited**4 / 720.0
        bend = np.where(limited < SMALL_HAZARD, series, 1.0 - limited - up)
        log_p = np.where(hazard > 2.0 * LARGEST, 0.0, eta + np.log(share))
        return Tails(log_p, -hazard, up, hazard, up * bend, hazard)
