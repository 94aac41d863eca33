"""Box plots of α by ratio with the outcome of each test: figures 3 and 4 of Good et al. (2022)."""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from distortion.figures.scales import OFF_SCALE, mark_beyond, plain_ticks, slope_window
from distortion.figures.style import (
    BLUE,
    INK,
    MUTED,
    PURPLE,
    VERMILION,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_markers,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, context_columns, counted, setting, varying
from distortion.tables import numbers

COLUMNS: Final = 4
COLOURS: Final = {"intensifies": VERMILION, "evens out": BLUE, "reorders and widens": PURPLE}
CONDITION_KEYS: Final = [*CONTEXT, "method", "ratio"]


def slope_boxes(slopes: pl.DataFrame, cells: pl.DataFrame, treated: str) -> Drawing:
    """One panel per context and method: α of every network by ratio, and the mark of each test.

    `slopes` has one row per cell (undefined slopes null), `cells` the findings of family cell.
    """
    marks = cells.select(*CONDITION_KEYS, "mark", "verdict")
    data = slopes.join(marks, on=CONDITION_KEYS, how="inner", maintain_order="left")
    panels, left_out = limited(data.partition_by([*CONTEXT, "method"], maintain_order=True))
    named = [*context_columns(data), "method"] if varying(data, CONTEXT) else ["method"]
    methods = data["method"].n_unique()
    limits = slope_window(data, CONDITION_KEYS)
    beyond = 0
    names: Names = {}
    with styled():
        figure, axes = grid(
            len(panels),
            methods if methods <= COLUMNS + 1 else COLUMNS,
            width=2.4,
            height=2.3,
            sharey=True,
        )
        for panel, axis in zip(panels, axes, strict=True):
            heading = setting(panel.row(0, named=True), named)
            beyond += _boxes(axis, panel, limits, heading, names)
            axis.set_title(drawable(heading, 40), pad=15)
        figure.supxlabel("Ratio t", fontsize=9)
        figure.supylabel("Slope α", fontsize=9)
    count = dict(marks["mark"].value_counts().iter_rows())
    return Drawing(
        "slopes",
        figure,
        "Slopes by ratio",
        f"Box plots of the slope α of each {treated} network by ratio in "
        f"{counted(len(panels), 'panel')}, where {counted(count.get('>', 0), 'condition')} lie "
        f"above 1 (>), {count.get('<', 0)} below (<) and {count.get('?', 0)} cannot be told from "
        "1 (?).",
        "Each point is one network. Box: quartiles and median over networks; whiskers: the "
        "farthest network within 1.5 box lengths. Dashed line: α = 1, no change. Marks above: the "
        "corrected test finds the mean α above 1 (>), below 1 (<) or neither (?). "
        "Colours: intensifies (orange), evens out (blue), reorders and widens (purple); grey where "
        "the slope is undecided or, below 1, the spread κ is."
        + (OFF_SCALE if beyond else "")
        + left_out,
        data.select(*CONDITION_KEYS, "seed", "alpha", "kappa", "rho", "mark", "verdict"),
        names,
    )


def _boxes(
    axis: Axes, panel: pl.DataFrame, limits: tuple[float, float], heading: str, names: Names
) -> int:
    """Draw one panel; return how many networks lie beyond the limits."""
    ratios = panel["ratio"].unique().sort().to_list()
    beyond = 0
    axis.axhline(1, color=INK, linewidth=1, linestyle="--", zorder=1)
    for place, t in enumerate(ratios):
        at = panel.filter(pl.col("ratio") == t)
        mark = at["mark"][0] or ""
        colour = COLOURS.get(at["verdict"][0], MUTED)
        defined = at.drop_nulls("alpha")
        known = defined["alpha"].to_numpy()
        texts = [f"{heading}{SEPARATOR}{_network(row)}" for row in defined.iter_rows(named=True)]
        if known.size:
            line = {"color": colour, "linewidth": 1.0}
            axis.boxplot(
                known,
                positions=[place],
                widths=0.62,
                showfliers=False,
                boxprops=line,
                medianprops=line | {"linewidth": 2},
                whiskerprops=line,
                capprops=line,
                manage_ticks=False,
            )
        beside = np.linspace(-0.2, 0.2, known.size) if known.size > 1 else np.zeros(known.size)
        (points,) = axis.plot(place + beside, known, "o", color=colour, ms=2.8, alpha=0.6, mew=0)
        name_markers(names, points, texts, limits)
        beyond += mark_beyond(axis, place + beside, known, limits, colour, names, texts)
        axis.annotate(
            mark,
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=colour,
            fontsize=10,
            fontweight="bold",
        )
    axis.set_ylim(limits)
    plain_ticks(axis)
    axis.grid(False, axis="x")
    axis.set_xticks(range(len(ratios)), [numbers.ratio(t) for t in ratios])
    axis.set_xlim(-0.6, len(ratios) - 0.4)
    return beyond


def _network(row: dict[str, Any]) -> str:
    slope = ", ".join(
        f"{letter} {numbers.fixed(row[name])}"
        for letter, name in (("α", "alpha"), ("κ", "kappa"), ("ρ", "rho"))
    )
    return f"t = {numbers.ratio(row['ratio'])}{SEPARATOR}seed {row['seed']}: {slope}"
