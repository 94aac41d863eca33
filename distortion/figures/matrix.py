"""Completeness of the design: networks of every method and ratio, and what is missing."""

from typing import Any, Final

import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from distortion.figures.style import (
    INK,
    MUTED,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_marks,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, clean, context_columns, counted, setting
from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from distortion.tables import numbers

COLUMNS: Final = 2
HATCH: Final = "/////"
ROW: Final = 0.26
CELL: Final = 0.52
ARMS: Final = {PRUNED: "pruned", FINETUNED: "fine-tuned"}


def design_matrix(grid_of: pl.DataFrame, failed: pl.DataFrame) -> Drawing:
    """One panel per context, one row per arm and method, one column per ratio.

    `grid_of` has every condition with `networks` and how many are `missing`, `failed` the cells
    that are recorded as failed.
    """
    keys = [*CONTEXT, "method", "arm", "ratio"]
    count = failed.group_by(keys).agg(pl.len().cast(pl.Int64).alias("failed"))
    data = grid_of.join(count, on=keys, how="left", maintain_order="left", nulls_equal=True)
    data = data.with_columns(pl.col("failed").fill_null(0))
    compressed = data.filter(~pl.col("arm").is_in([DENSE, CONTROL]))
    panels, left_out = limited(compressed.partition_by(CONTEXT, maintain_order=True))
    named = context_columns(compressed)
    ratios = compressed["ratio"].unique().sort().to_list()
    tallest = max(_rows(panel).height for panel in panels)
    width = max(3.0, 1.5 + CELL * len(ratios))
    names: Names = {}
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=width, height=0.35 + ROW * tallest)
        for panel, axis in zip(panels, axes, strict=True):
            _panel(axis, panel, ratios, names)
            axis.set_title(drawable(setting(panel.row(0, named=True), named), 48))
        figure.supxlabel("Ratio t", fontsize=9)
    lacking = data.filter((pl.col("missing") > 0) | (pl.col("failed") > 0)).height
    return Drawing(
        "matrix",
        figure,
        "Networks of every condition",
        "Matrix of the number of networks by method and ratio in "
        f"{counted(len(panels), 'panel')}, where {lacking} of "
        f"{counted(data.height, 'condition')} lack networks that others have.",
        "Number of networks of each method (and arm) at each ratio. Hatched: fewer than there are "
        "dense networks, as “present of wanted”; ×: recorded as failed; empty: not part of the "
        "design." + left_out,
        data.select(*CONTEXT, "method", "arm", "ratio", "networks", "missing", "failed"),
        names,
    )


def _text(row: dict[str, Any]) -> str:
    condition = f"{clean(row['method'])}, {ARMS.get(row['arm'], row['arm'])}"
    text = f"{condition}{SEPARATOR}t = {numbers.ratio(row['ratio'])}: "
    text += counted(row["networks"], "network")
    if row["missing"]:
        text += f", {row['missing']} missing"
    return f"{text}, {row['failed']} recorded as failed" if row["failed"] else text


def _rows(panel: pl.DataFrame) -> pl.DataFrame:
    return panel.select("method", "arm").unique(maintain_order=True)


def _panel(axis: Axes, panel: pl.DataFrame, ratios: list[float], names: Names) -> None:
    rows = _rows(panel)
    several = panel["arm"].n_unique() > 1
    boxes: dict[bool, list[Rectangle]] = {False: [], True: []}
    texts: dict[bool, list[str]] = {False: [], True: []}
    places = {key: i for i, key in enumerate(rows.iter_rows())}
    for row in panel.iter_rows(named=True):
        x, y = ratios.index(row["ratio"]), places[row["method"], row["arm"]]
        wanted = row["networks"] + row["missing"]
        lacking = row["missing"] > 0
        boxes[lacking].append(Rectangle((x - 0.5, y - 0.5), 1, 1))
        texts[lacking].append(_text(row))
        text = numbers.count(row["networks"])
        if lacking:
            text += f" of {numbers.count(wanted)}"
        if row["failed"]:
            text += f"\n{row['failed']} ×"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1} if lacking else None
        axis.text(x, y, text, ha="center", va="center", fontsize=7, color=INK, bbox=box)
    for lacking, drawn in boxes.items():
        if drawn:
            hatch = HATCH if lacking else None
            cells = PatchCollection(
                drawn, facecolor="none", edgecolor=MUTED, hatch=hatch, linewidth=0.6
            )
            axis.add_collection(cells)
            name_marks(names, cells, texts[lacking])
    labels = [
        drawable(f"{method}, {ARMS.get(arm, arm)}" if several else method, 30)
        for method, arm in rows.iter_rows()
    ]
    axis.set_xticks(range(len(ratios)), [numbers.ratio(t) for t in ratios])
    axis.set_yticks(range(rows.height), labels)
    axis.set_xlim(-0.6, len(ratios) - 0.4)
    axis.set_ylim(rows.height - 0.4, -0.6)
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
