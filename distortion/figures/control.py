"""Dots and whiskers: slopes of compressed networks minus those of their own controls."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.figures.curves import COLUMNS, HEIGHT, WIDTH, legend
from distortion.figures.scales import OFF_SCALE, mark_beyond, plain_ticks, window
from distortion.figures.style import (
    INK,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_markers,
    series,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, clean, context_columns, setting
from distortion.tables import numbers

BOUNDS: Final = ("estimate", "conf_low", "conf_high")
STEP: Final = 0.15


def against_control(differences: pl.DataFrame, methods: Sequence[str]) -> Drawing:
    """α of compressed networks minus that of their own control, with intervals.

    `differences` are the findings of family versus control.
    """
    looks = series(methods)
    low, high = (_either(differences, c) for c in BOUNDS[1:])
    limits = window(low, high, 0.0)
    beyond = 0
    names: Names = {}
    panels, left_out = limited(differences.partition_by(CONTEXT, maintain_order=True))
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT, sharey=True)
        for panel, axis in zip(panels, axes, strict=True):
            heading = setting(panel.row(0, named=True), context_columns(differences))
            ratios = panel["ratio"].unique().sort().to_list()
            axis.axhline(0, color=INK, linewidth=1, linestyle="--", zorder=1)
            present = panel["method"].unique(maintain_order=True).to_list()
            for i, method in enumerate(present):
                rows = panel.filter(pl.col("method") == method)
                places = np.array([ratios.index(t) for t in rows["ratio"]], dtype=np.float64)
                places += STEP * (i - (len(present) - 1) / 2)
                colour, marker = looks[method]["color"], looks[method]["marker"]
                axis.vlines(places, _either(rows, "conf_low"), _either(rows, "conf_high"), colour)
                middle = rows["estimate"].cast(pl.Float64).to_numpy()
                (points,) = axis.plot(
                    places, middle, marker, color=colour, ms=4.5, label=drawable(method)
                )
                texts = [_difference(heading, row) for row in rows.iter_rows(named=True)]
                name_markers(names, points, texts, limits)
                beyond += sum(
                    mark_beyond(axis, places, _either(rows, bound), limits, colour, names, texts)
                    for bound in BOUNDS[1:]
                )
            axis.set_ylim(limits)
            plain_ticks(axis)
            axis.set_xticks(range(len(ratios)), [numbers.ratio(t) for t in ratios])
            axis.grid(False, axis="x")
            axis.set_title(drawable(heading, 48))
        figure.supxlabel("Ratio t", fontsize=9)
        figure.supylabel("Slope α minus that of the control", fontsize=9)
        legend(figure, axes)
    larger = differences.filter(pl.col("verdict") == "larger slope").height
    smaller = differences.filter(pl.col("verdict") == "smaller slope").height
    return Drawing(
        "against-control",
        figure,
        "Slopes against the control arm",
        "Dot plot of the slope α of compressed networks minus the slope of their own controls by "
        f"ratio and method, where {larger} of {differences.height} differences lie above 0 and "
        f"{smaller} below.",
        "Points: mean difference over networks, the same dense network on both sides. Bars: "
        "corrected intervals, variation between networks (seeds). Dashed line: no difference from "
        "fine-tuning alone." + (OFF_SCALE if beyond else "") + left_out,
        differences.select(*CONTEXT, "method", "ratio", *BOUNDS, "p_corrected", "verdict"),
        names,
    )


def _difference(heading: str, row: dict[str, Any]) -> str:
    condition = SEPARATOR.join(
        (heading, clean(row["method"]), f"t = {numbers.ratio(row['ratio'])}")
    )
    bounds = (row[bound] for bound in BOUNDS)
    return f"{condition}: difference {numbers.interval(*bounds, null=0.0, signed=True)}"


def _either(rows: pl.DataFrame, bound: str) -> np.ndarray:
    """The bound, or the estimate where there is no interval."""
    return rows[bound].fill_null(rows["estimate"]).cast(pl.Float64).to_numpy()
