"""Intervals against a margin: what is equivalent, what differs, and what is not decided."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distortion.comparisons import SEPARATOR as VERSUS
from distortion.figures.intervals import AROUND, BOUNDS, ROW, column, draw_intervals, rows_axis
from distortion.figures.scales import OFF_SCALE, window
from distortion.figures.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    VERMILION,
    Drawing,
    Names,
    drawable,
    grid,
    limited,
    styled,
)
from distortion.labels import CONTEXT, SEPARATOR, setting, varying
from distortion.tables import numbers

QUANTITIES: Final = {
    "log_kappa_excess_corrected": "Excess of log κ over the accuracy-matched null",
    "gamma": "γ of the structural model",
}
COLUMNS: Final = 3
WIDTH: Final = 2.5
# Verdicts by their first word: colour and marker.
LOOKS: Final = {"equivalent": (BLUE, "o"), "differs": (VERMILION, "s"), "undecided": (MUTED, "^")}
LABELS: Final = {
    "equivalent": "equivalent",
    "differs": "differs by more",
    "undecided": "undecided",
}


def margin_intervals(found: pl.DataFrame, name: str, question: str) -> Drawing:
    """One panel per context and method (or comparison), one row per test, and the margin.

    `found` are the findings of an equivalence family.
    """
    known = found.drop_nulls("estimate").filter(pl.col("verdict") != "no test")
    margin, null = float(known["margin"].drop_nulls()[0]), float(known["null"][0])
    quantity = QUANTITIES.get(known["measure"][0], "Difference of slopes α")
    per = [*varying(known, CONTEXT), *(["comparison"] if _compares(known) else ["method"])]
    panels, left_out = limited(known.partition_by(per, maintain_order=True))
    limits = window(column(known, "conf_low"), column(known, "conf_high"), null)
    limits = min(limits[0], null - 1.3 * margin), max(limits[1], null + 1.3 * margin)
    beyond = 0
    names: Names = {}
    tallest = max(panel.height for panel in panels)
    with styled():
        figure, axes = grid(
            len(panels), COLUMNS, width=WIDTH, height=AROUND + ROW * tallest, sharex=True
        )
        for panel, axis in zip(panels, axes, strict=True):
            axis.axvspan(
                null - margin, null + margin, color=FAINT, alpha=0.6, linewidth=0, zorder=0
            )
            for bound in (null - margin, null + margin):
                axis.axvline(bound, color=MUTED, linewidth=1, linestyle=":", zorder=1)
            axis.axvline(null, color=INK, linewidth=1, linestyle="--", zorder=1)
            rest = [c for c in ("method", "ratio") if c not in per and panel[c].n_unique() > 1]
            labels = [_label(row, rest or ["ratio"]) for row in panel.iter_rows(named=True)]
            words = panel["verdict"].str.split(" ").list.first()
            heading = setting(panel.row(0, named=True), per)
            for word, (colour, marker) in LOOKS.items():
                chosen = np.flatnonzero((words == word).to_numpy())
                if not chosen.size:
                    continue
                rows = panel[chosen.tolist()]
                texts = [
                    f"{heading}{SEPARATOR}{labels[i]}: {_interval(row)}, {row['verdict']}"
                    for i, row in zip(chosen, rows.iter_rows(named=True), strict=True)
                ]
                look = {"color": colour, "marker": marker, "label": LABELS[word]}
                beyond += draw_intervals(
                    axis, chosen.astype(np.float64), rows, limits, look, names, texts
                )
            rows_axis(axis, [drawable(label, 20) for label in labels], limits)
            axis.tick_params(labelbottom=True)
            lines = heading.replace(VERSUS, f"\n{VERSUS.lstrip()}").split("\n")
            axis.set_title("\n".join(drawable(line, 32) for line in lines))
        figure.supxlabel(quantity, fontsize=9)
        _legend(figure, axes)
    counts = {w: (known["verdict"].str.starts_with(w)).sum() for w in LOOKS}
    return Drawing(
        name,
        figure,
        "Intervals against the margin",
        f"Dot plot of {quantity[0].lower()}{quantity[1:]} with intervals and the margin ± "
        f"{numbers.significant(margin)}, where {counts['equivalent']} of {known.height} are shown "
        f"to be equivalent, {counts['differs']} to differ by more, and {counts['undecided']} are "
        "undecided.",
        f"{question} Band: the margin, ± {numbers.significant(margin)}. An interval inside it "
        "shows equivalence, one outside a larger difference; one across its edge decides nothing. "
        "Intervals are those of the two one-sided tests, Bonferroni-adjusted within a column "
        "(variation between networks); the shapes go by the corrected p-value, which decides."
        + (OFF_SCALE if beyond else "")
        + left_out,
        known.select(
            *CONTEXT, "method", "ratio", "comparison", *BOUNDS, "margin", "p_corrected", "verdict"
        ),
        names,
    )


def _compares(found: pl.DataFrame) -> bool:
    return found["comparison"].n_unique() > 1


def _label(row: dict[str, Any], columns: list[str]) -> str:
    shown = {"ratio": f"t = {numbers.ratio(row['ratio'])}", "method": row["method"] or ""}
    return SEPARATOR.join(shown[c] for c in columns)


def _interval(row: dict[str, Any]) -> str:
    null = row["null"]
    return numbers.interval(*(row[b] for b in BOUNDS), null=null, signed=null == 0)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    order = [label for label in LABELS.values() if label in found]
    figure.legend(
        [found[label] for label in order],
        order,
        loc="outside upper left",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
