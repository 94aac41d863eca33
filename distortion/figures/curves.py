"""Accuracy against intensification, and variance of recall balance: appendices E and F.

Of Good et al. (2022); one panel per context, one line per method through its ratios.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distortion.figures.scales import (
    OFF_SCALE,
    accuracy_axis,
    extremes,
    mark_beyond,
    plain_log,
    plain_ticks,
    window,
)
from distortion.figures.style import (
    INK,
    MUTED,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_markers,
    series,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, by_context, clean, context_columns, setting
from distortion.schema import CONTROL
from distortion.tables import numbers

COLUMNS: Final = 2
WIDTH: Final = 4.3
HEIGHT: Final = 2.9
FAR_MEAN: Final = 25.0


def accuracy_plane(conditions: pl.DataFrame, methods: Sequence[str]) -> Drawing:
    """Mean accuracy against mean α.

    `conditions` holds the reported arm and, where there is one, the control arm.
    """
    looks = series(methods)
    known = conditions.drop_nulls(["alpha", "accuracy"])
    limits = _mean_window(known)
    errors = 100 * (
        1 - np.concatenate([known[c].to_numpy() for c in ("accuracy", "accuracy_dense")])
    )
    beyond = 0
    names: Names = {}
    panels, left_out = limited(by_context(known))
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT, sharey=True)
        for panel, axis in zip(panels, axes, strict=True):
            heading = _heading(panel, conditions)
            axis.axhline(1, color=INK, linewidth=1, linestyle="--", zorder=1)
            dense = 100 * (1 - panel["accuracy_dense"][0])
            axis.axvline(dense, color=MUTED, linewidth=1, linestyle=":", label="dense accuracy")
            for method in _methods(panel):
                rows = panel.filter(pl.col("method") == method).sort("ratio")
                x, y = 100 * (1 - rows["accuracy"].to_numpy()), rows["alpha"].to_numpy()
                look = looks[method] | {"label": drawable(method), "markersize": 4.5}
                (line,) = axis.plot(x, y, **look)
                texts = _texts(heading, rows, _place)
                name_markers(names, line, texts, limits)
                beyond += mark_beyond(axis, x, y, limits, look["color"], names, texts)
                last = int(np.argmax(rows["ratio"].to_numpy()))
                if limits[0] <= y[last] <= limits[1]:
                    _note(axis, x[last], y[last], numbers.ratio(rows["ratio"][last]))
            control = panel.filter(pl.col("arm") == CONTROL)
            if control.height:
                place = 100 * (1 - control["accuracy"][0]), control["alpha"][0]
                (star,) = axis.plot(
                    *place, "*", color=INK, markersize=10, label="control", zorder=6
                )
                name_markers(names, star, _texts(heading, control.head(1), _place), limits)
            axis.set_ylim(limits)
            plain_ticks(axis)
            accuracy_axis(axis, errors)
            axis.set_title(drawable(heading, 48))
        figure.supxlabel("Mean accuracy (log scale of the error)", fontsize=9)
        figure.supylabel("Mean slope α", fontsize=9)
        legend(figure, axes)
    lowest, highest = extremes(known["accuracy"])
    return Drawing(
        "accuracy",
        figure,
        "Accuracy against intensification",
        "Line plot of mean slope α against mean accuracy, one line per method through its ratios, "
        f"where accuracy lies between {numbers.percent(lowest)} and {numbers.percent(highest)}.",
        "Each point is one ratio, mean over networks; the largest ratio is labelled. Dotted line: "
        "accuracy of the dense networks. Dashed line: α = 1."
        + (OFF_SCALE if beyond else "")
        + left_out,
        known.select(*CONTEXT, "method", "arm", "ratio", "accuracy_dense", "accuracy", "alpha"),
        names,
    )


def variance_curves(conditions: pl.DataFrame, methods: Sequence[str]) -> Drawing:
    """Variance of recall balance by ratio, with the dense networks and the control as levels."""
    looks = series(methods)
    panels, left_out = limited(by_context(conditions))
    positive = min(extremes(conditions[c])[0] for c in ("variance", "variance_dense")) > 0
    names: Names = {}
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT, sharey=True)
        for panel, axis in zip(panels, axes, strict=True):
            heading = _heading(panel, conditions)
            if positive:
                plain_log(axis)
            dense = panel["variance_dense"][0]
            axis.axhline(dense, color=INK, linewidth=1, linestyle="--", label="dense")
            for method in _methods(panel):
                rows = panel.filter(pl.col("method") == method).sort("ratio")
                look = looks[method] | {"label": drawable(method), "markersize": 4.5}
                (line,) = axis.plot(rows["ratio"], rows["variance"], **look)
                name_markers(names, line, _texts(heading, rows, _variance))
            for level in panel.filter(pl.col("arm") == CONTROL)["variance"]:
                axis.axhline(level, color=MUTED, linewidth=1.2, linestyle=":", label="control")
            ratios = panel.filter(pl.col("arm") != CONTROL)["ratio"].unique().sort().to_list()
            axis.set_xscale("log")
            axis.set_xticks(ratios, [numbers.ratio(t) for t in ratios])
            axis.set_xticks([], minor=True)
            axis.set_title(drawable(heading, 48))
        figure.supxlabel("Ratio t", fontsize=9)
        figure.supylabel("Variance of recall balance", fontsize=9)
        legend(figure, axes)
    smallest, largest = extremes(conditions["variance"])
    return Drawing(
        "variance",
        figure,
        "Variance of recall balance",
        "Line plot of the mean variance of recall balance over classes by ratio, one line per "
        f"method, where it runs from {numbers.significant(smallest)} to "
        f"{numbers.significant(largest)}.",
        "Variance of R − A over the classes of a network, in squared shares; mean over networks. "
        "Dashed: dense networks; dotted: control." + left_out,
        conditions.select(*CONTEXT, "method", "arm", "ratio", "variance_dense", "variance"),
        names,
    )


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend above all panels, each label once."""
    found = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in reversed(found)}
    order = list(dict.fromkeys(label for _, label in found))
    figure.legend(
        [handles[label] for label in order],
        order,
        loc="outside upper left",
        ncols=min(7, len(order)),
        frameon=False,
        fontsize=8,
        handlelength=3,
    )


