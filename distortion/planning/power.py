"""Exact power of t-tests, and the seeds, effect, margin or spread that it takes.

symbol  name here  meaning
θ       effect     true mean minus its null value; with a margin, the true difference
Δ       margin     the largest difference that does not matter
σ       sd         SD over networks; of two groups √(σ_a² + σ_b²)
M       seeds      networks, in each group
ν       df         degrees of freedom, groups × (M − 1)
t_ν     t          critical value
u       u          s / σ, the estimated over the true SD; ν u² is χ² distributed

Given u, every test here rejects with a normal probability, so its power is the mean of that
over u: E Φ(δ − t_ν u), with δ = θ √M / σ. Of a one-sided test this is the tail of the noncentral t;
as an integral of positive terms it does not fail far out, where series for that tail do. Two
one-sided tests need both tails at once, for u below (Δ √M / σ) / t_ν (Phillips 1990).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, gammainc, gammaincinv, gammaln, ndtr, stdtrit

Values = NDArray[np.float64]
Kind = Literal["difference", "equivalence", "non-inferiority"]
MOST_SEEDS: Final = 10_000
FEWEST_SEEDS: Final = 2
# Beyond these quantiles of u, and beyond this many normal SDs, nothing is left in double precision.
TAIL: Final = 1e-16
REACH: Final = 9.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)
# Halvings until a bracket is as narrow as double precision.
HALVINGS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class TTest:
    """Planned tests of one kind, many at once.

    Attributes
    ----------
    kind : difference (the mean is not the null value), equivalence (it lies within ± `margin` of
        it: two one-sided tests), non-inferiority (it lies at most `margin` below it)
    error : (r,) error rate of each test; of equivalence, of each of its one-sided tests
    sides : of a test for a difference, 1 or 2
    margin : (r,) unused by a test for a difference
    groups : (r,) degrees of freedom for each seed beyond the first: 1 for one sample, 1 to 2 for
        Welch's test of two groups
    """

    kind: Kind
    error: ArrayLike
    sides: Literal[1, 2] = 2
    margin: ArrayLike = np.nan
    groups: ArrayLike = 1.0

    def power(self, effect: ArrayLike, sd: ArrayLike, seeds: ArrayLike) -> Values:
        """Probability (r,) that the test shows what it is for; NaN below two seeds or without SD.

        With a margin, `effect` is the true difference in the harmful direction.
        """
        effect, sd, seeds, error, margin, groups = np.broadcast_arrays(
            *(_floats(v) for v in (effect, sd, seeds, self.error, self.margin, self.groups))
        )
        possible = (seeds >= FEWEST_SEEDS) & (sd > 0)
        df = np.where(possible, groups * (seeds - 1), 1.0)
        scale = np.sqrt(np.where(possible, seeds, 1.0)) / np.where(possible, sd, 1.0)
        t = -stdtrit(df, error / (self.sides if self.kind == "difference" else 1))
        nowhere = np.full(df.shape, np.inf)
        if self.kind == "difference":
            found = _tail(effect * scale, t, df, nowhere)
            if self.sides == 2:
                found = found + _tail(-effect * scale, t, df, nowhere)
        elif self.kind == "non-inferiority":
            found = _tail((margin - effect) * scale, t, df, nowhere)
        else:
            largest = margin * scale / t
            near, far = (margin - effect) * scale, (margin + effect) * scale
            below = gammainc(df / 2, df * np.maximum(largest, 0) ** 2 / 2)
            found = _tail(near, t, df, largest) + _tail(far, t, df, largest) - below
        return np.where(possible, np.clip(found, 0, 1), np.nan)

    def seeds(self, effect: ArrayLike, sd: ArrayLike, power: float) -> Values:
        """The fewest seeds (r,) with that power; infinite beyond MOST_SEEDS, NaN without SD."""
        effect, sd = np.broadcast_arrays(_floats(effect), _floats(sd))
        low = np.full(sd.shape, float(FEWEST_SEEDS - 1))
        high = np.full(sd.shape, float(MOST_SEEDS))
        reached = self.power(effect, sd, high) >= power
        while np.any(high - low > 1):
            middle = np.floor((low + high) / 2)
            enough = self.power(effect, sd, middle) >= power
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.where(sd > 0, np.where(reached, high, np.inf), np.nan)

    def detectable(
        self, effect: ArrayLike, sd: ArrayLike, seeds: ArrayLike, power: float
    ) -> Values:
        """The smallest effect (r,) with that power; with a margin, the smallest margin.

        `effect` is the true difference behind a margin, and unused without one.
        """
        sd, seeds, groups, error = np.broadcast_arrays(
            *(_floats(v) for v in (sd, seeds, self.groups, self.error))
        )
        possible = (seeds >= FEWEST_SEEDS) & (sd > 0)
        df = np.where(possible, groups * (seeds - 1), 1.0)
        t = -stdtrit(df, error / 2)
        highest = sd / np.sqrt(np.where(possible, seeds, 1.0)) * (REACH * t + REACH)
        if self.kind == "difference":
            return _threshold(lambda e: self.power(e, sd, seeds) >= power, 0.0, highest, possible)
        effect = _floats(effect)

        def enough(margin: Values) -> NDArray[np.bool_]:
            test = TTest(self.kind, self.error, self.sides, margin, self.groups)
            return test.power(effect, sd, seeds) >= power

        return _threshold(enough, effect, effect + highest, possible)

    def tolerable_sd(self, effect: ArrayLike, seeds: ArrayLike, power: float) -> Values:
        """The largest SD (r,) that leaves that power."""
        gap = effect if self.kind == "difference" else _floats(self.margin) - _floats(effect)
        gap, seeds = np.broadcast_arrays(_floats(gap), _floats(seeds))
        highest = 10 * gap * np.sqrt(seeds)
        return _threshold(
            lambda sd: self.power(effect, sd, seeds) < power,
            highest * 1e-6,
            highest,
            seeds >= FEWEST_SEEDS,
        )


def _tail(delta: Values, t: Values, df: Values, largest: Values) -> Values:
    """E Φ(delta − t u) over u < largest, elementwise.

    Φ falls from 1 to 0 around u = delta / t, steeply where t is large: the integral is cut there.
    """
    low = np.sqrt(2 * gammaincinv(df / 2, TAIL) / df)
    high = np.minimum(np.sqrt(chdtri(df, TAIL) / df), np.maximum(largest, low))
    cuts = [np.clip((delta + side * REACH) / t, low, high) for side in (-1, 1)]
    edges = [low, *cuts, high]
    log_constant = np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2)
    delta, t, df, log_constant = (v[..., None] for v in (delta, t, df, log_constant))
    total = np.zeros(low.shape)
    for start, end in pairwise(edges):
        half = (end - start) / 2
        u = np.maximum((start + half)[..., None] + half[..., None] * NODES, np.finfo(float).tiny)
        density = np.exp(log_constant + (df - 1) * np.log(u) - df * u**2 / 2)
        total += half * ((ndtr(delta - t * u) * density) @ WEIGHTS)
    return total


def _threshold(
    reached: Callable[[Values], NDArray[np.bool_]],
    low: ArrayLike,
    high: Values,
    possible: NDArray[np.bool_],
) -> Values:
    """Where `reached`, false at `low` and true at `high`, turns true; NaN where impossible."""
    low = np.broadcast_to(_floats(low), high.shape)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        there = reached(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.where(possible, high, np.nan)


def _floats(values: ArrayLike) -> Values:
    return np.asarray(values, dtype=np.float64)
