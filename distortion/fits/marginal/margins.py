"""Estimated marginal means and slopes: fits read at the points of a balanced grid.

    m = L β (+ offset),   a row of L = the average of the rows of X at the grid points of a level

The grid crosses all levels of the categorical columns with the means of the numeric ones; levels
that are not asked for are averaged with equal weights. A slope is the central difference of m over
a thousandth of the range of a column, exact where m is linear or quadratic in it.

Source: Searle, Speed and Milliken (1980), Am. Stat. 34, 216; as emmeans (Lenth 2023), except that
emmeans averages numeric columns with two values over these, and this holds them at their mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError, did_you_mean
from distortion.fits.marginal.pairwise import Comparison, tested

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
Names = str | Sequence[str]
At = Mapping[str, Any]
# Rows of X that are made for one grid: 4 million numbers for 20 columns.
MOST_POINTS: Final = 200_000
STEP: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Grid:
    """Points, the groups of points that are averaged, and what is said of each group.

    points   (k g, columns), g for each of the k groups, group by group
    levels   (k, columns asked for)
    """

    points: pl.DataFrame
    levels: list[dict[str, Any]]

    def average(self, values: Values) -> Values:
        """Average (k g, …) over the points of each group: (k, …)."""
        return np.asarray(values.reshape(len(self.levels), -1, *values.shape[1:]).mean(axis=1))


def means(
    fit: "Fit", factors: Names, by: Names, at: At | None, comparison: Comparison
) -> pl.DataFrame:
    """See `Fit.means`."""
    factors, by = _names(factors), _names(by)
    frame = fit.model.frame
    grid = _grid(frame, (*by, *factors), at or {})
    L = grid.average(frame.fixed_matrix(grid.points))
    offset = frame.offset(grid.points)
    shift = np.zeros(len(L)) if offset is None else grid.average(offset)
    return tested(fit, L, shift, grid.levels, by, comparison)


def slopes(
    fit: "Fit", variable: str, by: Names, at: At | None, comparison: Comparison
) -> pl.DataFrame:
    """See `Fit.slopes`."""
    by, frame = _names(by), fit.model.frame
    numeric = [name for name in frame.means if name not in frame.factors]
    if variable not in numeric:
        raise FitError(
            f"There is a slope along numeric columns of the fixed part only, and {variable!r} is "
            f"none. {did_you_mean(variable, numeric)}"
        )
    if variable in by:
        raise FitError(f"{variable!r} cannot be in by= of its own slope: use at={{...}}.")
    step = STEP * float(np.ptp(frame.columns(variable).to_series().to_numpy()))
    grid = _grid(frame, by, at or {})
    ahead, behind = (
        grid.points.with_columns(pl.col(variable) + sign * step / 2) for sign in (1, -1)
    )
    L = grid.average(frame.fixed_matrix(ahead) - frame.fixed_matrix(behind)) / step
    one, other = frame.offset(ahead), frame.offset(behind)
    shift = np.zeros(len(L))
    if one is not None and other is not None:
        shift = grid.average(one - other) / step
    return tested(fit, L, shift, grid.levels, (), comparison)


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _grid(frame: "ModelFrame", asked: Sequence[str], at: At) -> Grid:
    numbers = frame.means | frame.variables.means_of(frame.variables.offsets)
    known: dict[str, Sequence[Any]] = {name: [mean] for name, mean in numbers.items()}
    known |= frame.factors
    for name in (*asked, *at):
        if name not in known:
            raise FitError(f"{name!r} is no column of the fixed part. {did_you_mean(name, known)}")
    if len(set(asked)) < len(asked):
        raise FitError(f"A column is asked for twice: {', '.join(asked)}.")
    for name in asked:
        if name not in frame.factors and name not in at:
            raise FitError(
                f"{name!r} is numeric: say at which values, for example at={{{name!r}: [0, 1]}}."
            )
    known |= {name: _values(name, values, frame.factors.get(name)) for name, values in at.items()}
    order = [*asked, *(name for name in known if name not in asked)]
    size = int(np.prod([len(values) for values in known.values()]))
    if size > MOST_POINTS:
        raise FitError(
            f"The grid of all levels has {size:,} points, and {MOST_POINTS:,} is the most. Hold "
            "a column at some of its levels with at={...}."
        )
    rows = list(product(*(known[name] for name in order)))
    points = pl.DataFrame(rows, schema=order, orient="row", infer_schema_length=None)
    if not order:  # an intercept alone: one point without coordinates
        points = pl.DataFrame({"": [0.0]})
    levels = [
        dict(zip(asked, chosen, strict=True))
        for chosen in product(*(known[name] for name in asked))
    ]
    return Grid(points, levels)


def _values(name: str, values: Any, levels: Sequence[Any] | None) -> Sequence[Any]:
    """Return the values of at= for one column as a list."""
    several = isinstance(values, list | tuple | range | np.ndarray | pl.Series)
    listed = list(values) if several else [values]
    if not listed:
        raise FitError(f"at= names no value of {name!r}.")
    for value in listed:
        if levels is not None and value not in levels:
            raise FitError(
                f"{value!r} is no level of {name!r}. {did_you_mean(str(value), map(str, levels))}"
            )
        if levels is None and not (isinstance(value, Real) and np.isfinite(float(value))):
            raise FitError(f"at= holds {name!r} at finite numbers, not at {value!r}.")
    return listed
