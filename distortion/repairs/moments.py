"""Sums of products of balances within and between networks, under any weights of the networks.

symbol  name here     size    meaning
B, M, C               ()      rows of weights (resamples); networks; classes
w       weights       (B, M)  how often each network counts; N = Σ w
S       total         (B,)    mean over networks of Σ_c x_cm y_cm
        class_means   (B,)    Σ_c x̄_c ȳ_c, means over networks
U       between       (B,)    mean over pairs of different networks of Σ_c x_cm y_cm'
s, c    within        (B,)    Σ_c of the unbiased covariance across networks

A pair never holds two copies of one network, so a bootstrap sample leaves out all of them:
U = (Σ_c N² x̄ȳ − Σ_m w² Σ_c xy) / (N² − Σ w²), s = (N² S − Σ_c N² x̄ȳ) / (N² − Σ w²).
With equal weights S = U + s, and seed noise is in S and s alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, Values, balances

Quotient = tuple[Values, Values]  # numerator and denominator (B,)


@dataclass(frozen=True, slots=True)
class Products:
    """One kind of sum (B,) of x with itself, of x with y and of y with itself."""

    xx: Values
    xy: Values
    yy: Values


@dataclass(frozen=True, slots=True)
class Moments:
    """The four kinds of sums; between and within are NaN with fewer than two networks."""

    total: Products
    class_means: Products
    between: Products
    within: Products


def usable_networks(counts: Counts) -> NDArray[np.bool_]:
    """Networks (M,) whose balances are defined: accuracy above 0 before and after."""
    return np.asarray((counts.dense.sum(axis=1) > 0) & (counts.correct.sum(axis=1) > 0))


def weighted_sums(weights: Values, *values: Values) -> tuple[Values, ...]:
    """Σ w v (B,) of each of the values (M,), over the networks for which all are defined."""
    defined = np.isfinite(values).all(axis=0)
    return tuple(weights[:, defined] @ some[defined] for some in values)


def moments_of(counts: Counts, weights: NDArray[Any]) -> Moments:
    """Return the sums of a condition's balances, networks without a balance left out."""
    usable = usable_networks(counts)
    x, y = balances(counts.dense[usable], counts.n[usable]), counts.correct[usable]
    return moments(x, balances(y, counts.n[usable]), weights[:, usable])


def moments(x: Values, y: Values, weights: NDArray[Any]) -> Moments:
    """Return the sums of balances x before and y after, each (M, C), for weights (B, M)."""
    weights = np.asarray(weights, dtype=np.float64)
    size = weights.sum(axis=1)
    size = np.where(size > 0, size, np.nan)
    pairs = size**2 - (weights**2).sum(axis=1)
    # One network alone, however often, makes no pair.
    pairs = np.where(pairs > 0, pairs, np.nan)
    sum_x, sum_y = weights @ x, weights @ y
    kinds: list[tuple[Values, ...]] = []
    for p, q, sum_p, sum_q in (
        (x, x, sum_x, sum_x),
        (x, y, sum_x, sum_y),
        (y, y, sum_y, sum_y),
    ):
        own = (p * q).sum(axis=1)
        total = weights @ own
        crossed = (sum_p * sum_q).sum(axis=1)
        kinds.append(
            (
                total / size,
                crossed / size**2,
                (crossed - weights**2 @ own) / pairs,
                (size * total - crossed) / pairs,
            )
        )
    return Moments(*(Products(*same) for same in zip(*kinds, strict=True)))
