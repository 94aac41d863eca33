"""The one border between polars, which every table is, and pandas, which other libraries speak."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from distortion.errors import FitError

Table = pl.DataFrame | pl.LazyFrame


def to_polars(table: Any) -> Table:
    """Return a polars frame as it is and a pandas frame converted; pandas' index is left behind.

    An ordered categorical of texts becomes an Enum, which keeps the order of its levels.

    Raises
    ------
    FitError
        If `table` is neither, or two of its columns have the same name.
    """
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


def _series(name: str, column: Any) -> pl.Series:
    """Convert by hand, because polars' own conversion needs pyarrow."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufbMm":
        return pl.Series(name, column.to_numpy())
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    series = pl.Series(name, values.tolist(), strict=False)
    if getattr(dtype, "ordered", False) and series.dtype == pl.String:
        return series.cast(pl.Enum([str(level) for level in dtype.categories]))
    return series


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
