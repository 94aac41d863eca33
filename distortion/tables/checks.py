"""The diagnostics as a table, and the influence of single networks and classes."""

import polars as pl

from distortion.tables.table import Column, Row, Table, Tone


def check_table(checks: pl.DataFrame) -> Table:
    """One row per check: `check`, `number`, `verdict` and `of`, as words."""
    columns = (
        Column("Check", lambda row: row["check"], names=True, numeric=False),
        Column("Found", lambda row: row["number"], numeric=False),
        Column("Verdict", lambda row: row["verdict"], False, False, _tone),
        Column("Of what", lambda row: row["of"], numeric=False),
    )
    note = (
        "“Look at”: worth a second look in the figure, not a verdict on the conclusions. Tests of "
        "residuals at 1% over all models together."
    )
    return Table("diagnostics", "Diagnostics", checks, columns, (note,), central=True)


def _tone(row: Row) -> Tone:
    return "" if row["verdict"] == "fine" else "mixed"
