"""Power curves of a plan: power by number of seeds."""

from typing import Final

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from distortion.errors import DesignError
from distortion.figures.curves import legend
from distortion.figures.style import INK, Drawing, drawable, grid, limited, series, styled
from distortion.labels import CONTEXT, SEPARATOR, counted, varying
from distortion.tables import numbers

# Beyond this many seeds the axis is logarithmic.
LINEAR: Final = 60
COLUMNS: Final = 3
# As many lines as there are looks that can be told apart.
MOST_LINES: Final = 7
# Ticks within each power of ten.
SUBDIVISIONS: Final = (1.0, 3.0)
# What the lines of a panel differ in: the first of these that varies.
LINES: Final = ("effect", "ratio", "class_name", "comparison", "method", "model", "dataset")
HEADINGS: Final = {"ratio": "t = ", "effect": "effect "}


def power_curves(curve: pl.DataFrame, target: float) -> Drawing:
    """Power by seeds, one line per effect or condition.

    `curve` is that of a `Plan`, `target` the power planned for. A plan without any SD is refused
    (DesignError).
    """
    known = curve.drop_nulls("power")
    if not known.height:
        raise DesignError("There is no power curve to draw: the plan has no SD over networks.")
    names = [*CONTEXT, "method", "ratio", "comparison", "class_name", "effect"]
    if known["question"].n_unique() == 1 and (known["question"] == "ratio").all():
        names.remove("comparison")
    differs = varying(known, names)
    line = next((name for name in LINES if name in differs), "effect")
    heading = [name for name in differs if name != line]
    order = known[line].unique(maintain_order=True)
    kept = _hardest(known, line)
    looks = series([_label(line, value) for value in order if value in kept])
    drawn = known.filter(pl.col(line).is_in(kept))
    parts = drawn.partition_by(heading, maintain_order=True) if heading else [drawn]
    panels, left_out = limited(parts)
    with styled():
        alone = len(panels) == 1
        size = {"width": 4.6, "height": 2.8} if alone else {"width": 3.0, "height": 2.4}
        figure, axes = grid(len(panels), COLUMNS, **size, sharey=True, sharex=True)
        for panel, axis in zip(panels, axes, strict=True):
            axis.axhline(target, color=INK, linewidth=1, linestyle="--", zorder=1)
            for part in panel.partition_by(line, maintain_order=True):
                label = _label(line, part[line][0])
                look = looks[label] | {"marker": None}
                axis.plot(part["seeds"], part["power"], label=label, **look)
            _axes(axis, known)
            if heading:
                values = [_label(name, panel[name][0]) for name in heading]
                axis.set_title(drawable(SEPARATOR.join(values), 40))
        figure.supxlabel("Seeds (networks of each condition)", fontsize=9)
        figure.supylabel("Power", fontsize=9)
        if not alone:
            legend(figure, axes)
        elif len(looks) > 1:
            figure.legend(loc="outside right upper", frameon=False, fontsize=8, handlelength=3)
    if len(kept) < len(order):
        left_out += (
            f" The {MOST_LINES} of {len(order)} lines that need the most seeds are drawn; the data "
            "file has all."
        )
    most = known["seeds"].to_numpy().max()
    return Drawing(
        "power",
        figure,
        "Power by number of seeds",
        f"Line plot of power by number of seeds in {counted(len(panels), 'panel')}, where the "
        f"lowest line reaches {numbers.percent(_at_end(known, lowest=True), 0)} and the highest "
        f"{numbers.percent(_at_end(known, lowest=False), 0)} at {numbers.count(int(most))} seeds.",
        "Probability that a study with this many seeds shows the effect. Dashed line: the power "
        f"planned for, {numbers.percent(target, 0)}. Each line: one {_noun(line)}." + left_out,
        known,
    )


def _hardest(curve: pl.DataFrame, line: str) -> list[object]:
    """The values of `line` with the least power, at most as many as there are looks."""
    mean = curve.group_by(line, maintain_order=True).agg(pl.col("power").mean()).sort("power")
    return mean[line].head(MOST_LINES).to_list()


def _axes(axis: Axes, curve: pl.DataFrame) -> None:
    axis.set_ylim(0, 1.02)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: numbers.percent(share, 0)))
    if curve["seeds"].to_numpy().max() > LINEAR:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=SUBDIVISIONS))
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: numbers.fixed(n, 0)))


def _at_end(curve: pl.DataFrame, *, lowest: bool) -> float:
    last = curve.filter(pl.col("seeds") == pl.col("seeds").max())["power"].to_numpy()
    return float(last.min() if lowest else last.max())


def _label(name: str, value: object) -> str:
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return drawable(f"{HEADINGS.get(name, '')}{shown}")


def _noun(line: str) -> str:
    return {"class_name": "class", "dataset": "data set"}.get(line, line)
