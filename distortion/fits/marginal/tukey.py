"""The studentized range: all pairwise comparisons of k means.

    P(Q > q) = ∫ f_ν(s) R(q s) ds,   R(w) = k ∫ φ(z) [Φ(z)^{k−1} − (Φ(z) − Φ(z − w))^{k−1}] dz

s² is χ²_ν / ν. The difference of powers is summed as (a − b) Σ a^i b^{k−2−i}, so that small
probabilities keep their relative accuracy. Source: Copenhaver and Holland (1988), J. Stat. Comput.
Simul. 30, 1; unequal variances as in Kramer (1956), Biometrics 12, 307.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln, ndtr

Values = NDArray[np.float64]
NODES: Final = 128
# φ beyond this adds less than 1e-16.
LARGEST_Z: Final = 8.5
# Standard deviations beyond which a normal density is 1e-14 of its peak.
FAR: Final = 8.0
LARGEST_Q: Final = 1e6


def range_tail(q: float, k: int, df: float) -> float:
    """P(Q > q) for the studentized range Q of k means with `df` degrees of freedom."""
    if q <= 0.0:
        return 1.0
    if np.isinf(df):
        return float(_tail(np.array([q]), k)[0])
    # Where the density of log s, which falls like s^ν on the left, is above 1e-13 of its peak.
    low = -30.0 / df - FAR / np.sqrt(2.0 * df)
    high = np.log1p(FAR * np.sqrt(2.0 / df) + 60.0 / df) / 2.0
    nodes, weights = _legendre(low, high)
    s = np.exp(nodes)
    logs = df * (nodes + 0.5 * np.log(df / 2.0) - s**2 / 2.0) + np.log(2.0) - gammaln(df / 2.0)
    return float(min(1.0, (weights * np.exp(logs) * _tail(q * s, k)).sum()))


def range_quantile(p: float, k: int, df: float) -> float:
    """Return the q that the studentized range exceeds with probability `p`."""
    high = 4.0
    while range_tail(high, k, df) > p and high < LARGEST_Q:
        high *= 2.0
    return float(brentq(lambda q: range_tail(q, k, df) - p, 0.0, high, xtol=1e-9, rtol=1e-9))


def _tail(w: Values, k: int) -> Values:
    """P(range of k standard normals > w), (m,)."""
    z, weights = _legendre(-LARGEST_Z, LARGEST_Z)
    weights = weights * np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi)
    a, gap = ndtr(z), ndtr(z - w[:, None])
    b, total, power = a - gap, np.ones_like(gap), np.ones_like(a)
    for _ in range(k - 2):
        power *= a
        total *= b
        total += power
    return np.asarray(k * ((gap * total) @ weights))


def _legendre(low: float, high: float) -> tuple[Values, Values]:
    nodes, weights = _rule()
    half = (high - low) / 2.0
    return low + half * (nodes + 1.0), half * weights


@cache
def _rule() -> tuple[Values, Values]:
    return np.polynomial.legendre.leggauss(NODES)
