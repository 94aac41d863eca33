"""Intervals for proportions and for the difference of two, paired or not; McNemar's exact test.

All arguments are counts (…,) of images, fractional ones included (planning scales them). `tails`
are the error probabilities of the lower and of the upper bound, each on its own.

symbol  name here  meaning
p, q    p, q       the two proportions, recall before and after
φ       r          correlation of their estimates

Newcombe's intervals are approximate: with few discordant images their upper bound is missed in up
to 13 % of samples where 5 % are meant (`tests/gate/test_errors.py`). `drop_bounds` therefore takes
the wider of Newcombe's bound and the same construction on exact (Clopper–Pearson) bounds, which
errs by 5 % at most up to simulation error and costs a few per cent of width.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betaincinv, ndtri

Values = NDArray[np.float64]
Bounds = tuple[Values, Values]
Tails = tuple[float, float]


def wilson(k: ArrayLike, n: ArrayLike, tail: float) -> Bounds:
    """Score bounds of k / n (Wilson 1927), each with error probability `tail`."""
    k, n = _floats(k), _floats(n)
    z, p = -float(ndtri(tail)), k / n
    centre = (k + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(n * p * (1 - p) + z**2 / 4) / (n + z**2)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def clopper_pearson(k: ArrayLike, n: ArrayLike, tails: Tails) -> Bounds:
    """Exact bounds of k / n (Clopper & Pearson 1934): never missed more often than `tails` say."""
    k, n = _floats(k), _floats(n)
    low = betaincinv(np.where(k > 0, k, 1), n - k + 1, tails[0])
    high = betaincinv(k + 1, np.where(k < n, n - k, 1), 1 - tails[1])
    return np.where(k > 0, low, 0.0), np.where(k < n, high, 1.0)


def mcnemar(lost: ArrayLike, gained: ArrayLike) -> Values:
    """Two-sided exact p-value for lost = gained (McNemar 1947, binomial form); whole counts."""
    lost, gained = np.asarray(lost, np.int64), np.asarray(gained, np.int64)
    tail = bdtr(np.minimum(lost, gained).astype(np.float64), lost + gained, 0.5)
    return np.asarray(np.minimum(1.0, 2 * tail))


def newcombe_paired(
    kept: ArrayLike, lost: ArrayLike, gained: ArrayLike, neither: ArrayLike, tails: Tails
) -> Bounds:
    """Bounds of p − q from paired counts: Newcombe (1998), Stat. Med. 17, 2635–2650, method 10.

    Parameters
    ----------
    kept, lost, gained, neither : images correct before and after, before only, after only, never
    """
    e, f, g, h = (_floats(count) for count in (kept, lost, gained, neither))
    n = e + f + g + h
    margins = (e + f) * (g + h) * (e + g) * (f + h)
    product = e * h - f * g
    product = np.where(product > 0, np.maximum(product - n / 2, 0), product)
    r = np.where(margins > 0, product / np.sqrt(np.where(margins > 0, margins, 1)), 0.0)
    before = [wilson(e + f, n, tail) for tail in tails]
    after = [wilson(e + g, n, tail) for tail in tails]
    return _added((e + f) / n, before, (e + g) / n, after, r)


def newcombe_unpaired(dense: ArrayLike, correct: ArrayLike, n: ArrayLike, tails: Tails) -> Bounds:
    """Bounds of p − q of independent samples: Newcombe (1998), ibid. 873–890, method 10."""
    dense, correct, n = _floats(dense), _floats(correct), _floats(n)
    before = [wilson(dense, n, tail) for tail in tails]
    after = [wilson(correct, n, tail) for tail in tails]
    return _added(dense / n, before, correct / n, after, np.zeros_like(n))


def drop_bounds(
    n: ArrayLike, dense: ArrayLike, correct: ArrayLike, kept: ArrayLike | None, tails: Tails
) -> Bounds:
    """Bounds of the drop of recall (dense − correct) / n, as the gate decides on them.

    The wider of Newcombe's method 10 and of its construction (MOVER, Zou & Donner 2008) on exact
    bounds: of the shares of images lost and gained where `kept` is known, else of the two recalls
    as if independent.
    """
    n, dense, correct = _floats(n), _floats(dense), _floats(correct)
    if kept is None:
        newcombe = newcombe_unpaired(dense, correct, n, tails)
        p, q, r = dense, correct, np.zeros_like(n)
    else:
        kept = _floats(kept)
        p, q = dense - kept, correct - kept
        neither = np.maximum(n - dense - q, 0)  # rounding of scaled counts
        newcombe = newcombe_paired(kept, p, q, neither, tails)
        # Two cells of a multinomial; where one is certain or empty there is no correlation.
        inner = (n - p) * (n - q)
        r = np.where(inner > 0, -np.sqrt(p * q / np.where(inner > 0, inner, 1)), 0.0)
    one, other = ([clopper_pearson(k, n, (tail, tail)) for tail in tails] for k in (p, q))
    exact = _added(p / n, one, q / n, other, r)
    return np.minimum(newcombe[0], exact[0]), np.maximum(newcombe[1], exact[1])


def _added(
    p: Values, p_bounds: list[Bounds], q: Values, q_bounds: list[Bounds], r: Values
) -> Bounds:
    """Bounds of p − q from those of p and of q, at the tail of the lower and of the upper bound."""
    (p_low, _), (_, p_high) = p_bounds
    (_, q_high), (q_low, _) = q_bounds
    low = _hypotenuse(p - p_low, q_high - q, r)
    high = _hypotenuse(p_high - p, q - q_low, r)
    return np.maximum(p - q - low, -1), np.minimum(p - q + high, 1)


def _hypotenuse(a: Values, b: Values, r: Values) -> Values:
    return np.sqrt(np.maximum(a**2 - 2 * r * a * b + b**2, 0))


def _floats(values: ArrayLike) -> Values:
    return np.asarray(values, dtype=np.float64)
