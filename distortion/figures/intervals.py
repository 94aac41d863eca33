"""Points with horizontal intervals, one below the other; what is off the axis is marked there."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from distortion.figures.style import Names, name_marks
from distortion.tables.numbers import fixed

BOUNDS: Final = ("estimate", "conf_low", "conf_high")
# Height of one row and of what stands around the rows, in inches.
ROW: Final = 0.19
AROUND: Final = 0.75
Values = NDArray[np.float64]


def draw_intervals(
    axis: Axes,
    places: Values,
    rows: pl.DataFrame,
    limits: tuple[float, float],
    look: dict[str, Any],
    names: Names,
    texts: Sequence[str],
    *,
    hollow: Sequence[bool] | None = None,
) -> int:
    """Draw estimates with their intervals at the heights `places`.

    `look` has colour, marker and, for the first of a series, a label; `hollow` says which points
    are drawn empty. Estimates outside the horizontal `limits` become triangles at its edge; the
    number of those is returned.
    """
    colour, marker = look["color"], look["marker"]
    middle, low, high = (column(rows, bound) for bound in BOUNDS)
    low, high = (np.clip(v, *limits) for v in (low, high))
    axis.hlines(places, low, high, colour, linewidth=1.2)
    inside = (limits[0] <= middle) & (middle <= limits[1])
    empty = np.zeros(len(middle), dtype=bool) if hollow is None else np.asarray(hollow, dtype=bool)
    label = look.get("label")
    for chosen, face in ((inside & ~empty, colour), (inside & empty, "white")):
        if chosen.any():
            (points,) = axis.plot(
                middle[chosen],
                places[chosen],
                linestyle="none",
                marker=marker,
                color=colour,
                markerfacecolor=face,
                markersize=4.5,
                label=label,
            )
            label = None
            name_marks(names, points, [t for t, use in zip(texts, chosen, strict=True) if use])
    beyond = 0
    for edge, outside, triangle in (
        (limits[0], middle < limits[0], "<"),
        (limits[1], middle > limits[1], ">"),
    ):
        if outside.any():
            beyond += int(outside.sum())
            (points,) = axis.plot(
                np.full(int(outside.sum()), edge),
                places[outside],
                triangle,
                color=colour,
                markersize=5,
                linestyle="none",
                clip_on=False,
            )
            name_marks(names, points, [t for t, out in zip(texts, outside, strict=True) if out])
    return beyond


def rows_axis(axis: Axes, labels: Sequence[str], limits: tuple[float, float]) -> None:
    """One labelled row per label, the first on top."""
    axis.set_yticks(range(len(labels)), list(labels))
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlim(limits)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def column(rows: pl.DataFrame, bound: str) -> Values:
    """A bound, or the estimate where there is no interval; NaN where there is none either."""
    values = rows[bound].fill_null(rows["estimate"]).cast(pl.Float64)
    return np.asarray(values.fill_null(np.nan).to_numpy())


def plain(value: float) -> str:
    """A tick with as few decimals as it needs, at most three, and a true minus sign."""
    digits = next(d for d in (0, 1, 2, 3) if d == 3 or abs(round(value, d) - value) < 1e-9)
    return fixed(value, digits)
