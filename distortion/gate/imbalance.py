"""κ and α of one network with intervals over its test images, from counts.

symbol  name here  size      meaning
x, y    x, y       (C,)      normalized recall balance before, after
V       cov_xx, …  (C, C)    blocks of the covariance of (x, y) over other test images
a / b   a, b       ()        κ: ‖y‖ / ‖x‖; α: Σxy / Σx²

A finite test set spreads recalls by itself: E[Σx²] is larger than the sum of squares of the true
balances by the trace of its block of V, and likewise Σy² and Σxy. The traces are subtracted, so
that κ and α aim at the network's own balances, on ever more images. Intervals are Fieller's (1954):
λ is in them where a − λ b is not further from 0 than its standard error, by the delta method,
allows. Where b itself may be 0 there is none. κ is a quotient of norms, not of squares, because
the variance of a norm does not depend on its size.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from distortion.counts import balances
from distortion.gate.proportions import Bounds, Tails

Values = NDArray[np.float64]
Measure = Literal["kappa", "alpha"]


@dataclass(frozen=True, slots=True)
class Quotient:
    """An estimate a / b with the covariance matrix of a and b, at the images at hand."""

    a: float
    b: float
    var_a: float
    var_b: float
    cov: float

    @property
    def estimate(self) -> float:
        """The quotient; NaN where b is not above 0."""
        return self.a / self.b if self.b > 0 else np.nan

    def bounds(self, scale: Values, tails: Tails) -> Bounds:
        """Fieller's bounds with `scale` (m,) times as many images; NaN where there are none."""
        return self._root(scale, tails[0], -1), self._root(scale, tails[1], 1)

    def _root(self, scale: Values, tail: float, side: int) -> Values:
        square = float(ndtri(tail)) ** 2 / scale
        leading = self.b**2 - square * self.var_b
        middle = self.a * self.b - square * self.cov
        inside = middle**2 - leading * (self.a**2 - square * self.var_a)
        possible = (leading > 0) & (inside >= 0) & (self.b > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            root = (middle + side * np.sqrt(np.maximum(inside, 0))) / leading
        return np.where(possible, root, np.nan)


UNKNOWN: Final = Quotient(np.nan, np.nan, np.nan, np.nan, np.nan)


def quotients(
    measure: Measure,
    n: NDArray[np.int64],
    dense: NDArray[np.int64],
    correct: NDArray[np.int64],
    kept: NDArray[np.int64] | None,
) -> list[Quotient]:
    """κ or α of one network, from the counts (C,) of its classes.

    One element where `kept` is known. Where it is not, two: for errors that the two networks make
    independently, and for the largest overlap that the counts allow; the truth is in between unless
    the networks avoid each other's errors.
    """
    if kept is not None:
        return [_quotient(measure, n, dense, correct, kept)]
    apart = dense * correct / n
    return [_quotient(measure, n, dense, correct, k) for k in (apart, np.minimum(dense, correct))]


def _quotient(
    measure: Measure,
    n: NDArray[np.int64],
    dense: NDArray[np.int64],
    correct: NDArray[np.int64],
    kept: NDArray[np.int64] | Values,
) -> Quotient:
    x, y = balances(dense, n), balances(correct, n)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return UNKNOWN
    p, q = dense / n, correct / n
    to_x, to_y = _jacobian(p, n), _jacobian(q, n)
    cov_xx = to_x * (p * (1 - p) / n) @ to_x.T
    cov_yy = to_y * (q * (1 - q) / n) @ to_y.T
    cov_xy = to_x * ((kept / n - p * q) / n) @ to_y.T
    b = x @ x - np.trace(cov_xx)
    if measure == "alpha":
        cov = np.block([[cov_xx, cov_xy], [cov_xy.T, cov_yy]])
        gradients = np.stack([np.concatenate([y, x]), np.concatenate([2 * x, np.zeros_like(y)])])
        (var_a, both), (_, var_b) = gradients @ cov @ gradients.T
        return Quotient(float(x @ y - np.trace(cov_xy)), float(b), var_a, var_b, both)
    a = y @ y - np.trace(cov_yy)
    if not b > 0:
        return UNKNOWN
    # The delta method at the corrected norms. Recalls that spread no more afterwards than chance
    # spreads them have none: their spread is then bounded as a whole.
    var_a = y @ cov_yy @ y / a if a > 0 else np.trace(cov_yy)
    both = x @ cov_xy @ y / np.sqrt(a * b) if a > 0 else 0.0
    var_b = x @ cov_xx @ x / b
    norm_a, norm_b = np.sqrt(max(a, 0.0)), np.sqrt(b)
    return Quotient(float(norm_a), float(norm_b), float(var_a), float(var_b), float(both))


def _jacobian(recall: Values, n: NDArray[np.int64]) -> Values:
    """Derivatives (C, C) of the normalized balances with respect to the recalls."""
    weights = n / n.sum()
    accuracy = weights @ recall
    return np.asarray(np.eye(len(n)) / accuracy - np.outer(recall, weights) / accuracy**2)
