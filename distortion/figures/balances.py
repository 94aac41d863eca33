"""Scatterplot matrix of normalized recall balance before against after: figure 5 of the paper.

The paper: Good et al. (2022), section 6.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from distortion.figures.scales import extremes
from distortion.figures.style import (
    BLUE,
    INK,
    LIGHT_LIMIT,
    MUTED,
    VERMILION,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    name_marks,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, clean, counted
from distortion.tables import numbers

COLUMNS: Final = 6
# Panels that reach at most so many times farther than the dense balances share one axis.
SIMILAR: Final = 1.5
NAME: Final = 28
COLUMNS_OF_DATA: Final = (
    *CONTEXT,
    "method",
    "ratio",
    "seed",
    "class_id",
    "class_label",
    "normalized_balance_dense",
    "normalized_balance",
)


def balance_scatter(
    measures: pl.DataFrame, conditions: pl.DataFrame, name: str, heading: str
) -> Drawing:
    """One panel per method and ratio of one context: every class of every network.

    `measures` are the rows of the reported arm, `conditions` its pooled slopes.
    """
    wanted = conditions.select("method", "ratio", "alpha_pooled", "r2", "accuracy").to_dicts()
    panels, left_out = limited(wanted)
    ratios = conditions["ratio"].n_unique()
    known = measures.drop_nulls(["normalized_balance", "normalized_balance_dense"])
    reach = _common_reach(known)
    heavy = known.height > LIGHT_LIMIT
    names: Names = {}
    with styled():
        columns = ratios if ratios <= COLUMNS else COLUMNS - 1
        figure, axes = grid(len(panels), columns, width=1.85, height=1.85)
        for row, axis in zip(panels, axes, strict=True):
            points = known.filter(
                pl.col("method") == row["method"], pl.col("ratio") == row["ratio"]
            )
            _panel(axis, points, row["alpha_pooled"], reach, None if heavy else names)
            axis.set_title(
                f"{drawable(row['method'], 16)}, t = {numbers.ratio(row['ratio'])}\n"
                f"α̂ {numbers.fixed(row['alpha_pooled'])}, r² {numbers.fixed(row['r2'])}, "
                f"Ā {numbers.percent(row['accuracy'])}",
                fontsize=7.5,
                fontweight="normal",
            )
        figure.supxlabel("Normalized recall balance before", fontsize=9)
        figure.supylabel("Normalized recall balance after", fontsize=9)
    low, high = extremes(conditions["alpha_pooled"])
    return Drawing(
        name,
        figure,
        f"Recall balance before and after: {heading}",
        f"Scatterplot matrix of normalized recall balance after against before for {heading}, "
        f"{counted(len(wanted), 'panel')} by method and ratio, where the pooled slope runs from "
        f"{numbers.fixed(low)} to {numbers.fixed(high)}.",
        "Each point is one class of one network. Solid line: pooled slope α̂ through the origin; "
        "dashed: no change; r² is uncentred; Ā: mean accuracy. Squares: the class that loses most "
        "recall in the panel. All axes agree, except where a panel says how much farther its "
        "vertical axis reaches." + left_out,
        measures.select(*COLUMNS_OF_DATA),
        names,
    )


def _panel(
    axis: Axes, points: pl.DataFrame, slope: float | None, reach: float, names: Names | None
) -> None:
    """Draw one panel; without `names`, the point cloud becomes a bitmap inside the SVG."""
    line = np.array([-reach, reach])
    axis.plot(line, line, color=MUTED, linewidth=0.9, linestyle="--", zorder=1)
    loser = _loser(points)
    is_loser = pl.col("class_id").eq_missing(loser)
    for rows, colour, marker in (
        (points.filter(~is_loser), BLUE, "o"),
        (points.filter(is_loser), VERMILION, "s"),
    ):
        cloud = axis.scatter(
            rows["normalized_balance_dense"],
            rows["normalized_balance"],
            s=10,
            c=colour,
            marker=marker,
            alpha=0.55,
            linewidths=0,
            zorder=2,
            rasterized=names is None,
        )
        if names is not None and rows.height:
            name_marks(names, cloud, [_class(row) for row in rows.iter_rows(named=True)])
    if slope is not None:
        axis.plot(line, slope * line, color=INK, linewidth=1.3, zorder=3)
    if loser is not None:
        label = points.filter(is_loser)["class_label"][0]
        _corner(axis, 0.98, 0.02, f"■ class {drawable(label, 14)}", "right", VERMILION)
    height = _reach(points["normalized_balance"])
    axis.set_xlim(-reach, reach)
    if height > reach:
        axis.set_ylim(-height, height)
        _corner(axis, 0.02, 0.9, f"y range × {numbers.significant(height / reach, 2)}", "left", INK)
    else:
        axis.set_ylim(-reach, reach)
    axis.set_box_aspect(1)
    axis.locator_params(nbins=3)
    axis.tick_params(labelsize=6.5)


def _class(row: dict[str, Any]) -> str:
    before, after = (
        numbers.fixed(row[c], 3) for c in ("normalized_balance_dense", "normalized_balance")
    )
    where = (
        clean(row["method"], NAME),
        f"t = {numbers.ratio(row['ratio'])}",
        f"seed {row['seed']}",
        f"class {clean(row['class_label'], NAME)}",
    )
    return f"{SEPARATOR.join(where)}: {before} → {after}"


def _corner(axis: Axes, x: float, y: float, text: str, side: str, colour: str) -> None:
    axis.text(x, y, text, transform=axis.transAxes, ha=side, va="bottom", fontsize=7, color=colour)


def _loser(points: pl.DataFrame) -> int | None:
    """The class whose recall falls most on average, if any falls."""
    change = points.group_by("class_id").agg(
        (pl.col("recall") - pl.col("recall_dense")).mean().alias("change")
    )
    lowest = change.sort("change", "class_id").head(1)
    if lowest.height == 0 or lowest["change"][0] >= 0:
        return None
    return int(lowest["class_id"][0])


def _reach(balances: pl.Series) -> float:
    """Half the length of an axis that holds these balances."""
    largest = balances.abs().max()
    return 1.08 * largest if isinstance(largest, float) and largest > 0 else 0.01


def _common_reach(measures: pl.DataFrame) -> float:
    """Half the length of both axes: holds the dense balances and all panels of similar reach."""
    heights = measures.group_by("method", "ratio").agg(pl.col("normalized_balance").abs().max())
    dense = _reach(measures["normalized_balance_dense"])
    similar = heights["normalized_balance"].filter(heights["normalized_balance"] <= SIMILAR * dense)
    return max(dense, _reach(similar))
