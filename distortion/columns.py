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
    DERIVED,
    FINETUNED,
    NETWORK,
    NO_METHOD,
    SHOWN,
    Column,
)
from distortion.violations import COLUMN, Violation

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


def ignored(columns: Sequence[str]) -> tuple[str, ...]:
    """Columns that a log leaves out, because `distortion.designs` derives what has their name."""
    return tuple(sorted(DERIVED.intersection(columns) - {"cell"}))


def network_hash(schema: pl.Schema) -> pl.Expr:
    """A number that all rows of a network share, before `conform`.

    Other networks may share it by chance, or where their seeds cannot be read.
    """
    parts = []
    for column in (BY_NAME[name] for name in NETWORK if name in schema):
        text = pl.col(column.name).cast(pl.String).str.strip_chars()
        if column.dtype == pl.Int64:
            number = text.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
            parts.append(number)
        else:
            parts.append(text.fill_null(column.default or ""))
    return pl.struct(parts).hash()


def _typed(table: pl.DataFrame, column: Column) -> pl.Series:
    """Cast one column to its type; say which rows cannot be cast."""
    given = table[column.name]
    series = given.cast(pl.String).str.strip_chars() if given.dtype == pl.Categorical else given
    required = column.needed or column.name in CELL
    if column.default is not None:
        series = series.fill_null(column.default) if series.dtype == pl.String else series
    if series.dtype.is_float():
        _refuse_values(column, 0, given, series.is_nan(), "not numbers (NaN)")
    if column.dtype == pl.Int64 and series.dtype == pl.String:
        series = series.str.strip_chars().cast(pl.Float64, strict=False)
    if column.dtype == pl.Int64 and series.dtype.is_float():
        _refuse_values(column, 1, given, series != series.floor(), "not whole numbers")
    if column.dtype == pl.String and series.dtype == pl.String:
        series = series.str.strip_chars()
    typed = series.cast(column.dtype, strict=False)
    lost = typed.is_null() & given.is_not_null()
    _refuse_values(column, 2, given, lost, f"not {_kind(column.dtype)}")
    if required and column.name != "arm":
        _refuse_values(column, 3, given, typed.is_null(), "missing")
    return typed.alias(column.name)


def _kind(dtype: pl.DataType) -> str:
    kinds = {pl.Int64: "whole numbers", pl.Float64: "numbers", pl.String: "texts"}
    return kinds[type(dtype)]


def _refuse_values(column: Column, order: int, given: pl.Series, bad: pl.Series, what: str) -> None:
    where = bad.fill_null(False).arg_true()
    if where.is_empty():
        return
    raise Violation(
        len(where),
        f"value(s) of column {column.name!r} ({column.meaning}) are {what}",
        [(i, _shown(given[i])) for i in where.head(SHOWN)],
        f"Give {'whole numbers of images' if column.name in COUNTS else 'a value in every row'}.",
        (COLUMN, COLUMNS.index(column), order),
    )


def _shown(value: object) -> str:
    percent = " (percentages cannot be turned back into counts without rounding)"
    return f"{value!r}{percent if '%' in str(value) else ''}"
