"""Coefficient plots: the slope and its repairs by condition, and effects of covariates."""

from typing import Any, Final

import numpy as np
import polars as pl

from distortion.figures.curves import legend
from distortion.figures.intervals import AROUND, BOUNDS, ROW, column, draw_intervals, rows_axis
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
from distortion.labels import CONTEXT, SEPARATOR, clean, setting, varying
from distortion.schema import CONTROL
from distortion.tables import numbers
from distortion.tables.repaired import ESTIMATES

COLUMNS: Final = 2
WIDTH: Final = 4.3
HEIGHT: Final = 2.6
STEP: Final = 0.115
# How much wider than usual the interval of a condition may be and still set the axis.
FAR: Final = 4.0
MEASURES: Final = {"alpha": "slope α", "log_kappa": "spread log κ"}


def repaired_dots(estimates: pl.DataFrame, name: str, heading: str) -> Drawing:
    """One panel per method of one context: the plain slope and its repairs at every ratio.

    `estimates` as from `distortion.tables.repaired.estimates`. The control-adjusted slope is drawn
    as 1 + α − α of the control, so that all have their null value at 1.
    """
    shift = pl.when(pl.col("estimator") == "control_alpha").then(1.0).otherwise(0.0)
    data = estimates.filter(pl.col("arm") != CONTROL).with_columns(
        *((pl.col(b) + shift).alias(b) for b in BOUNDS)
    )
    known = data.drop_nulls("estimate")
    present = [e for e in ESTIMATES if e.key in set(known["estimator"])]
    looks = series([e.label for e in present])
    limits = window(column(known, "conf_low"), column(known, "conf_high"), 1.0, FAR)
    panels, left_out = limited(known.partition_by("method", maintain_order=True))
    beyond = 0
    names: Names = {}
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=WIDTH, height=HEIGHT, sharey=True)
        for panel, axis in zip(panels, axes, strict=True):
            ratios = panel["ratio"].unique().sort().to_list()
            axis.axhline(1, color=INK, linewidth=1, linestyle="--", zorder=1)
            for i, estimate in enumerate(present):
                rows = panel.filter(pl.col("estimator") == estimate.key)
                if not rows.height:
                    continue
                places = np.array([ratios.index(t) for t in rows["ratio"]], dtype=np.float64)
                places += STEP * (i - (len(present) - 1) / 2)
                look = looks[estimate.label]
                low, high = (np.clip(column(rows, b), *limits) for b in BOUNDS[1:])
                axis.vlines(places, low, high, look["color"], linewidth=1)
                middle = column(rows, "estimate")
                (points,) = axis.plot(
                    places, middle, look["marker"], color=look["color"], ms=4, label=estimate.label
                )
                texts = [_text(estimate.label, row) for row in rows.iter_rows(named=True)]
                name_markers(names, points, texts, limits)
                beyond += mark_beyond(axis, places, middle, limits, look["color"], names, texts)
            axis.set_ylim(limits)
            plain_ticks(axis)
            axis.set_xticks(range(len(ratios)), [numbers.ratio(t) for t in ratios])
            axis.grid(False, axis="x")
            axis.set_title(drawable(panel["method"][0], 48))
        figure.supxlabel("Ratio t", fontsize=9)
        figure.supylabel("Estimate", fontsize=9)
        legend(figure, axes)
    return Drawing(
        name,
        figure,
        f"The slope and its repairs: {heading}",
        f"Coefficient plot of the plain slope and {len(present) - 1} repairs with intervals by "
        f"method and ratio for {heading}, where {_parting(known)}.",
        "Points: estimates, in the order of the legend; bars: intervals, each by itself (variation "
        "between networks). Dashed line: no change, 1 for all; the control-adjusted slope is drawn "
        "as 1 + α − α of the control. κ beyond accuracy: spread over that of the accuracy-matched "
        "null." + (OFF_SCALE if beyond else "") + left_out,
        known.select(*CONTEXT, "method", "ratio", "estimator", *BOUNDS, "conf_level"),
        names,
    )


def effect_dots(found: pl.DataFrame, methods: list[str]) -> Drawing:
    """Effects of covariates, one panel per measure and term, one row per method.

    `found` are the findings of the families covariates and spread covariates.
    """
    known = found.drop_nulls("estimate")
    panels, left_out = limited(known.partition_by(["measure", "comparison"], maintain_order=True))
    looks = series(methods)
    beyond = 0
    names: Names = {}
    tallest = max(panel.height for panel in panels)
    with styled():
        figure, axes = grid(len(panels), COLUMNS, width=3.6, height=AROUND + ROW * tallest)
        for panel, axis in zip(panels, axes, strict=True):
            limits = window(column(panel, "conf_low"), column(panel, "conf_high"), 0.0)
            axis.axvline(0, color=INK, linewidth=1, linestyle="--", zorder=1)
            named = [*varying(panel, ("study", "intervention")), "method"]
            for i, row in enumerate(panel.iter_rows(named=True)):
                text = f"{setting(row, named)}{SEPARATOR}{row['comparison']}: {_interval(row)}"
                one = panel.slice(i, 1)
                beyond += draw_intervals(
                    axis, np.array([float(i)]), one, limits, looks[row["method"]], names, [text]
                )
            labels = [drawable(setting(row, named)) for row in panel.iter_rows(named=True)]
            rows_axis(axis, labels, limits)
            axis.set_title(drawable(f"{MEASURES[panel['measure'][0]]} per {_unit(panel)}", 48))
        figure.supxlabel("Effect", fontsize=9)
    clear = known.filter(pl.col("verdict") != "undecided").height
    return Drawing(
        "covariates",
        figure,
        "Effects of covariates",
        f"Coefficient plot of the effects of covariates on slope and spread by method, where "
        f"{clear} of {known.height} effects differ from 0 after correction.",
        "Fixed effects of the mixed models with their corrected intervals. Dashed line: no effect. "
        "Every panel has an axis of its own." + (OFF_SCALE if beyond else "") + left_out,
        known.select(
            "study", "intervention", "method", "measure", "comparison", *BOUNDS, "p_corrected"
        ),
        names,
    )


def _unit(panel: pl.DataFrame) -> str:
    return str(panel["comparison"][0]).replace("doubling of the ratio", "doubling")


def _text(label: str, row: dict[str, Any]) -> str:
    where = f"{clean(row['method'])}{SEPARATOR}t = {numbers.ratio(row['ratio'])}"
    return f"{where}{SEPARATOR}{label}: {_interval(row, null=1.0)}"


def _interval(row: dict[str, Any], null: float = 0.0) -> str:
    return numbers.interval(*(row[b] for b in BOUNDS), null=null, signed=null == 0)


def _parting(known: pl.DataFrame) -> str:
    """In how many conditions the interval of each kind lies above 1."""
    parts = []
    for key, label in (("plain", "the plain slope"), ("gamma", "γ")):
        rows = known.filter(pl.col("estimator") == key)
        above = rows.filter(pl.col("conf_low") > 1).height
        parts.append(f"{label} lies above 1 in {above} of {rows.height} conditions")
    return " and ".join(parts)
