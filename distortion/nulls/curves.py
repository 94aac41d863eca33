"""A measure read off between the ratios of a method, and what the bend of its curve is worth."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from distortion.counts import Values


class Reading(NamedTuple):
    """A measure read off a curve.

    Attributes
    ----------
    measure : NaN where the curve never has the value
    bend : how far the straight line between the two neighbouring points lies above it; 0 at a
        point of the curve, NaN where no third point shows a bend
    """

    measure: float
    bend: float


NOWHERE = Reading(np.nan, np.nan)


def read_off(value: float, at: Values, measure: Values, slack: float = 0.0) -> Reading:
    """`measure` where the curve through (at, measure), (J,) in order, first has `value`.

    At a point within `slack` of the value it is that point's. Between two points it is on the
    monotone cubic (PCHIP: Fritsch and Butland 1984) through the run of points about them along
    which `at` only rises, or only falls; a run of two is a straight line. Nothing is extrapolated.
    """
    near = np.abs(at - value) <= slack
    for j in range(len(at)):
        if near[j]:
            return Reading(float(measure[j]), 0.0)
        if j + 1 < len(at) and not near[j + 1] and (at[j] - value) * (at[j + 1] - value) < 0:
            return _between(value, at, measure, j)
    return NOWHERE


def _between(value: float, at: Values, measure: Values, j: int) -> Reading:
    share = (value - at[j]) / (at[j + 1] - at[j])
    straight = float(measure[j] + share * (measure[j + 1] - measure[j]))
    if not np.isfinite(straight):
        return NOWHERE
    sign = np.sign(at[j + 1] - at[j])
    goes_on = (np.sign(np.diff(at)) == sign) & np.isfinite(measure[:-1] + measure[1:])
    first, last = j, j + 1
    while first > 0 and goes_on[first - 1]:
        first -= 1
    while last < len(goes_on) and goes_on[last]:
        last += 1
    run = slice(first, last + 1)
    if last - first < 2:
        return Reading(straight, np.nan)
    curved = float(PchipInterpolator(sign * at[run], measure[run])(sign * value))
    return Reading(curved, straight - curved)
