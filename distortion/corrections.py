"""Corrections for testing many hypotheses, made after a whole family is tested.

All take p-values (m,) of one family, NaN where no test was possible, and return corrected values
of the same shape. A NaN stays NaN, but counts: the family is what was asked, not what happened to
be answerable, and the intervals hold for the same number.
"""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Correction = Literal["bonferroni", "holm", "benjamini-hochberg", "none"]
Values = NDArray[np.float64]


def bonferroni(p: Values) -> Values:
    """Each p times the number of tests; controls the family-wise error rate (Dunn 1961)."""
    return np.minimum(1.0, p * len(p))


def holm(p: Values) -> Values:
    """Step-down Bonferroni; never larger than `bonferroni` (Holm 1979)."""
    order = np.argsort(p, kind="stable")  # NaN last
    return _restore(order, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p: Values) -> Values:
    """Controls the false discovery rate (Benjamini & Hochberg 1995)."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    # fmin passes over the NaN, which stand first here.
    return _restore(order, np.fmin.accumulate(scaled[::-1])[::-1])


CORRECTIONS: Final[dict[Correction, Callable[[Values], Values]]] = {
    "bonferroni": bonferroni,
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "none": np.copy,
}


def _restore(order: NDArray[np.intp], corrected: Values) -> Values:
    """Put sorted values back into the order of the tests; none is larger than 1."""
    result = np.empty_like(corrected)
    result[order] = np.minimum(1.0, corrected)
    return result
