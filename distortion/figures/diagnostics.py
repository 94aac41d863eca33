"""One look at what the tests lean on: residuals, random effects, influence, reliability."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distortion.designs import CONDITION
from distortion.figures.curves import legend
from distortion.figures.scales import FAR, OFF_SCALE, mark_beyond, plain_ticks, window
from distortion.figures.style import (
    INK,
    Drawing,
    Names,
    drawable,
    grid,
    name_marks,
    series,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, clean, setting, varying
from distortion.tables import numbers

COLUMNS: Final = 3
WIDTH: Final = 3.0
HEIGHT: Final = 2.3
NOISE: Final = ("reliability", "plain", "alpha_over_lambda", "between")
NOISE_PANEL: Final = "Regression to the mean"
NOISE_LABELS: Final = {
    "reliability": "λ̂ (null slope of fresh noise)",
    "plain": "α",
    "alpha_over_lambda": "α̂ / λ̂",
    "between": "between",
}
COLUMNS_OF_DATA: Final = (*CONTEXT, "method", "ratio", "panel", "series", "which", "x", "y")


def diagnostic_panels(
    residuals: pl.DataFrame,
    effects: pl.DataFrame,
    influence: pl.DataFrame,
    repaired: pl.DataFrame,
    methods: Sequence[str],
) -> Drawing | None:
    """Residuals, scale and quantiles of the mixed models, influence, and regression to the mean.

    The frames are those of `distortion.diagnostics` and `repaired_slopes`; an empty one has no
    panel, and without any there is no figure.
    """
    points = _points(residuals, effects, influence, repaired)
    if not points.height:
        return None
    panels = points.partition_by("panel", maintain_order=True)
    looks = series(methods) | _noise_looks()
    names: Names = {}
    beyond = 0
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT)
        for panel, axis in zip(panels, axes, strict=True):
            beyond += _draw(axis, panel, looks, names)
        _legends(figure, axes)
    return Drawing(
        "diagnostics",
        figure,
        "Diagnostics",
        f"Scatter plots of {len(panels)} diagnostics, by method, where {_largest(influence)}.",
        "Residuals, their sizes and quantiles, and the random effects of networks are those of the "
        "mixed models of α, in SDs of each model; on the quantile panels normal values lie on the "
        "line. Left out: how far the mean slope of a condition moves, in its standard errors, "
        "without one network or one class. Regression to the mean: reliability λ̂ of the dense "
        "pattern beside the slopes." + (OFF_SCALE if beyond else ""),
        points,
        names,
    )


def _points(
    residuals: pl.DataFrame,
    effects: pl.DataFrame,
    influence: pl.DataFrame,
    repaired: pl.DataFrame,
) -> pl.DataFrame:
    """Every mark of every panel: its x and y, its series and what it is."""
    tables = []
    if residuals.height:
        seed = pl.format("seed {}", "seed")
        scaled = pl.col("scaled")
        for panel, x, y in (
            ("Residuals against fitted", pl.col("fitted"), scaled),
            ("Normal quantiles of residuals", pl.col("quantile"), scaled),
            ("Scale against location", pl.col("fitted"), scaled.abs().sqrt()),
        ):
            tables.append(_table(residuals, panel, pl.col("method"), seed, x, y))
    if effects.height:
        which = pl.format("{}, {}", "level", "term")
        panel = "Normal quantiles of networks' effects"
        x, y = pl.col("quantile"), pl.col("scaled")
        tables.append(_table(effects, panel, pl.col("method"), which, x, y))
    for kind in ("network", "class"):
        rows = influence
        if rows.height:
            rows = rows.filter(pl.col("kind") == kind, pl.col("std_error") > 0).drop_nulls("change")
        if rows.height:
            places = _places(rows)
            change = pl.col("change") / pl.col("std_error")
            panel = f"One {kind} left out"
            tables.append(_table(places, panel, pl.col("method"), pl.col("which"), "place", change))
    noise = repaired.filter(pl.col("estimator").is_in(NOISE)).drop_nulls("estimate")
    if noise.filter(pl.col("estimator") == "reliability").height:
        places = _places(noise)
        shown = pl.col("estimator").replace_strict(NOISE_LABELS, return_dtype=pl.String)
        tables.append(_table(places, NOISE_PANEL, shown, pl.lit(""), "place", pl.col("estimate")))
    if not tables:
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS_OF_DATA, pl.String))
    return pl.concat(tables)


def _table(
    rows: pl.DataFrame,
    panel: str,
    by: pl.Expr,
    which: pl.Expr,
    x: pl.Expr | str,
    y: pl.Expr,
) -> pl.DataFrame:
    missing = [pl.lit(None).alias(c) for c in COLUMNS_OF_DATA[:7] if c not in rows.columns]
    known = rows.with_columns(missing).with_columns(
        panel=pl.lit(panel), series=by, which=which, x=x, y=y
    )
    types = {c: pl.Float64 if c in ("ratio", "x", "y") else pl.String for c in COLUMNS_OF_DATA}
    return known.select(pl.col(c).cast(t) for c, t in types.items())


def _places(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the `place` of their condition, in order."""
    order = rows.select(CONDITION).unique(maintain_order=True).with_row_index("place", 1)
    return rows.join(order, on=CONDITION, how="left", maintain_order="left", nulls_equal=True)


