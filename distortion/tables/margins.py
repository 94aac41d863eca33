"""Whether classes lose more than a margin, counted by condition."""

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, clean
from distortion.schema import CONTROL
from distortion.tables import numbers
from distortion.tables.table import NAME, Column, Row, Table, identity

KEPT, LOST = "loses at most", "loses more than"


def class_margin_table(found: pl.DataFrame) -> Table:
    """One row per condition: how many classes keep within the margin, lose more, or neither.

    `found` are the findings of family class margin, with `class_label`.
    """
    verdict = pl.col("verdict")
    lost = verdict.str.starts_with(LOST)
    data = found.group_by(CONDITION, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("classes"),
        verdict.str.starts_with(KEPT).sum().cast(pl.Int64).alias("kept"),
        lost.sum().cast(pl.Int64).alias("lost"),
        (~verdict.str.contains(f"^({KEPT}|{LOST})")).sum().cast(pl.Int64).alias("undecided"),
        pl.col("class_label").filter(lost).sort_by(pl.col("estimate").filter(lost)).alias("which"),
        pl.col("margin").drop_nulls().first(),
    )
    data = data.with_columns(pl.col("which").list.join(", "))
    margin = margin_in_words(found)
    columns = (
        *identity(data, CONTEXT),
        Column("Method", _method, names=True, numeric=False),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        Column("Classes", lambda row: numbers.count(row["classes"])),
        Column(f"Lose at most {margin}", lambda row: numbers.count(row["kept"])),
        Column("More", lambda row: numbers.count(row["lost"])),
        Column("Undecided", lambda row: numbers.count(row["undecided"])),
        Column("Which lose more", lambda row: row["which"], numeric=False),
    )
    note = (
        "One-sided t-tests of every class of a condition, corrected together; undecided: the data "
        "are compatible with a smaller and with a larger loss, or the networks do not vary."
    )
    caption = f"How many classes lose more than {margin} of recall"
    return Table("class-margins", caption, data, columns, (note,))


def margin_in_words(found: pl.DataFrame) -> str:
    """`1 point`, `2.5 points`."""
    margin = found["margin"].drop_nulls()
    return numbers.in_points(margin[0]) if len(margin) else "a margin"


def _method(row: Row) -> str:
    return CONTROL if row["arm"] == CONTROL else clean(row["method"], NAME)
