"""Columns and types of the log: a foreign table in, a conformed one out, or an error."""

from collections.abc import Sequence

import polars as pl

from distortion.errors import LogError, did_you_mean
from distortion.schema import (
    BY_NAME,
    CELL,
    COLUMNS,
    COUNTS,
    DENSE,
    FINETUNED,
    NO_METHOD,
    SHOWN,
    Column,
)

RATIO_DIGITS = 9


def conform(table: pl.DataFrame) -> pl.DataFrame:
    """Return `table` with the log's columns first, typed and with defaults filled in.

    Raises
    ------
    LogError
        If the table is empty, a needed column is missing, or a value is missing, not a number
        or not whole where a whole number is due.
    """
    if table.height == 0:
        raise LogError("The log is empty: it has no rows. Check the path, or run the study first.")
    _check_columns(table.columns)
    for column in COLUMNS:
        if column.name in table.columns:
            table = table.with_columns(_typed(table, column))
        elif column.default is not None:
            table = table.with_columns(pl.lit(column.default).alias(column.name))
    dense = (pl.col("ratio") == 1) & (pl.col("method") == NO_METHOD)
    given = [pl.col("arm")] if "arm" in table.columns else []
    filled = pl.when(dense).then(pl.lit(DENSE)).otherwise(pl.lit(FINETUNED))
    table = table.with_columns(pl.coalesce(*given, filled).alias("arm"))
    # A ratio computed as 1 / (1 - 0.9) and one written as 10 are the same ratio.
    table = table.with_columns(pl.col("ratio").round_sig_figs(RATIO_DIGITS))
    known = [c.name for c in COLUMNS if c.name in table.columns]
    return table.select(*known, *(c for c in table.columns if c not in BY_NAME))


def _check_columns(columns: Sequence[str]) -> None:
    missing = [c.name for c in COLUMNS if c.needed and c.name not in columns]
    if not missing:
        return
    strangers = [c for c in columns if c not in BY_NAME]
    hints = [f"{name!r}: {BY_NAME[name].meaning}" for name in missing]
    guess = [did_you_mean(name, strangers) for name in missing if strangers]
    offered = sorted({g for g in guess if g.startswith("Did")})
    if len(columns) == 1 and ";" in columns[0]:
        offered.append("The separator seems to be ';': use commas.")
    raise LogError(
        f"The log lacks {len(missing)} needed column(s): {'; '.join(hints)}. It has: "
        f"{', '.join(map(repr, columns))}. {' '.join(offered)} Rename or add the columns; "
        "`distortion check -h` shows the table's layout.".replace("  ", " ")
    )


def _typed(table: pl.DataFrame, column: Column) -> pl.Series:
    """Cast one column to its type; say which rows cannot be cast."""
    given = table[column.name]
    series = given.cast(pl.String).str.strip_chars() if given.dtype == pl.Categorical else given
    required = column.needed or column.name in CELL
    if column.default is not None:
        series = series.fill_null(column.default) if series.dtype == pl.String else series
    if series.dtype.is_float():
        _refuse_values(table, column, given, series.is_nan(), "not numbers (NaN)")
    if column.dtype == pl.Int64 and series.dtype == pl.String:
        series = series.str.strip_chars().cast(pl.Float64, strict=False)
    if column.dtype == pl.Int64 and series.dtype.is_float():
        _refuse_values(table, column, given, series != series.floor(), "not whole numbers")
    if column.dtype == pl.String and series.dtype == pl.String:
        series = series.str.strip_chars()
    typed = series.cast(column.dtype, strict=False)
    lost = typed.is_null() & given.is_not_null()
    _refuse_values(table, column, given, lost, f"not {_kind(column.dtype)}")
    if required and column.name != "arm":
        _refuse_values(table, column, given, typed.is_null(), "missing")
    return typed.alias(column.name)


def _kind(dtype: pl.DataType) -> str:
    kinds = {pl.Int64: "whole numbers", pl.Float64: "numbers", pl.String: "texts"}
    return kinds[type(dtype)]


def _refuse_values(
    table: pl.DataFrame, column: Column, given: pl.Series, bad: pl.Series, what: str
) -> None:
    bad = bad.fill_null(False)
    if not bad.any():
        return
    where = bad.arg_true().head(SHOWN).to_list()
    shown = ", ".join(f"row {i + 1}: {given[i]!r}" for i in where)
    hint = ""
    if any("%" in str(given[i]) for i in where):
        hint = " Percentages cannot be turned back into counts without rounding:"
    raise LogError(
        f"Column {column.name!r} ({column.meaning}): {bad.sum()} of {table.height} values are "
        f"{what}: {shown}.{hint} Give "
        + ("whole numbers of images." if column.name in COUNTS else "a value in every row.")
    )
