"""Permutation tests whose units are networks or classes, never single rows.

sign_flips          differences (n,) of paired networks, or values against a null: under the null
                    each is as likely to be its mirror image (Fisher 1935); needs symmetry
exchanged_networks  two samples of different networks: their labels are exchangeable
permuted_classes    association of class patterns: names of the classes after are exchangeable,
                    for all networks at once, so that their dependence is kept

Where all arrangements are few enough they are enumerated and the p-value is exact; otherwise
`draws` random ones are taken and the observed one is added, (1 + b) / (1 + draws), which keeps the
level exactly (Phipson & Smyth 2010). All tests are two-sided unless `side` says otherwise.
"""

from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.hypotheses import Side

Values = NDArray[np.float64]
# Arrangements that are enumerated: 2^13 sign flips, or as many random ones.
MOST: Final = 8192
# Relative difference below which two arrangements count as equally extreme.
TIE: Final = 1e-12


def sign_flips(
    values: Values, null: float, side: Side, rng: np.random.Generator, draws: int = MOST
) -> float:
    """P-value of the mean of `values` (n,) against `null`; NaN for fewer than two values."""
    centred = values - null
    n = len(centred)
    if n < 2:
        return float("nan")
    if 2**n <= MOST:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return _share(signs @ centred, centred.sum(), side, exact=True)
    signs = rng.choice([-1, 1], size=(draws, n))
    return _share(signs @ centred, centred.sum(), side, exact=False)


def exchanged_networks(
    a: Values, b: Values, null: float, side: Side, rng: np.random.Generator, draws: int = MOST
) -> float:
    """P-value of the difference of means of `a` (n,) and `b` (k,) against `null`.

    The statistic is Welch's t, so that unequal variances do little harm (Janssen 1997).
    """
    if len(a) < 2 or len(b) < 2:
        return float("nan")
    whole, n = np.concatenate([a - null, b]), len(a)
    if comb(len(whole), n) <= MOST:
        chosen = np.array(list(combinations(range(len(whole)), n)))
        exact = True
    else:
        chosen = np.argsort(rng.random((draws, len(whole))), axis=1)[:, :n]
        exact = False
    first = np.zeros((len(chosen), len(whole)), dtype=bool)
    np.put_along_axis(first, chosen, values=True, axis=1)
    observed = np.zeros((1, len(whole)), dtype=bool)
    observed[0, :n] = True
    return _share(_welch(whole, first), float(_welch(whole, observed)[0]), side, exact=exact)


def permuted_classes(x: Values, y: Values, rng: np.random.Generator, draws: int = MOST) -> float:
    """P-value of a positive association of patterns x and y (M, C) over C classes.

    The statistic is the mean over networks of ρ = Σxy / √(Σx² Σy²); each draw permutes the classes
    of y in all networks alike.
    """
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    if not scale.all() or not np.isfinite(scale).all():
        return float("nan")
    # ρ_m of every class of x with every class of y; a permutation picks one entry of each row.
    products = np.einsum("mc,md,m->cd", x, y, 1 / scale)
    C = x.shape[1]
    order = np.argsort(rng.random((draws, C)), axis=1)
    drawn = products[np.arange(C), order].sum(axis=1)
    return _share(drawn, float(np.trace(products)), "greater", exact=False)


def _welch(whole: Values, first: NDArray[np.bool_]) -> Values:
    n = first.sum(axis=1)
    k = first.shape[1] - n
    sums, squares = first @ whole, first @ whole**2
    rest, rest_squares = whole.sum() - sums, (whole**2).sum() - squares
    mean, other = sums / n, rest / k
    variance = np.maximum((squares / n - mean**2) / (n - 1), 0)
    variance += np.maximum((rest_squares / k - other**2) / (k - 1), 0)
    difference = mean - other
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(difference == 0, 0.0, difference / np.sqrt(variance)))


def _share(drawn: Values, observed: float, side: Side, *, exact: bool) -> float:
    """Share of arrangements at least as extreme as the observed one."""
    # A statistic without variation is infinite, and as extreme as another such.
    finite = np.abs(drawn[np.isfinite(drawn)]).max(initial=0.0)
    margin = TIE * max(float(finite), abs(observed) if np.isfinite(observed) else 0.0)
    if side == "two-sided":
        extreme = np.abs(drawn) >= abs(observed) - margin
    elif side == "greater":
        extreme = drawn >= observed - margin
    else:
        extreme = drawn <= observed + margin
    if exact:
        return float(extreme.mean())
    return float((1 + extreme.sum()) / (1 + len(drawn)))
