"""The distributions of counts that can be fitted, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import gammaln, xlogy

from distortion.errors import FitError, did_you_mean
from distortion.fits.laplace.betabinomial import BetaBinomial
from distortion.fits.laplace.family import Array, Counts, Family, Step, Weighing, log_choose
from distortion.fits.laplace.links import Cloglog, Link, Log, Logit, ProbabilityLink, Probit, rate


class _Shapeless:
    """What families without a shape have in common."""

    __slots__ = ()
    shaped: Final = False

    def shape_curvature(self, counts: Counts, eta: Array, shape: float) -> float:
        """See `Family`."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Binomial(_Shapeless):
    """y successes out of n; n = 1 without trials (Bernoulli)."""

    link: ProbabilityLink = field(default_factory=Logit)
    name: str = "binomial"

    @property
    def observed(self) -> bool:
        """Whether the link is the canonical one."""
        return isinstance(self.link, Logit)

    def step(self, eta: Array, counts: Counts, shape: float, before: Step | None = None) -> Step:
        """See `Family`."""
        parts = self.link.binomial(eta, counts.y, counts.size)
        loglik, score, curvature = map(counts.weighted, parts)
        return Step(loglik, score, curvature, curvature)

    def weigh(self, eta: Array, counts: Counts, shape: float, step: Step) -> Weighing:
        """See `Family`."""
        weight, slope = map(counts.weighted, self.link.information(eta, counts.size))
        return Weighing(weight, slope)

    def normaliser(self, counts: Counts) -> Array:
        """See `Family`."""
        return counts.weighted(log_choose(counts))

    def saturated(self, counts: Counts) -> Array:
        """See `Family`."""
        n, y = counts.size, counts.y
        return counts.weighted(xlogy(y, y / n) + xlogy(n - y, 1.0 - y / n))

    def variance(self, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        return np.asarray(counts.size * mean * (1.0 - mean))

    def draw(self, rng: np.random.Generator, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        size = np.broadcast_to(np.asarray(counts.size), mean.shape).astype(np.int64)
        return rng.binomial(size, mean).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Poisson(_Shapeless):
    """Counts without an upper limit; the logarithm of an exposure is an offset."""

    link: Link = field(default_factory=Log)
    name: str = "poisson"
    observed: bool = True

    def step(self, eta: Array, counts: Counts, shape: float, before: Step | None = None) -> Step:
        """See `Family`."""
        mean = rate(eta)
        curvature = counts.weighted(mean)
        loglik = counts.weighted(counts.y * eta - mean)
        return Step(loglik, counts.weighted(counts.y - mean), curvature, curvature)

    def weigh(self, eta: Array, counts: Counts, shape: float, step: Step) -> Weighing:
        """See `Family`."""
        return Weighing(step.curvature, step.curvature)

    def normaliser(self, counts: Counts) -> Array:
        """See `Family`."""
        return counts.weighted(-gammaln(counts.y + 1.0))

    def saturated(self, counts: Counts) -> Array:
        """See `Family`."""
        return counts.weighted(xlogy(counts.y, counts.y) - counts.y)

    def variance(self, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        return mean

    def draw(self, rng: np.random.Generator, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        return rng.poisson(mean).astype(np.float64)


_PROBABILITY_LINKS: Final[tuple[ProbabilityLink, ...]] = (Logit(), Probit(), Cloglog())
# By name, and by the name of their link; the first link is the default.
FAMILIES: Final[Mapping[str, Mapping[str, Family]]] = {
    "binomial": {link.name: Binomial(link) for link in _PROBABILITY_LINKS},
    "poisson": {"log": Poisson()},
    "beta-binomial": {link.name: BetaBinomial(link) for link in _PROBABILITY_LINKS},
}


def find_family(name: str, link: str | None = None) -> Family:
    """Return the family of this name with the link of that name, by default its canonical one.

    Raises
    ------
    FitError
        If there is no such family, or it has no such link.
    """
    if name not in FAMILIES:
        raise FitError(f"There is no family {name!r}. {did_you_mean(str(name), FAMILIES)}")
    links = FAMILIES[name]
    chosen = next(iter(links)) if link is None else link
    if chosen not in links:
        raise FitError(f"The {name} family has no link {link!r}. {did_you_mean(str(link), links)}")
    return links[chosen]