def _draw(axis: Axes, panel: pl.DataFrame, looks: dict[str, dict[str, Any]], names: Names) -> int:
    title = panel["panel"][0]
    x, y = (panel[c].to_numpy() for c in ("x", "y"))
    reference = 1.0 if title == NOISE_PANEL else 0.0
    limits = _limits(panel, reference) if panel["x"].n_unique() > 1 else window(y, y, reference)
    beyond = 0
    for name in panel["series"].unique(maintain_order=True):
        rows = panel.filter(pl.col("series") == name)
        inside = rows.filter(pl.col("y").is_between(*limits))
        look = looks[name]
        style = {"color": look["color"], "marker": look["marker"], "linestyle": "none"}
        (points,) = axis.plot(
            inside["x"], inside["y"], ms=3, alpha=0.75, mew=0, label=drawable(name, 40), **style
        )
        name_marks(names, points, _texts(inside))
        beyond += mark_beyond(
            axis,
            rows["x"].to_numpy(),
            rows["y"].to_numpy(),
            limits,
            look["color"],
            names,
            _texts(rows),
        )
    if "quantiles" in title:
        ends = np.array([x.min(), x.max()])
        axis.plot(ends, ends, color=INK, linewidth=1, linestyle="--", zorder=1)
    elif title != "Scale against location":
        axis.axhline(reference, color=INK, linewidth=1, linestyle="--", zorder=1)
    axis.set_ylim(limits)
    plain_ticks(axis)
    x_label, y_label = LABELS[title]
    axis.set_xlabel(x_label, fontsize=8)
    axis.set_ylabel(y_label, fontsize=8)
    axis.set_title(title)
    return beyond


def _limits(panel: pl.DataFrame, reference: float) -> tuple[float, float]:
    """A window that leaves out the few places (conditions) that are exceptionally far off."""
    ranges = panel.group_by("x").agg(
        pl.col("y").min().alias("low"), pl.col("y").max().alias("high")
    )
    low, high = (ranges[c].to_numpy() for c in ("low", "high"))
    return window(np.minimum(low, reference), np.maximum(high, reference), reference, FAR)


def _texts(rows: pl.DataFrame) -> list[str]:
    return [_text(row) for row in rows.iter_rows(named=True)]


def _text(row: dict[str, Any]) -> str:
    ratio = None if row["ratio"] is None else f"t = {numbers.ratio(row['ratio'])}"
    parts = [row["dataset"], row["model"], row["method"], ratio, row["which"]]
    if row["series"] not in (row["method"], None):
        parts.append(row["series"])
    where = SEPARATOR.join(clean(part) for part in parts if part)
    return f"{where}: {numbers.fixed(row['y'])}"


def _legends(figure: Figure, axes: Sequence[Axes]) -> None:
    """One for the methods, and one inside the panel that compares estimators."""
    by_method = [axis for axis in axes if axis.get_title(loc="left") != NOISE_PANEL]
    for axis in axes:
        if axis not in by_method:
            axis.legend(fontsize=7, frameon=False, handletextpad=0.1)
    if by_method:
        legend(figure, by_method)


def _noise_looks() -> dict[str, dict[str, Any]]:
    return series(list(NOISE_LABELS.values()))


def _largest(influence: pl.DataFrame) -> str:
    """The farthest that one class moves a slope, for the alternative text."""
    if not influence.height:
        return "no network or class could be left out"
    rows = influence.filter(pl.col("std_error") > 0).drop_nulls("change")
    if not rows.height:
        return "networks do not vary"
    rows = rows.with_columns(size=(pl.col("change") / pl.col("std_error")).abs())
    row = rows.sort("size", descending=True).row(0, named=True)
    named = [*varying(rows, CONTEXT), "method"]
    return (
        f"leaving out {clean(row['kind'])} {clean(row['which']).removeprefix('seed ')} moves a "
        f"slope farthest, by {numbers.fixed(row['size'], 1)} standard errors "
        f"({setting(row, named)}, ratio {numbers.ratio(row['ratio'])})"
    )


LABELS: Final[dict[str, tuple[str, str]]] = {
    "Residuals against fitted": ("Fitted α", "Residual (SD)"),
    "Normal quantiles of residuals": ("Normal quantile", "Residual (SD)"),
    "Scale against location": ("Fitted α", "√|residual|"),
    "Normal quantiles of networks' effects": ("Normal quantile", "Effect (SD)"),
    "One network left out": ("Condition, in order of the tables", "Change of α (SE)"),
    "One class left out": ("Condition, in order of the tables", "Change of α (SE)"),
    NOISE_PANEL: ("Condition, in order of the tables", "Slope, or λ̂"),
}
