"""Columns about their means and in units of their own, so that digits do not depend on units.

    y = m_y + u_y y'    x_j = m_j + u_j x'_j
    β_j = u_y/u_j β'_j  β_0 = m_y + u_y/u_0 β'_0 − Σ m_j β_j

Units are powers of two, which round nothing. Means are taken out only beside an intercept, or
beside effects that absorb them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.labels import clean

Values = NDArray[np.float64]
INTERCEPT: Final = "Intercept"
# Squares of larger numbers, or of smaller ones, leave the range of double precision.
LARGEST: Final = 1e150
# A mean of doubles is wrong by a few units of the last place.
ROUNDING: Final = 16 * float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True)
class Standard:
    """y' (n,), X' (n, p) and the way back.

    Attributes
    ----------
    y_mean, y_unit : m_y and u_y
    means, units : m and u (p,)
    noise : (p,) what rounding alone leaves in an entry of a column of X'
    intercept : its column, or None
    """

    y: Values
    X: Values
    y_mean: float
    y_unit: float
    means: Values
    units: Values
    noise: Values
    intercept: int | None

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Columns (p,) that do not vary; none where means were not taken out."""
        found = np.abs(self.X).max(axis=0) <= self.noise
        found &= self.means != 0
        return np.asarray(found)

    def restored(
        self, columns: Sequence[int], beta: Values, covariance: Values
    ) -> tuple[Values, Values]:
        """Coefficients and covariance of y and X from those of y' and the `columns` of X'."""
        kept = list(columns)
        scale = self.y_unit / self.units[kept]
        T = np.diag(scale)
        back = T @ beta
        if self.intercept in kept:
            place = kept.index(self.intercept)
            means = self.means[kept]
            T[place] -= means * scale
            back[place] += self.y_mean - means @ back
        return back, T @ covariance @ T.T


def standardised(
    y: Values,
    X: Values,
    weights: Values | None,
    names: Sequence[str],
    response: str,
    *,
    centred: bool = False,
) -> Standard:
    """Standardise y (n,) and X (n, p); `centred` where there are effects but no intercept.

    Raises
    ------
    FitError
        Numbers, or the coefficients that they give, are too large or too small to be squared.
    """
    check_range(y, X, names, response)
    intercept = names.index(INTERCEPT) if INTERCEPT in names else None
    y_mean, means = 0.0, np.zeros(X.shape[1])
    noise = ROUNDING * np.abs(X).max(axis=0)
    if centred or intercept is not None:
        y_mean = float(np.average(y, weights=weights))
        means = np.asarray(np.average(X, axis=0, weights=weights))
        if intercept is not None:
            means[intercept] = 0.0
        y, X = y - y_mean, X - means
    spread = np.abs(X).max(axis=0)
    units = power_of_two(np.where(spread > noise, spread, 1.0))
    y_unit = float(power_of_two(np.abs(y).max()))
    return Standard(y / y_unit, X / units, y_mean, y_unit, means, units, noise / units, intercept)


def power_of_two(size: Values | float) -> Values:
    """The power of two above `size`; 1 for 0."""
    return np.asarray(np.ldexp(1.0, np.frexp(size)[1]))


def check_range(y: Values, X: Values, names: Sequence[str], response: str) -> None:
    """Raise FitError where squares of y (n,), X (n, p) or coefficients overflow or vanish."""
    sizes = {response: float(np.abs(y).max())}
    sizes |= dict(zip(names, map(float, np.abs(X).max(axis=0)), strict=True))
    for name, size in sizes.items():
        if size and not 1 / LARGEST <= size <= LARGEST:
            raise FitError(
                f"The largest value of {clean(name)} is {size:.3g} in absolute value, and its "
                f"square is outside double precision. Measure it in other units: multiply the "
                f"column by {1 / size:.0e}."
            )
    top = sizes[response]
    for name in names:
        ratio = np.log10(top) - np.log10(sizes[name]) if top and sizes[name] else 0.0
        if abs(ratio) > np.log10(LARGEST):
            raise FitError(
                f"{clean(response)} reaches {top:.3g} and {clean(name)} {sizes[name]:.3g}: the "
                "coefficient is outside double precision when squared. Measure either in other "
                "units."
            )