def _methods(panel: pl.DataFrame) -> list[str]:
    compressed = panel.filter(pl.col("arm") != CONTROL)
    return compressed["method"].unique(maintain_order=True).to_list()


def _mean_window(conditions: pl.DataFrame) -> tuple[float, float]:
    """Limits of mean slopes: a condition counts as far off by its distance from the reference."""
    alphas = conditions["alpha"].to_numpy()
    return window(np.minimum(alphas, 1.0), np.maximum(alphas, 1.0), 1.0, FAR_MEAN)


def _note(axis: Axes, x: float, y: float, text: str) -> None:
    axis.annotate(text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7, color=INK)


def _texts(heading: str, rows: pl.DataFrame, value: Callable[[dict[str, Any]], str]) -> list[str]:
    return [
        f"{heading}{SEPARATOR}{_condition(row)}: {value(row)}" for row in rows.iter_rows(named=True)
    ]


def _place(row: dict[str, Any]) -> str:
    return f"α {numbers.fixed(row['alpha'])}, accuracy {numbers.percent(row['accuracy'])}"


def _variance(row: dict[str, Any]) -> str:
    return f"variance {numbers.significant(row['variance'])}"


def _condition(row: dict[str, Any]) -> str:
    if row["arm"] == CONTROL:
        return CONTROL
    return f"{clean(row['method'])}{SEPARATOR}t = {numbers.ratio(row['ratio'])}"


def _heading(panel: pl.DataFrame, everything: pl.DataFrame) -> str:
    named = context_columns(everything.filter(pl.col("arm") != CONTROL))
    return setting(panel.row(0, named=True), named)
