"""Beta-binomial counts: binomial ones whose probability varies from row to row.

    y | p ~ Bin(n, p),  p ~ Beta(φ μ, φ (1 − μ)),    ν = φ^(−1/2)

so that Var(y) = n μ (1 − μ) (1 + (n − 1) ρ) with ρ = 1 / (1 + φ), and ν = 0 is the binomial
distribution. With Δ(a, k) = log Γ(a + k) − log Γ(a),

    ℓ = Δ(φ μ, y) + Δ(φ (1 − μ), n − y) − Δ(φ, n).

The log-likelihood is not concave in η; where a row's curvature is not positive, the search for
conditional modes takes that of a quasi-likelihood, n μ'² / (μ (1 − μ) (1 + (n − 1) ρ)).
"""

from dataclasses import dataclass, field

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.family import Array, Counts, ShapeSlopes, Step, Weighing, log_choose
from distortion.fits.laplace.links import Logit, ProbabilityLink

# ν at which beta-binomial and binomial can no longer be told apart in float64.
SMALLEST = 1e-6
# Means closer to 0 or 1 than this are taken to be this close.
EDGE = 1e-60
SHIFT = 10
# Curvatures below this share of the quasi-likelihood's are taken to be this share.
LEAST_CURVATURE = 1e-2
# Bernoulli numbers B₂, B₄, … over what stands below them in Stirling's series.
STIRLING = ((1, 1 / 12), (3, -1 / 360), (5, 1 / 1260), (7, -1 / 1680), (9, 1 / 1188))


def rising(a: Array, k: Array) -> tuple[Array, Array, Array, Array]:
    """Return Δ(a, k) and its first three derivatives in a, for a > 0 and k >= 0.

    Stirling's series of log Γ(a + k) and log Γ(a), subtracted term by term, so that no digits are
    lost where a is far above k; below 10, from a + 10 downwards.
    """
    small = a < SHIFT
    x = np.where(small, a + SHIFT, a)
    u, v = 1.0 / x, 1.0 / (x + k)
    ratio = np.log1p(k * u)
    powers = [-k * u * v]  # v^i − u^i, i = 1, 2, …
    for i in range(1, 12):
        powers.append(v * powers[-1] + u**i * powers[0])
    value = (x - 0.5) * ratio + k * np.log(x + k) - k
    first = ratio - 0.5 * powers[0]
    second = powers[0] + 0.5 * powers[1]
    third = -powers[1] - powers[2]
    for i, b in STIRLING:
        value = value + b * powers[i - 1]
        first = first - i * b * powers[i]
        second = second + i * (i + 1) * b * powers[i + 1]
        third = third - i * (i + 1) * (i + 2) * b * powers[i + 2]
    if small.any():
        which = np.flatnonzero(small)
        low, count = a[which], k[which]
        product = np.ones_like(low)
        for j in range(SHIFT):
            one, other = 1.0 / (low + j), 1.0 / (low + j + count)
            product *= (low + j + count) * one
            first[which] += count * one * other
            second[which] += other**2 - one**2
            third[which] -= 2.0 * (other**3 - one**3)
        value[which] -= np.log(product)
    return value, first, second, third


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """y successes out of n, more variable than binomial ones."""

    link: ProbabilityLink = field(default_factory=Logit)
    name: str = "beta-binomial"
    observed: bool = True
    shaped: bool = True

    def step(self, eta: Array, counts: Counts, shape: float, before: Step | None = None) -> Step:
        """See `Family`."""
        at = _At(self.link, eta, counts, shape)
        first, second, _ = at.mean_slopes
        loglik = at.up[0] + at.down[0] - at.total[0]
        score = at.phi * first * (at.up[1] - at.down[1])
        curvature = -at.phi * second * (at.up[1] - at.down[1])
        curvature -= (at.phi * first) ** 2 * (at.up[2] + at.down[2])
        least = LEAST_CURVATURE * first**2 * at.n / self.variance_share(at.p, at.q, at.n, shape)
        curvature, least = counts.weighted(curvature), counts.weighted(least)
        positive = curvature
        if (curvature < least).any():
            positive = np.maximum(curvature, least)
        return Step(counts.weighted(loglik), counts.weighted(score), curvature, positive)

    def weigh(self, eta: Array, counts: Counts, shape: float, step: Step) -> Weighing:
        """See `Family`."""
        at = _At(self.link, eta, counts, shape)
        phi, p, q = at.phi, at.p, at.q
        first, second, third = at.mean_slopes
        (_, a1, a2, a3), (_, b1, b2, b3) = at.up, at.down
        slope = phi * third * (a1 - b1) + 3.0 * phi**2 * first * second * (a2 + b2)
        slope += (phi * first) ** 3 * (a3 - b3)
        # derivatives in φ, then φ = ν⁻²
        loglik = p * a1 + q * b1 - at.total[1]
        mixed = p * a2 - q * b2
        score = first * (a1 - b1 + phi * mixed)
        bend = second * (a1 - b1 + phi * mixed) + 2.0 * phi * first**2 * (a2 + b2)
        bend += (phi * first) ** 2 * (p * a3 + q * b3)
        turn = -2.0 * phi / at.nu
        of_shape = (counts.weighted(turn * part) for part in (loglik, score, -bend))
        return Weighing(step.curvature, counts.weighted(-slope), shape=ShapeSlopes(*of_shape))

    def normaliser(self, counts: Counts) -> Array:
        """See `Family`."""
        return counts.weighted(log_choose(counts))

    def saturated(self, counts: Counts) -> Array:
        """See `Family`."""
        raise FitError(
            "Deviance residuals of a beta-binomial model are not defined: the mean that fits a row "
            'best depends on its dispersion. Use "pearson" ones.'
        )

    def variance_share(self, p: Array, q: Array, n: Array | float, shape: float) -> Array:
        """Return Var(y) / n, (n,)."""
        return np.asarray(p * q * (1.0 + (n - 1.0) * shape**2 / (1.0 + shape**2)))

    def variance(self, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        return counts.size * self.variance_share(mean, 1.0 - mean, counts.size, shape)

    def draw(self, rng: np.random.Generator, mean: Array, counts: Counts, shape: float) -> Array:
        """See `Family`."""
        phi = max(abs(shape), SMALLEST) ** -2.0
        mean = np.clip(mean, 1e-12, 1.0 - 1e-12)
        drawn = rng.beta(phi * mean, phi * (1.0 - mean))
        size = np.broadcast_to(np.asarray(counts.size), mean.shape).astype(np.int64)
        return rng.binomial(size, drawn).astype(np.float64)

    def shape_curvature(self, counts: Counts, eta: Array, shape: float) -> float:
        """See `Family`: squares of the derivative of log Var(y)."""
        more = counts.size - 1.0
        return float(np.sum((2.0 * more * shape / (1.0 + more * shape**2)) ** 2))


class _At:
    """What all derivatives at one η and ν are made of."""

    def __init__(self, link: ProbabilityLink, eta: Array, counts: Counts, shape: float) -> None:
        self.n, y = counts.size, counts.y
        self.nu = np.copysign(max(abs(shape), SMALLEST), shape)
        self.phi = float(self.nu**-2.0)
        self.p = np.maximum(link.mean(eta), EDGE)
        self.q = np.maximum(link.complement(eta), EDGE)
        self.mean_slopes = link.slopes(eta)
        self.up = rising(self.phi * self.p, y)
        self.down = rising(self.phi * self.q, self.n - y)
        self.total = rising(np.full_like(y, self.phi), self.n + 0.0 * y)
