"""The one border between polars, which every table is, and pandas, which other libraries speak."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl

from distortion.errors import FitError

Table = pl.DataFrame | pl.LazyFrame


def to_polars(table: Any) -> Table:
    """Return a polars frame as it is and a pandas frame converted; pandas' index is left behind.

    A categorical, ordered or not, becomes an Enum of texts in the order of its levels.

    Raises
    ------
    FitError
        If `table` is neither, two of its columns have the same name, two levels of a categorical
        the same text, or the query of a lazy frame is wrong.
    """
    if isinstance(table, pl.LazyFrame):
        with reading(table):
            table.collect_schema()
    if isinstance(table, pl.DataFrame | pl.LazyFrame):
        return table
    if type(table).__module__.partition(".")[0] != "pandas" or not hasattr(table, "columns"):
        raise FitError(
            f"A model cannot be fitted to {type(table).__name__}: give a polars or a pandas frame."
        )
    names = [str(name) for name in table.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FitError(f"The pandas frame has two columns named {twice[0]!r}: rename one.")
    return pl.DataFrame(
        [_series(name, table.iloc[:, position]) for position, name in enumerate(names)]
    )


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Turn what goes wrong while the query of a lazy table runs into a `FitError`.

    In a table in memory such an error would be a mistake of ours, and is let through.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(table, pl.DataFrame):
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        raise FitError(
            f"The lazy table cannot be read: {reason}. Correct its query or path; "
            "collect() runs it by itself."
        ) from error


def _series(name: str, column: Any) -> pl.Series:
    """Convert by hand, because polars' own conversion needs pyarrow."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufbMm":
        return pl.Series(name, column.to_numpy())
    if hasattr(dtype, "categories"):
        return _enum(name, column)
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    return pl.Series(name, values.tolist(), strict=False)


def _enum(name: str, column: Any) -> pl.Series:
    levels = [str(level) for level in column.dtype.categories]
    if twice := [level for level in levels if levels.count(level) > 1]:
        raise FitError(
            f"Column {name!r} is a pandas categorical with two levels that both read "
            f"{twice[0]!r}: rename one."
        )
    texts = np.array([*levels, None], dtype=object)[column.cat.codes.to_numpy()]
    return pl.Series(name, texts.tolist(), dtype=pl.Enum(levels))


def to_pandas(table: pl.DataFrame, levels: Mapping[str, Sequence[Any]] | None = None) -> Any:
    """Return a `pandas.DataFrame` of `table`, made without pyarrow.

    Parameters
    ----------
    table : any polars frame
    levels : for each column that is to become categorical, its levels in order

    Raises
    ------
    FitError
        If a column has values that are not among its declared levels.
    """
    import pandas as pd

    declared = levels or {}
    columns: dict[str, Any] = {}
    for series in table:
        if series.name not in declared:
            plain = series.cast(pl.String) if series.dtype in (pl.Categorical, pl.Enum) else series
            columns[series.name] = plain.to_numpy()
            continue
        order = list(declared[series.name])
        position = {level: code for code, level in enumerate(order)}
        strangers = [v for v in series.unique().to_list() if v is not None and v not in position]
        if strangers:
            raise FitError(
                f"Column {series.name!r} holds {strangers[0]!r}, which is not among its declared "
                f"levels {order}. Declare it, or drop those rows."
            )
        codes = [-1 if value is None else position[value] for value in series.to_list()]
        columns[series.name] = pd.Categorical.from_codes(codes, categories=order)
    return pd.DataFrame(columns)
