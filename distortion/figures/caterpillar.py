"""Caterpillar plot: change of recall of every class, sorted, with its interval."""

from typing import Any, Final

import numpy as np
import polars as pl

from distortion.figures.intervals import AROUND, BOUNDS, ROW, column, draw_intervals, rows_axis
from distortion.figures.style import (
    INK,
    MUTED,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    series,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, clean
from distortion.schema import CONTROL
from distortion.tables import numbers

COLUMNS: Final = 3
WIDTH: Final = 2.6
MOST_CLASSES: Final = 30
LOSING: Final = 20
# How many times the median panel a panel may reach and still share its axis.
FAR: Final = 2.5


def sorted_classes(
    classes: pl.DataFrame, methods: list[str], margin: float, name: str, heading: str
) -> Drawing:
    """One panel per method of one context, at its largest ratio: classes by their mean change.

    `classes` holds the findings of family class with `class_label`, `margin` the loss (share) that
    a class may have. Of many classes, those that lose most and those that lose least are drawn.
    """
    compressed = classes.filter(pl.col("arm") != CONTROL)
    largest = pl.col("ratio").max().over([*CONTEXT, "method"])
    data = compressed.filter(pl.col("ratio") == largest).sort(
        "estimate", "class_id", nulls_last=True, maintain_order=True
    )
    panels, left_out = limited(
        [data.filter(pl.col("method") == m) for m in methods if m in set(data["method"])]
    )
    shown = [_few(panel).with_columns(pl.col(*BOUNDS) * 100) for panel in panels]
    drawn = pl.concat(shown)
    extents = [_extent(panel) for panel in shown]
    usual = [e for e in extents if e[1] - e[0] <= FAR * np.median([b - a for a, b in extents])]
    common = min(e[0] for e in usual), max(e[1] for e in usual)
    looks = series(methods)
    names: Names = {}
    height = AROUND + ROW * max(panel.height for panel in shown)
    with styled():
        figure, axes = grid(len(shown), COLUMNS, width=WIDTH, height=height)
        for panel, axis, extent in zip(shown, axes, extents, strict=True):
            limits = common if extent in usual else extent
            method = panel["method"][0]
            ratio = numbers.ratio(panel["ratio"][0])
            axis.axvline(0, color=INK, linewidth=1, linestyle="--", zorder=1)
            axis.axvline(-100 * margin, color=MUTED, linewidth=1, linestyle=":", zorder=1)
            texts = [
                f"{clean(method)}{SEPARATOR}t = {ratio}{SEPARATOR}class "
                f"{clean(row['class_label'])}: {_change(row)} points"
                for row in panel.iter_rows(named=True)
            ]
            draw_intervals(
                axis,
                np.arange(panel.height, dtype=np.float64),
                panel,
                limits,
                looks[method],
                names,
                texts,
                hollow=(panel["verdict"] == "undecided").to_list(),
            )
            rows_axis(axis, [drawable(label, 16) for label in panel["class_label"]], limits)
            axis.set_title(drawable(f"{method}, t = {ratio}", 32))
        figure.supxlabel("Change of recall (points)", fontsize=9)
    worst = drawn.sort("estimate", nulls_last=True).row(0, named=True)
    left = ""
    if data.height > drawn.height:
        left = f" The {LOSING} that lose most and the {MOST_CLASSES - LOSING} that lose least."
    return Drawing(
        name,
        figure,
        f"Classes in order of their change: {heading}",
        f"Caterpillar plot of the change of recall of each class with its interval for {heading}, "
        f"one panel per method at its largest ratio, where class {drawable(worst['class_label'])} "
        f"changes most: {_change(worst)} points ({drawable(worst['method'])}).",
        "Mean change of recall over networks and its corrected interval (variation between "
        "networks), largest losses on top. Filled: different from no change after correction; "
        "hollow: undecided. Dashed: no change; dotted: the loss that a class may have, "
        f"{numbers.in_points(margin)}. Panels share their horizontal axis, but for "
        f"those whose classes change far more.{left}{left_out}",
        data.select(*CONTEXT, "method", "ratio", "class_id", "class_label", *BOUNDS, "verdict"),
        names,
    )


def _extent(panel: pl.DataFrame) -> tuple[float, float]:
    bounds = np.concatenate([[0.0], column(panel, "conf_low"), column(panel, "conf_high")])
    known = bounds[np.isfinite(bounds)]
    pad = max(0.3, 0.05 * float(np.ptp(known)))
    return float(known.min()) - pad, float(known.max()) + pad


def _few(panel: pl.DataFrame) -> pl.DataFrame:
    if panel.height <= MOST_CLASSES:
        return panel
    return pl.concat([panel.head(LOSING), panel.tail(MOST_CLASSES - LOSING)])


def _change(row: dict[str, Any]) -> str:
    return numbers.change_interval(*(None if row[b] is None else row[b] / 100 for b in BOUNDS))
