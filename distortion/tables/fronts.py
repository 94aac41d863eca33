"""Accuracy and spread of every condition, and which of them no other beats in both."""

from operator import itemgetter
from typing import Final

import polars as pl

from distortion.labels import CONTEXT
from distortion.schema import CONTROL
from distortion.tables import numbers
from distortion.tables.table import Column, Table, identity, number, share, text

KEYS: Final = [*CONTEXT, "method", "ratio"]


def with_front(conditions: pl.DataFrame) -> pl.DataFrame:
    """Add `sd_dense` and `sd` of recalls over classes (shares), `front` and `front_of_ratio`.

    A condition is on the front of its context where no other has a higher accuracy and a smaller
    SD at once (nor the same of one and better of the other). The control is no candidate.
    """
    rows = conditions.with_columns(
        sd_dense=pl.col("variance_dense").sqrt(), sd=pl.col("variance").sqrt()
    )
    context = list(CONTEXT)
    marks = rows.filter(pl.col("arm") != CONTROL).select(
        *KEYS,
        "arm",
        front=_unbeaten(rows, context),
        front_of_ratio=_unbeaten(rows, [*context, "ratio"]),
    )
    rows = rows.join(marks, on=[*KEYS, "arm"], how="left", maintain_order="left")
    return rows.with_columns(pl.col("front", "front_of_ratio").fill_null(False))


def _unbeaten(conditions: pl.DataFrame, over: list[str]) -> pl.Series:
    rows = conditions.filter(pl.col("arm") != CONTROL).with_row_index("row")
    others = rows.select("row", *over, "accuracy", "sd")
    pairs = others.join(others, on=over, suffix="_b", nulls_equal=True)
    better = (pl.col("accuracy_b") >= pl.col("accuracy")) & (pl.col("sd_b") <= pl.col("sd"))
    strictly = (pl.col("accuracy_b") > pl.col("accuracy")) | (pl.col("sd_b") < pl.col("sd"))
    beaten = pairs.filter(better & strictly)["row"].unique().implode()
    known = pl.col("accuracy").is_not_null() & pl.col("sd").is_not_null()
    return rows.select(known & ~pl.col("row").is_in(beaten)).to_series()


def front_table(conditions: pl.DataFrame) -> Table:
    """The conditions on a front; `conditions` as from `with_front`."""
    data = conditions.filter(pl.col("front") | pl.col("front_of_ratio"))
    columns = (
        *identity(data, CONTEXT),
        text("method", names=True),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        share("Ā", "accuracy"),
        Column("SD of recalls (points)", lambda row: _points(row["sd"]), value=itemgetter("sd")),
        Column("Dense SD", lambda row: _points(row["sd_dense"]), value=itemgetter("sd_dense")),
        number("κ", "kappa"),
        Column("Front", lambda row: "all ratios" if row["front"] else "its ratio", numeric=False),
    )
    note = (
        "Front: no other condition (of the same ratio, or of all ratios) has a higher mean "
        "accuracy and a smaller SD of recalls over classes. Means, not tested: neighbours on "
        "and off the front may be no different."
    )
    caption = "The Pareto front of accuracy and spread of recalls"
    return Table("pareto", caption, data, columns, (note,))


def _points(value: float | None) -> str:
    return numbers.fixed(None if value is None else 100 * value, 1)
