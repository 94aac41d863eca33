"""The gate's tables, for the terminal and the page."""

from typing import Final

import polars as pl

from distortion.gate.gate import Gate, Gated
from distortion.gate.limits import FAIL, OPEN
from distortion.gate.rows import criterion_rows, to_table
from distortion.gate.words import MEASURES, shown
from distortion.labels import CONTEXT
from distortion.tables import numbers
from distortion.tables.table import Column, Row, Table, Tone, identity, share, text

TONES: Final[dict[str, Tone]] = {FAIL: "up", OPEN: "mixed"}
# A sign-off fits one page; all classes are in gate.json.
MOST_CLASSES: Final = 12
LOWEST: Final = 4


def class_table(gated: Gated, measure: str, limit: int | None = None) -> Table:
    """The classes of one condition by loss, largest first (or lowest recall first)."""
    rows = to_table(criterion_rows(gated)).filter(pl.col("measure") == measure)
    drop = measure == "class drop"
    rows = rows.sort("estimate", descending=drop, maintain_order=True)
    data = rows if limit is None else rows.head(limit)
    columns = [
        text("class_label", names=True),
        *([Column("Images", _images)] if rows["images"].n_unique() > 1 else []),
        share("Recall before", "before"),
        share("Recall after", "after"),
        Column("Loss in points [bounds]" if drop else "Recall in % [bounds]", _estimate),
    ]
    notes = [_bounds(gated)]
    if rows["p_corrected"].null_count() < rows.height:
        test = "McNemar's exact test" if gated.target == "network" else "paired t-test"
        notes.append(f"p: no change of recall, {test}, two-sided, Holm over classes.")
        columns.append(Column("p", lambda row: numbers.p_value(row["p_corrected"])))
    columns += [
        Column("Verdict", lambda row: row["verdict"], numeric=False, tone=_tone),
        *_needed(rows),
    ]
    notes += [f"{c[0].upper()}{c[1:]}." for c in dict.fromkeys(rows["caveat"]) if c]
    if data.height < rows.height:
        rest = rows.tail(rows.height - data.height)["verdict"].value_counts(sort=True)
        said = ", ".join(f"{count} {verdict}" for verdict, count in rest.iter_rows())
        notes.append(f"{rows.height - data.height} further classes ({said}) are in gate.json.")
    limited = f"{100 * rows['null'][0]:g}"
    words = f"limit {limited} points" if drop else f"at least {limited}%"
    name = measure.replace(" ", "-")
    return Table(name, f"{MEASURES[measure]}: {words}", data, tuple(columns), tuple(notes))


def whole_table(gated: Gated) -> Table | None:
    """The limits that are not about single classes; None where none was asked."""
    rows = to_table(criterion_rows(gated)).filter(pl.col("class_id").is_null())
    if not rows.height:
        return None
    columns = (
        Column("Measure", lambda row: MEASURES[row["measure"]], names=True, numeric=False),
        Column("Estimate [bounds]", _estimate),
        Column("Limit", _limit),
        Column("Verdict", lambda row: row["verdict"], numeric=False, tone=_tone),
        *_needed(rows),
        *([text("caveat")] if any(rows["caveat"]) else []),
    )
    notes = [_bounds(gated)]
    if set(rows["measure"]) & {"kappa", "alpha"}:
        notes.append("κ and α are freed of the spread that a finite test set gives by itself.")
    return Table("whole", "All classes together", rows, columns, tuple(notes))


def condition_table(gate: Gate) -> Table:
    """The verdict of every condition."""
    data = gate.conditions
    columns = (
        *identity(data, CONTEXT),
        text("method", names=True),
        Column("Ratio", lambda row: numbers.ratio(row["ratio"]), names=True),
        Column("Target", lambda row: row["target"], numeric=False),
        Column("Networks", lambda row: numbers.count(row["networks"])),
        Column("Verdict", lambda row: row["verdict"], numeric=False, tone=_tone),
    )
    return Table("conditions", "Verdict by condition", data, columns, central=True)


def largest_table(gate: Gate) -> Table:
    """The largest ratio that passes, by method."""
    data = gate.largest
    columns = (
        *identity(data, CONTEXT),
        text("method", names=True),
        Column("Largest ratio that passes", _largest),
        Column("Ratios tested", lambda row: numbers.count(row["tested"])),
    )
    note = (
        "Ratios in ascending order, up to the first that does not pass: a fixed sequence, which "
        "needs no correction for their number."
    )
    return Table("largest", "Largest ratio that passes, by method", data, columns, (note,))


def _estimate(row: Row) -> str:
    values = [float("nan") if row[c] is None else row[c] for c in ("estimate", *_BOUNDS)]
    return shown(row["measure"], values[0], values[1], values[2], row["null"])


_BOUNDS: Final = ("conf_low", "conf_high")


def _images(row: Row) -> str:
    return numbers.count(row["images"])


def _limit(row: Row) -> str:
    return f"{row['null']:g}" if row["measure"] in ("kappa", "alpha") else f"{100 * row['null']:g}"


def _largest(row: Row) -> str:
    return "none" if row["largest_ratio"] is None else numbers.ratio(row["largest_ratio"])


def _tone(row: Row) -> Tone:
    return TONES.get(row["verdict"], "")


def _needed(rows: pl.DataFrame) -> list[Column]:
    """What would decide the open rows, where there are any."""
    if OPEN not in rows["verdict"]:
        return []
    unit = "networks" if rows["target"][0] == "recipe" else "images"

    def show(row: Row) -> str:
        if row["verdict"] != OPEN:
            return ""
        if row["foreseen"] == OPEN:
            return "none would"
        many = "too many" if row["needed"] is None else numbers.count(row["needed"])
        return f"{many} ({row['foreseen']})"

    return [Column(f"{unit.capitalize()} to decide", show)]


def _bounds(gated: Gated) -> str:
    passing, failing = (
        numbers.confidence(1 - rate) for rate in (gated.rates.passing, gated.rates.failing)
    )
    varies = "test images" if gated.target == "network" else "networks (seeds)"
    return (
        f"Bounds: that on the side of the limit at {passing}, the other at {failing}, each "
        f"one-sided; what varies are {varies}."
    )
