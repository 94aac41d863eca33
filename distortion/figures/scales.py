"""Axes for numbers that are close together in most conditions and far off in a few.

A pruned network near chance level has a slope of any size; on an axis that holds it, the others
become a line. Such conditions are drawn to the edge of the axis and marked there.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from distortion.figures.style import Names, name_marks
from distortion.tables.numbers import fixed, significant

FAR: Final = 8.0
OFF_SCALE: Final = (
    " Triangles at the edge: values beyond the axis, which is fitted to the conditions that are "
    "not spread exceptionally far; the data file has them all."
)
ERRORS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 80)


def window(
    lows: NDArray[np.float64], highs: NDArray[np.float64], reference: float, far: float = FAR
) -> tuple[float, float]:
    """Limits that hold the reference and every range but those exceptionally wide.

    Parameters
    ----------
    lows, highs : (m,) the range of each condition; NaN where it has none
    reference : the null value
    far : how many times the median range is exceptionally wide
    """
    known = np.isfinite(lows) & np.isfinite(highs)
    lows, highs = lows[known], highs[known]
    widths = highs - lows
    usual = widths <= far * np.median(widths) if widths.size else known[:0]
    ends = np.concatenate([lows[usual], highs[usual], [reference]])
    low, high = float(ends.min()), float(ends.max())
    pad = max(0.03, 0.05 * (high - low))
    return low - pad, high + pad


def extremes(values: pl.Series) -> tuple[float, float]:
    """The smallest and the largest value; NaN where there is none."""
    known = values.drop_nulls().to_numpy()
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)


def slope_window(slopes: pl.DataFrame, by: list[str]) -> tuple[float, float]:
    """The window of α over networks, one range per group of `by`."""
    ranges = slopes.group_by(by).agg(
        pl.col("alpha").min().alias("low"), pl.col("alpha").max().alias("high")
    )
    lows, highs = (ranges[c].cast(pl.Float64).to_numpy() for c in ("low", "high"))
    return window(lows, highs, 1.0)


def mark_beyond(
    axis: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    limits: tuple[float, float],
    colour: str,
    names: Names,
    texts: Sequence[str],
) -> int:
    """Draw a triangle at the edge for each y outside `limits`; return how many there are.

    `texts` say what each point shows, and go into `names` for those that are drawn here.
    """
    beyond = 0
    for edge, outside, marker in ((limits[0], y < limits[0], "v"), (limits[1], y > limits[1], "^")):
        count = int(np.count_nonzero(outside))
        beyond += count
        if count:
            (triangles,) = axis.plot(
                x[outside],
                np.full(count, edge),
                marker,
                color=colour,
                markersize=5,
                linestyle="none",
                clip_on=False,
                markeredgecolor="white",
                markeredgewidth=0.4,
                zorder=5,
            )
            name_marks(names, triangles, [t for t, out in zip(texts, outside, strict=True) if out])
    return beyond


def accuracy_axis(axis: Axes, errors: NDArray[np.float64]) -> None:
    """Make the horizontal axis one of accuracy, stretched towards 100%: a log scale of the error.

    `errors` are in per cent and are what is drawn; an error of zero makes the axis linear.
    """
    axis.invert_xaxis()
    if errors.min() > 0:
        axis.set_xscale("log")
        axis.set_xlim(min(100.0, 1.3 * errors.max()), errors.min() / 1.3)
        axis.xaxis.set_major_locator(FixedLocator(list(ERRORS)))
        axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:g}%"))


def plain_log(axis: Axes) -> None:
    """Make the vertical axis logarithmic with plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))


def plain_ticks(axis: Axes) -> None:
    """Write the numbers of the vertical axis with two decimals at most and a true minus sign."""
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    return fixed(
        value, next(d for d in (0, 1, 2, 3) if d == 3 or abs(round(value, d) - value) < 1e-9)
    )
