"""κ and α freed of what a finite test set does to them: of one network, or of a recipe's.

symbol  name here  size      meaning
x, y    x, y       (C,)      normalized recall balance before, after
V       cov_xx, …  (C, C)    blocks of the covariance of (x, y) over other test images
a / b   a, b       ()        κ: ‖y‖ / ‖x‖; α: Σxy / Σx²

A finite test set spreads recalls by itself: E[Σx²] is larger than the sum of squares of the true
balances by the trace of its block of V, and likewise Σy² and Σxy. The traces are subtracted, so
that κ and α aim at the network's own balances, on ever more images. Of several networks the sums
are added up before they are divided: that is defined where a single network's quotient may not be.

Intervals over test images are Fieller's (1954): λ is in them where a − λ b is not further from 0
than its standard error, by the delta method, allows. Where b itself may be 0 there is none. κ is a
quotient of norms, not of squares, because the variance of a norm does not depend on its size.
Intervals over networks are those of the delete-one jackknife.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from distortion.counts import Counts, balances
from distortion.gate.proportions import Bounds, Tails

Values = NDArray[np.float64]
Integers = NDArray[np.int64]
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


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Balances x, y (C,) of one network, blocks (C, C) of their V."""

    x: Values
    y: Values
    cov_xx: Values
    cov_xy: Values
    cov_yy: Values

    @property
    def freed(self) -> tuple[float, float, float]:
        """Σx², Σxy, Σy² without what a finite test set adds."""
        x, y = self.x, self.y
        return (
            float(x @ x - np.trace(self.cov_xx)),
            float(x @ y - np.trace(self.cov_xy)),
            float(y @ y - np.trace(self.cov_yy)),
        )


def quotients(
    measure: Measure,
    n: Integers,
    dense: Integers,
    correct: Integers,
    kept: Integers | None,
) -> list[Quotient]:
    """κ or α of one network, from the counts (C,) of its classes.

    One element where `kept` is known. Where it is not, two: for errors that the two networks make
    independently, and for the largest overlap that the counts allow; the truth is in between unless
    the networks avoid each other's errors.
    """
    return [_quotient(measure, n, dense, correct, k) for k in _overlaps(n, dense, correct, kept)]


def pooled(measure: Measure, counts: Counts) -> tuple[float, Values]:
    """Log κ or α of the networks' sums added up, and without each network (M,).

    NaN where a sum of squares is not above 0.
    """
    n, dense, correct = counts.n, counts.dense, counts.correct
    rows = []
    for m in range(len(n)):
        kept = None if counts.kept is None else counts.kept[m]
        overlaps = _overlaps(n[m], dense[m], correct[m], kept)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = [_sums(n[m], dense[m], correct[m], k).freed for k in overlaps]
        rows.append(np.mean(found, axis=0))
    every = np.array(rows)
    total = every.sum(axis=0)

    def quotient(sums: Values) -> Values:
        xx, xy, yy = (np.where(v > 0, v, np.nan) if i != 1 else v for i, v in enumerate(sums.T))
        return np.asarray(np.log(yy / xx) / 2 if measure == "kappa" else xy / xx)

    return float(quotient(total)), quotient(total - every)


def _overlaps(
    n: Integers, dense: Integers, correct: Integers, kept: Integers | None
) -> list[Integers | Values]:
    """`kept`, or where it is unknown both ends of what it may be."""
    if kept is not None:
        return [kept]
    return [dense * correct / n, np.minimum(dense, correct)]


def _sums(n: Integers, dense: Integers, correct: Integers, kept: Integers | Values) -> Sums:
    p, q = dense / n, correct / n
    to_x, to_y = _jacobian(p, n), _jacobian(q, n)
    return Sums(
        balances(dense, n),
        balances(correct, n),
        to_x * (p * (1 - p) / n) @ to_x.T,
        to_x * ((kept / n - p * q) / n) @ to_y.T,
        to_y * (q * (1 - q) / n) @ to_y.T,
    )


def _quotient(
    measure: Measure, n: Integers, dense: Integers, correct: Integers, kept: Integers | Values
) -> Quotient:
    if not (dense.any() and correct.any()):
        return UNKNOWN
    sums = _sums(n, dense, correct, kept)
    x, y, (b, both, a) = sums.x, sums.y, sums.freed
    cov_xx, cov_xy, cov_yy = sums.cov_xx, sums.cov_xy, sums.cov_yy
    if measure == "alpha":
        cov = np.block([[cov_xx, cov_xy], [cov_xy.T, cov_yy]])
        gradients = np.stack([np.concatenate([y, x]), np.concatenate([2 * x, np.zeros_like(y)])])
        (var_a, cov_ab), (_, var_b) = gradients @ cov @ gradients.T
        return Quotient(both, b, var_a, var_b, cov_ab)
    if not b > 0:
        return UNKNOWN
    # The delta method at the corrected norms. Recalls that spread no more afterwards than chance
    # spreads them have none: their spread is then bounded as a whole.
    var_a = y @ cov_yy @ y / a if a > 0 else np.trace(cov_yy)
    cov_ab = x @ cov_xy @ y / np.sqrt(a * b) if a > 0 else 0.0
    var_b = x @ cov_xx @ x / b
    norm_a, norm_b = np.sqrt(max(a, 0.0)), np.sqrt(b)
    return Quotient(float(norm_a), float(norm_b), float(var_a), float(var_b), float(cov_ab))


def _jacobian(recall: Values, n: Integers) -> Values:
    """Derivatives (C, C) of the normalized balances with respect to the recalls."""
    weights = n / n.sum()
    accuracy = weights @ recall
    return np.asarray(np.eye(len(n)) / accuracy - np.outer(recall, weights) / accuracy**2)
