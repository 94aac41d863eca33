"""Heat map of the change of recall by class and ratio."""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from distortion.figures.style import Drawing, Names, drawable, name_marks, styled
from distortion.labels import SEPARATOR, clean
from distortion.schema import CONTROL
from distortion.tables import numbers

MOST_CLASSES: Final = 24
LOSING: Final = 18
COLUMNS: Final = 4
# Light enough at both ends for dark figures in the cells (at least 7:1).
CHANGES: Final = LinearSegmentedColormap.from_list("changes", ["#e98d4f", "#ffffff", "#62a8d8"])
TEXT: Final = "#111111"


def recall_changes(classes: pl.DataFrame, name: str, heading: str, level: float) -> Drawing:
    """One panel per method of one context: change of each class' recall by ratio.

    `classes` holds the findings of family class, with `class_label`; the control arm, where there
    is one, is the first column of every panel. Changes whose corrected p is below 1 − `level` are
    bold. Of many classes, those that lose most and those that lose least are drawn.
    """
    data = classes.with_columns(
        at=pl.when(pl.col("arm") == CONTROL).then(None).otherwise("ratio"),
        bold=(pl.col("p_corrected") < 1 - level).fill_null(False),
    )
    compressed = data.filter(pl.col("arm") != CONTROL)
    order = compressed.group_by("class_id").agg(
        pl.col("class_label").first(), pl.col("estimate").mean()
    )
    order = order.sort("estimate", "class_id", nulls_last=True)
    left_out = max(0, order.height - MOST_CLASSES)
    if left_out:
        order = pl.concat([order.head(LOSING), order.tail(MOST_CLASSES - LOSING)])
    shown = data.join(order.select("class_id"), on="class_id", how="semi")
    changes = shown["estimate"].abs().drop_nulls()
    limit = max(0.02, float(np.quantile(changes, 0.9)) if len(changes) else 0.0)
    methods = compressed["method"].unique(maintain_order=True).to_list()
    panels = [shown.filter((pl.col("method") == m) | (pl.col("arm") == CONTROL)) for m in methods]
    widest = max(panel["at"].n_unique() for panel in panels)
    columns = min(len(methods), COLUMNS)
    rows = -(-len(methods) // columns)
    size = (1.0 + columns * (0.42 * widest + 0.15), 0.9 + rows * (0.23 * order.height + 0.5))
    names: Names = {}
    with styled():
        figure = Figure(figsize=(max(4.5, size[0]), size[1]))
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for spare in axes[len(methods) :]:
            spare.remove()
        for panel, method, axis in zip(panels, methods, axes, strict=False):
            _heat(axis, panel, order, limit, clean(method), names)
            axis.set_title(drawable(method, 20))
        axes[0].invert_yaxis()
        figure.supxlabel("Ratio t", fontsize=9)
        figure.supylabel("Class", fontsize=9)
    worst = (
        shown.filter(pl.col("arm") != CONTROL).sort("estimate", nulls_last=True).row(0, named=True)
    )
    only = (
        f" Of {order.height + left_out} classes, the {LOSING} that lose most and the "
        if left_out
        else ""
    )
    return Drawing(
        name,
        figure,
        f"Change of recall by class: {heading}",
        f"Heat map of the change of recall in percentage points by class and ratio for {heading}, "
        f"where class {drawable(worst['class_label'])} loses most: "
        f"{numbers.points(worst['estimate'])} points ({drawable(worst['method'])}, ratio "
        f"{numbers.ratio(worst['ratio'])}).",
        "Change of recall in percentage points, mean over networks; the class that loses most over "
        "all conditions on top; ctrl: control arm. Bold: different from no change after correction "
        f"over the classes of a condition (variation between networks).{only}"
        + (f"{MOST_CLASSES - LOSING} that lose least are shown." if left_out else ""),
        classes.drop("verdict", "caveat"),
        names,
    )


def _heat(
    axis: Axes,
    panel: pl.DataFrame,
    order: pl.DataFrame,
    limit: float,
    method: str,
    names: Names,
) -> None:
    """Draw one panel: rows in the order of the classes, columns in that of the ratios."""
    places = panel["at"].unique().sort(nulls_last=False).to_list()
    row_of = {class_id: i for i, class_id in enumerate(order["class_id"])}
    column_of = {at: j for j, at in enumerate(places)}
    values = np.full((len(row_of), len(column_of)), np.nan)
    for class_id, at, change, bold in panel.select(
        "class_id", "at", "estimate", "bold"
    ).iter_rows():
        i, j = row_of[class_id], column_of[at]
        values[i, j] = np.nan if change is None else change
        axis.text(
            j,
            i,
            numbers.points(change, 1 if change is not None and abs(change) < 0.0995 else 0),
            ha="center",
            va="center",
            fontsize=6.5,
            fontweight="bold" if bold else "normal",
            color=TEXT,
        )
    edges = np.arange(len(column_of) + 1) - 0.5, np.arange(len(row_of) + 1) - 0.5
    mesh = axis.pcolormesh(
        *edges,
        values,
        cmap=CHANGES,
        norm=Normalize(-limit, limit),
        edgecolors="white",
        linewidth=0.8,
    )
    change_of = {(row["class_id"], row["at"]): _change(row) for row in panel.to_dicts()}
    condition_of = {t: f"{method}{SEPARATOR}t = {numbers.ratio(t)}" for t in places if t}
    texts = [
        f"{condition_of.get(at, CONTROL)}{SEPARATOR}class {clean(label)}: "
        f"{change_of.get((class_id, at), numbers.NOTHING)}"
        for class_id, label in order.select("class_id", "class_label").iter_rows()
        for at in places
    ]
    name_marks(names, mesh, texts)
    headings = ["ctrl" if at is None else numbers.ratio(at) for at in places]
    axis.set_xticks(range(len(places)), headings)
    axis.set_yticks(range(len(row_of)), [drawable(label, 22) for label in order["class_label"]])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _change(row: dict[str, Any]) -> str:
    change = numbers.change_interval(row["estimate"], row["conf_low"], row["conf_high"])
    p = row["p_corrected"]
    return f"{change} points" + ("" if p is None else f", {numbers.p_equals(p)}")
