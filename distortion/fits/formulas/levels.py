"""Levels: their declared order, and the code of each row's level, −1 for none of the known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError

Codes = NDArray[np.int32]
Encoder = Callable[[pl.Series], Codes]
# Whole numbers within this span get a table with one entry per number, which beats searching.
SPAN = 1 << 20


def asked(column: str, schema: pl.Schema, levels: pl.Series) -> pl.Expr:
    """Return what to select for an `encoder`: texts are best matched inside the query."""
    if schema[column] not in (pl.String, pl.Categorical) or levels.dtype.is_numeric():
        return pl.col(column)
    known = pl.Enum(levels.cast(pl.String).unique(maintain_order=True))
    return pl.col(column).cast(pl.String).cast(known, strict=False)


def encoder(levels: pl.Series) -> Encoder:
    """Return the function that codes a column by its position in `levels`, in any order."""
    dtype = levels.dtype
    if dtype.is_float():
        return _converted(dtype, _numbers(levels.to_numpy()))
    if dtype.is_integer() or dtype == pl.Boolean or dtype.is_temporal():
        whole = levels.cast(pl.Int64, strict=False)
        if not whole.null_count():
            return _converted(dtype, _numbers(whole.to_numpy()))
    return _texts(levels.cast(pl.String))


def combined(levels: pl.DataFrame) -> Callable[[Sequence[pl.Series]], Codes]:
    """Return the function that codes several columns by the row of `levels` that they equal."""
    if levels.width == 1:
        single = encoder(levels.to_series())
        return lambda columns: single(columns[0])
    parts = [column.unique(maintain_order=True) for column in levels]
    encoders = [encoder(part) for part in parts]
    sizes = [len(part) for part in parts]

    def joint(columns: Sequence[pl.Series]) -> NDArray[np.int64]:
        total = np.zeros(len(columns[0]), dtype=np.int64)
        unknown = np.zeros(len(columns[0]), dtype=bool)
        for column, encode, size in zip(columns, encoders, sizes, strict=True):
            codes = encode(column)
            total = total * size + codes
            unknown |= codes < 0
        return np.where(unknown, -1, total)

    find = _numbers(joint(levels.get_columns()))
    return lambda columns: find(joint(columns))


def _texts(levels: pl.Series) -> Encoder:
    known = pl.Enum(levels)

    def encode(column: pl.Series) -> Codes:
        if isinstance(column.dtype, pl.Enum) and column.dtype != known:
            of_category = encode(column.dtype.categories)
            return np.append(of_category, np.int32(-1))[_int32(column.to_physical())]
        same = column.dtype == known
        found = column if same else column.cast(pl.String).cast(known, strict=False)
        return _int32(found.to_physical())

    return encode


def _int32(codes: pl.Series) -> Codes:
    found: Codes = codes.cast(pl.Int32).fill_null(-1).to_numpy()
    return found


def _converted(dtype: pl.DataType, find: Callable[[NDArray[Any]], Codes]) -> Encoder:
    """Wrap `find` for columns of other types, and for missing values."""

    def encode(column: pl.Series) -> Codes:
        if column.dtype != dtype:
            same = column.cast(dtype, strict=False)
            # 3.5 is not level 3.
            exact = same.cast(column.dtype) == column if column.dtype.is_float() else None
            column = same if exact is None else same.set(~exact, None)
        if column.dtype.is_temporal():
            column = column.to_physical()
        if not column.null_count():
            return find(column.to_numpy())
        present = column.is_not_null().to_numpy()
        return np.where(present, find(column.fill_null(strategy="zero").to_numpy()), np.int32(-1))

    return encode


def _numbers(levels: NDArray[Any]) -> Callable[[NDArray[Any]], Codes]:
    """Return the function that finds numbers among `levels`, which are int64 or floating."""
    order = np.argsort(levels, kind="stable")
    ordered = levels[order]
    positions = order.astype(np.int32)
    lowest, highest = ordered[0], ordered[-1]

    def search(values: NDArray[Any]) -> Codes:
        place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
        return np.where(ordered[place] == values, positions[place], np.int32(-1))

    if levels.dtype.kind == "f" or int(highest) - int(lowest) >= SPAN:
        return search
    table: Codes = np.full(highest - lowest + 1, -1, dtype=np.int32)
    table[ordered - lowest] = positions

    def look_up(values: NDArray[Any]) -> Codes:
        whole = np.asarray(values, dtype=np.int64)
        if len(whole) and (whole.min() < lowest or whole.max() > highest):
            inside = (whole >= lowest) & (whole <= highest)
            return np.where(inside, table[np.where(inside, whole - lowest, 0)], np.int32(-1))
        found: Codes = table[whole - lowest]
        return found

    return look_up


def declared_levels(levels: Mapping[str, Sequence[Any]] | None) -> dict[str, tuple[Any, ...]]:
    """Return the order of levels of each column, as the argument `levels=` gives it.

    Raises
    ------
    FitError
        If it is not a list for each name, or a list names a level twice.
    """
    if levels is None:
        return {}
    if not isinstance(levels, Mapping):
        raise FitError(
            f"levels gives a list for each column, as in {{'method': ['random', 'magnitude']}}, "
            f"not {type(levels).__name__}."
        )
    declared: dict[str, tuple[Any, ...]] = {}
    for column, order in levels.items():
        if isinstance(order, str) or not isinstance(order, Iterable):
            raise FitError(
                f"levels[{column!r}] is {order!r}: give a list of levels, the reference first."
            )
        declared[column] = tuple(order)
        if twice := [level for level in declared[column] if declared[column].count(level) > 1]:
            raise FitError(f"levels[{column!r}] names {twice[0]!r} twice.")
    return declared
