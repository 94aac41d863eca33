"""Dots and intervals: the recall that each class loses, against the limit."""

from typing import Final

import polars as pl
from matplotlib.figure import Figure

from distortion.figures.style import BLUE, INK, MUTED, VERMILION, Drawing, drawable, styled
from distortion.tables import numbers

MOST_CLASSES: Final = 12
# Shape and colour both tell the verdicts apart.
LOOKS: Final = {"fail": (VERMILION, "s"), "not enough data": (MUTED, "D"), "pass": (BLUE, "o")}


def class_losses(classes: pl.DataFrame, bounds: str) -> Drawing:
    """The loss of recall of each class in points, largest on top, with its interval and the limit.

    `classes` has the columns `class_label`, `estimate`, `conf_low`, `conf_high`, `null` (the limit)
    and `verdict`; `bounds` says at which confidence the interval's ends hold.
    """
    ordered = classes.sort("estimate", descending=True, maintain_order=True)
    drawn = ordered.head(MOST_CLASSES)
    limit = 100 * float(classes["null"][0])
    with styled():
        figure = Figure(figsize=(4.6, 0.9 + 0.18 * drawn.height))
        axis = figure.subplots()
        axis.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
        axis.axvline(limit, color=INK, linewidth=1.2, linestyle="--", zorder=1)
        places = pl.Series("place", range(drawn.height))
        for verdict, (colour, marker) in LOOKS.items():
            rows = drawn.with_columns(places).filter(pl.col("verdict") == verdict)
            if not rows.height:
                continue
            middle, low, high = (
                100 * rows[c].cast(pl.Float64).to_numpy()
                for c in ("estimate", "conf_low", "conf_high")
            )
            axis.hlines(rows["place"].to_numpy(), low, high, colour, linewidth=1.4)
            axis.plot(middle, rows["place"].to_numpy(), marker, color=colour, ms=5, label=verdict)
        axis.set_yticks(range(drawn.height), [drawable(c, 22) for c in drawn["class_label"]])
        axis.set_ylim(drawn.height - 0.5, -0.5)
        axis.grid(False, axis="y")
        axis.set_xlabel(f"Loss of recall in points (dashed: limit {limit:g})")
        figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    found = classes["verdict"].value_counts()
    counts = {verdict: count for verdict, count in found.iter_rows()}
    said = ", ".join(f"{counts[v]} {v}" for v in ("pass", "fail", "not enough data") if v in counts)
    first = ordered.row(0, named=True)
    left_out = (
        f" The {MOST_CLASSES} classes of {classes.height} that lose most are drawn."
        if classes.height > MOST_CLASSES
        else ""
    )
    return Drawing(
        "class-losses",
        figure,
        "Loss of recall by class against the limit",
        f"Dot plot of the loss of recall in points of {classes.height} classes against a limit of "
        f"{limit:g}, where class {drawable(first['class_label'])} loses most: "
        f"{numbers.points(first['estimate'])} points; {said}.",
        f"Points: estimates; lines: {bounds}.{left_out}",
        drawn.select("class_label", "estimate", "conf_low", "conf_high", "null", "verdict"),
    )
