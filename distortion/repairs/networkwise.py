"""Estimators that give a number for every network: x is B̄ before, y is B̄ after, both (M, C).

All return (M,), NaN where undefined; what is tested is their mean over networks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, Values, balances
from distortion.schema import CONTROL


def slopes(x: Values, y: Values, weights: NDArray[Any] | float = 1.0) -> Values:
    """Slope through the origin Σ w x y / Σ w x² over classes; the plain α with equal weights."""
    return _ratio((weights * x * y).sum(axis=-1), (weights * x * x).sum(axis=-1))


def log_spreads(x: Values, y: Values) -> Values:
    """Log κ, where κ² = Σ y² / Σ x²; undefined where either side has no spread."""
    kappa = np.sqrt(_ratio((y * y).sum(axis=-1), (x * x).sum(axis=-1)))
    return np.log(kappa, out=np.full_like(kappa, np.nan), where=kappa > 0)


def plain(counts: Counts) -> Values:
    """Slope α of Good et al. (2022), section 5."""
    return slopes(*_balances(counts))


def log_kappa(counts: Counts) -> Values:
    """Log of the ratio of spreads κ (S9: no ratio with a heavy tail)."""
    return log_spreads(*_balances(counts))


def support_weighted(counts: Counts) -> Values:
    """Slope with every image, not every class, counting the same: Σ n x y / Σ n x².

    Σ n x = 0 holds on any test set, so the line needs no intercept (S8).
    """
    return slopes(*_balances(counts), weights=counts.n)


def macro(counts: Counts) -> Values:
    """Slope of balances against macro recall R̄ = Σ R / C instead of accuracy: (R − R̄) / R̄."""
    return slopes(_macro(counts.dense, counts.n), _macro(counts.correct, counts.n))


def intercepts(counts: Counts) -> Values:
    """Intercept of ordinary least squares of y on x; 0 by construction on a balanced test set."""
    x, y = _balances(counts)
    mean_x, mean_y = x.mean(axis=-1), y.mean(axis=-1)
    return np.asarray(mean_y - slopes(x - mean_x[:, None], y - mean_y[:, None]) * mean_x)


def beyond_control(counts: Counts, measure: Callable[[Values, Values], Values]) -> Values:
    """A measure of the network minus that of its own control: what removal did beyond training.

    Seed noise pulls both towards 1 alike, to first order (S5). NaN for networks without a control,
    and for the control itself.
    """
    x, y = _balances(counts)
    if counts.control is None or counts.condition["arm"] == CONTROL:
        return np.full(len(x), np.nan)
    return measure(x, y) - measure(x, balances(counts.control, counts.n))


def _balances(counts: Counts) -> tuple[Values, Values]:
    return balances(counts.dense, counts.n), balances(counts.correct, counts.n)


def _macro(correct: NDArray[Any], n: NDArray[Any]) -> Values:
    recall = correct / n
    mean = recall.mean(axis=-1, keepdims=True)
    return np.asarray(_ratio(recall, np.broadcast_to(mean, recall.shape)) - 1)


def _ratio(numerator: Values, denominator: Values) -> Values:
    """The quotient, NaN where the denominator is not positive."""
    quotient: Values = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
