"""Accuracy against the spread of recalls, with the conditions that no other beats in both."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distortion.figures.curves import COLUMNS, HEIGHT, WIDTH
from distortion.figures.scales import accuracy_axis, plain_log, plain_ticks
from distortion.figures.style import (
    INK,
    MUTED,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_marks,
    series,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, by_context, clean, context_columns, setting
from distortion.schema import CONTROL
from distortion.tables import numbers

# Spreads farther apart than this many times are drawn on a log scale.
WIDE: Final = 3.0


def spread_plane(conditions: pl.DataFrame, methods: Sequence[str]) -> Drawing:
    """Mean accuracy against the SD of recalls over classes, one panel per context.

    `conditions` as from `distortion.tables.fronts.with_front`: the reported arm and the control.
    """
    looks = series(methods)
    known = conditions.drop_nulls(["accuracy", "sd"])
    errors = 100 * (
        1 - np.concatenate([known[c].to_numpy() for c in ("accuracy", "accuracy_dense")])
    )
    spreads = np.concatenate([known[c].drop_nulls().to_numpy() for c in ("sd", "sd_dense")])
    wide = spreads.min() > 0 and spreads.max() > WIDE * spreads.min()
    panels, left_out = limited(by_context(known))
    named = context_columns(conditions.filter(pl.col("arm") != CONTROL))
    names: Names = {}
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT, sharey=True)
        for panel, axis in zip(panels, axes, strict=True):
            heading = setting(panel.row(0, named=True), named)
            if wide:
                plain_log(axis)
            dense = 100 * (1 - panel["accuracy_dense"][0]), 100 * panel["sd_dense"][0]
            (cross,) = axis.plot(*dense, "P", color=MUTED, ms=8, label="dense", zorder=5)
            text = _text(heading, "dense", panel["accuracy_dense"][0], panel["sd_dense"][0])
            name_marks(names, cross, [text])
            compressed = panel.filter(pl.col("arm") != CONTROL)
            for method in compressed["method"].unique(maintain_order=True):
                rows = compressed.filter(pl.col("method") == method).sort("ratio")
                (points,) = axis.plot(
                    *_place(rows), label=drawable(method), ms=4.5, lw=0.8, **looks[method]
                )
                name_marks(
                    names,
                    points,
                    [
                        _text(
                            heading,
                            f"{clean(method)}{SEPARATOR}t = {numbers.ratio(row['ratio'])}",
                            row["accuracy"],
                            row["sd"],
                        )
                        for row in rows.iter_rows(named=True)
                    ],
                )
            control = panel.filter(pl.col("arm") == CONTROL).head(1)
            if control.height:
                axis.plot(*_place(control), "*", color=INK, ms=10, label="control", zorder=6)
            front = compressed.filter(pl.col("front")).sort("accuracy")
            axis.plot(*_place(front), color=INK, lw=1.2, drawstyle="steps-post", zorder=1)
            axis.plot(
                *_place(front), "o", mfc="none", mec=INK, ms=10, mew=1.2, label="front", zorder=7
            )
            if not wide:
                plain_ticks(axis)
            accuracy_axis(axis, errors)
            axis.set_title(drawable(heading, 48))
        figure.supxlabel("Mean accuracy (log scale of the error)", fontsize=9)
        figure.supylabel("SD of recalls over classes (points)", fontsize=9)
        _legend(figure, axes)
    return Drawing(
        "pareto",
        figure,
        "Accuracy against the spread of recalls",
        "Scatter plot of the SD of recalls over classes against mean accuracy, one line per method "
        f"through its ratios, where {known['front'].sum()} of "
        f"{known.filter(pl.col('arm') != CONTROL).height} conditions are on the Pareto front.",
        "Each point is one ratio, mean over networks; right and down is better. Rings and black "
        "line: the Pareto front, conditions that no other beats in accuracy and spread at once. "
        "Cross: dense networks. Not tested." + left_out,
        known.select(
            *CONTEXT,
            "method",
            "arm",
            "ratio",
            "accuracy_dense",
            "accuracy",
            "sd_dense",
            "sd",
            "kappa",
            "front",
            "front_of_ratio",
        ),
        names,
    )


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Each label once, in as many columns as the panels are wide."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper left",
        ncols=3 * min(len(axes), COLUMNS),
        frameon=False,
        fontsize=8,
        handlelength=3,
    )


def _place(rows: pl.DataFrame) -> tuple[Any, Any]:
    return 100 * (1 - rows["accuracy"].to_numpy()), 100 * rows["sd"].to_numpy()


def _text(heading: str, what: str, accuracy: float, sd: float) -> str:
    spread = numbers.fixed(100 * sd, 1)
    return f"{heading}{SEPARATOR}{what}: accuracy {numbers.percent(accuracy)}, SD {spread} points"
