"""Corrections for testing many hypotheses, made after a whole family is tested.

All take p-values (m,) of one family, NaN where no test was possible, and return corrected values
of the same shape; a NaN stays NaN and does not count as a test.
"""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Correction = Literal["bonferroni", "holm", "benjamini-hochberg", "none"]
Values = NDArray[np.float64]


def bonferroni(p: Values) -> Values:
    """Each p times the number of tests; controls the family-wise error rate (Dunn 1961)."""
    return np.minimum(1.0, p * np.count_nonzero(~np.isnan(p)))


def holm(p: Values) -> Values:
    """Step-down Bonferroni; never larger than `bonferroni` (Holm 1979)."""
    order, tested = _ascending(p)
    factors = np.arange(tested, 0, -1)
    return _restore(p, order, np.maximum.accumulate(p[order] * factors))


def benjamini_hochberg(p: Values) -> Values:
    """Controls the false discovery rate (Benjamini & Hochberg 1995)."""
    order, tested = _ascending(p)
    scaled = p[order] * tested / np.arange(1, tested + 1)
    return _restore(p, order, np.minimum.accumulate(scaled[::-1])[::-1])


CORRECTIONS: Final[dict[Correction, Callable[[Values], Values]]] = {
    "bonferroni": bonferroni,
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "none": np.copy,
}


def _ascending(p: Values) -> tuple[NDArray[np.intp], int]:
    order = np.argsort(p, kind="stable")
    tested = int(np.count_nonzero(~np.isnan(p)))
    return order[:tested], tested


def _restore(p: Values, order: NDArray[np.intp], corrected: Values) -> Values:
    result = np.full_like(p, np.nan)
    result[order] = np.minimum(1.0, corrected)
    return result
