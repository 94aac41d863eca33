"""The part of a variance that test images make: delta method on the counts.

R_0, R_t are the recalls of a class before and after, each a mean over its n test images, so that
Var R = R (1 − R) / n and Cov(R_0, R_t) = (k_0t / n − R_0 R_t) / n. A measure with derivatives g_0
and g_t has the sampling variance Σ_c g_0² Var R_0 + g_t² Var R_t + 2 g_0 g_t Cov(R_0, R_t).

Networks of a study share their test images. Whatever these do to all networks alike does not
vary between networks, so this is an upper bound for the images' part of a variance over networks.
Of a difference between two compressed networks it is unknown: the log does not count the images
that both have right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, balances
from distortion.planning.assumptions import Measure

Values = NDArray[np.float64]


def measured(counts: Counts, measure: Measure) -> Values:
    """α or log κ (M,) of every network; NaN where undefined."""
    x, y = balances(counts.dense, counts.n), balances(counts.correct, counts.n)
    xx, xy, yy = ((a * b).sum(axis=1) for a, b in ((x, x), (x, y), (y, y)))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = xy / xx if measure == "alpha" else np.log(yy / xx) / 2
    return np.where(np.isfinite(found), found, np.nan)


def sampling_variance(counts: Counts, measure: Measure) -> Values:
    """Sampling variance (M,) of the measure of every network.

    Where `kept` is unknown, a network and its parent count as independent.
    """
    x, y = balances(counts.dense, counts.n), balances(counts.correct, counts.n)
    xx, yy = ((v * v).sum(axis=1, keepdims=True) for v in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == "alpha":
            by_x, by_y = (y - 2 * (x * y).sum(axis=1, keepdims=True) / xx * x) / xx, x / xx
        else:
            by_x, by_y = -x / xx, y / yy
        dense = _by_recall(by_x, x, counts.dense, counts.n)
        after = _by_recall(by_y, y, counts.correct, counts.n)
        covariance = _covariance(counts)
        variance = dense**2 * _variance(counts.dense, counts.n)
        variance += after**2 * _variance(counts.correct, counts.n) + 2 * dense * after * covariance
    return np.asarray(variance.sum(axis=1))


def change_variance(counts: Counts) -> Values:
    """Sampling variance (M, C) of the change of recall R_t − R_0 of each class."""
    apart = _variance(counts.dense, counts.n) + _variance(counts.correct, counts.n)
    return np.asarray(apart - 2 * _covariance(counts))


def _by_recall(
    by_balance: Values, balance: Values, correct: NDArray[Any], n: NDArray[Any]
) -> Values:
    """Chain rule through B̄ = R / A − 1, where A = Σ (n / Σ n) R moves with every recall."""
    total = n.sum(axis=1, keepdims=True)
    accuracy = correct.sum(axis=1, keepdims=True) / total
    moved = (by_balance * (1 + balance)).sum(axis=1, keepdims=True)
    return np.asarray((by_balance - n / total * moved) / accuracy)


def _variance(correct: NDArray[Any], n: NDArray[Any]) -> Values:
    recall = correct / n
    return np.asarray(recall * (1 - recall) / np.maximum(n - 1, 1))


def _covariance(counts: Counts) -> Values:
    if counts.kept is None:
        return np.zeros(counts.n.shape)
    n = counts.n
    apart = counts.kept / n - counts.dense / n * counts.correct / n
    return np.asarray(apart / np.maximum(n - 1, 1))
