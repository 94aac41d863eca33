"""Layouts of stored predictions: files and frames in, one row per cell with lists out.

lists  one row per cell: `labels` and `predicted` are lists of classes over the images, in the same
       order in all cells of a data set. Runners write it: `<run id>.predictions.pq`.
long   one row per cell and image: `image` (its number), `label`, `predicted`. The only one for CSV.

Cells are named by the columns of the log (`distortion.schema.CELL`), with the same defaults.
Classes are whole numbers from 0 to 65,535. Further columns are not read.
"""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from distortion.columns import conform
from distortion.errors import LogError, did_you_mean
from distortion.log import PREDICTIONS
from distortion.places import place, readable
from distortion.schema import BY_NAME, CELL, SHOWN

LISTS: Final = {"labels": pl.UInt16(), "predicted": pl.UInt16()}
LONG: Final = {"image": "images", "label": "labels", "predicted": "predicted"}
MOST: Final = 2**16 - 1
SUFFIXES: Final = (".parquet", ".pq", ".csv")
# They make a row of a log of a cell, so that the log's rules type and check its columns.
AS_LOG: Final = {"class_id": 0, "n": 1, "correct": 0}


def files(name: str) -> list[Path]:
    """The files of predictions in a folder, of a pattern, or the one named.

    In a folder these are those of finished networks: a killed run may leave others, which the
    next one writes again.
    """
    path = place(name)
    if path.is_dir():
        all_files = sorted(path.rglob(f"*{PREDICTIONS}"))
        found = [file for file in all_files if _shard(file).exists()]
        empty = (
            f"The folder {name} holds no *{PREDICTIONS} file of a finished network. Run a study "
            "with `predictions = true`, or name a file of your own."
        )
    else:
        found = [path] if path.is_file() else sorted(map(Path, glob.glob(name, recursive=True)))
        empty = f"There is no file or folder {name}. Give a study's folder, a file or a pattern."
    if not found:
        raise LogError(empty)
    return found


def read_file(path: Path) -> pl.DataFrame:
    """The rows of a file, in the layout that it has."""
    if path.suffix not in SUFFIXES:
        raise LogError(
            f"{path} is neither Parquet nor CSV by its name. Files of predictions have the suffix "
            f"{', '.join(SUFFIXES)}."
        )
    try:
        if path.suffix == ".csv":
            return pl.read_csv(readable(path), infer_schema_length=None)
        return pl.read_parquet(readable(path), glob=False)
    except (PolarsError, OSError) as error:
        ours = path.name.endswith(PREDICTIONS)
        again = "Run the study again: only this network is computed anew."
        raise LogError(
            f"{path} cannot be read; it may be truncated or of another format "
            f"({str(error).splitlines()[0]}). {again if ours else 'Export it again.'}"
        ) from None


def to_lists(table: pl.DataFrame) -> pl.DataFrame:
    """One row per cell: CELL columns, `labels`, `predicted`, and `images` where they are numbered.

    Lists are of UInt16, not empty, and as long as each other.

    Raises
    ------
    LogError
        If a column is missing, or a value is no class.
    """
    if table.height == 0:
        raise LogError("There are no predictions: no rows. Check the path, or run the study first.")
    _check_keys(table.columns)
    lists: Mapping[str, pl.DataType] = LISTS
    if missing := [c for c in LISTS if c not in table.columns]:
        if "label" not in table.columns or not set(LONG).issubset(table.columns):
            strangers = [c for c in table.columns if c not in BY_NAME]
            raise LogError(
                f"Predictions lack {', '.join(map(repr, missing))}. They have either labels and "
                "predicted, one list per cell, or image, label and predicted, one row per cell "
                f"and image. {did_you_mean(missing[0], strangers) if strangers else ''}".strip()
            )
        table, lists = _grouped(table), {"images": pl.Int64(), **LISTS}
    for column in LISTS:
        _check_lists(table, column)
    keys = table.select(c for c in CELL if c in table.columns)
    keys = conform(keys.with_columns(pl.lit(v).alias(c) for c, v in AS_LOG.items())).select(CELL)
    return keys.hstack(table.select(pl.col(c).cast(pl.List(t)) for c, t in lists.items()))


def _shard(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(PREDICTIONS) + ".parquet")


def _check_keys(columns: list[str]) -> None:
    missing = [c for c in CELL if BY_NAME[c].needed and c not in columns]
    if missing:
        hints = "; ".join(f"{c!r}: {BY_NAME[c].meaning}" for c in missing)
        raise LogError(
            f"Predictions lack {len(missing)} needed column(s): {hints}. They have: "
            f"{', '.join(map(repr, columns))}. {did_you_mean(missing[0], columns)} Name each cell "
            "as a log does."
        )


def _grouped(table: pl.DataFrame) -> pl.DataFrame:
    """The long layout as lists, ordered by image."""
    for column in LONG:
        what, most = ("images", 2**53) if column == "image" else ("classes", MOST)
        _check_numbers(table[column], column, what, most)
    keys = [c for c in CELL if c in table.columns]
    twice = table.select(pl.struct(*keys, "image").is_duplicated()).to_series()
    if twice.any():
        raise LogError(
            f"{twice.sum()} of {table.height} rows have the cell and the image of another one, for "
            f"example row {twice.arg_true()[0] + 1}. A cell predicts an image once: remove copies."
        )
    ordered = table.select(*keys, *LONG).rename(LONG).sort("images")
    return ordered.group_by(keys, maintain_order=True).agg("images", "labels", "predicted")


def _check_lists(table: pl.DataFrame, column: str) -> None:
    lists = table[column]
    if not isinstance(lists.dtype, pl.List):
        raise LogError(f"Column {column!r} holds {lists.dtype}, not one list of classes per cell.")
    empty = lists.is_null() | (lists.list.len() == 0)
    if empty.any():
        where = ", ".join(str(i + 1) for i in empty.arg_true().head(SHOWN))
        raise LogError(f"Column {column!r} is empty in row {where}. Every cell predicts images.")
    _check_numbers(lists.explode(), column, "classes", MOST)
    differs = table["labels"].list.len() != table["predicted"].list.len()
    if column == "predicted" and differs.any():
        i = int(differs.arg_true()[0])
        raise LogError(
            f"Row {i + 1} has {len(table['labels'][i])} labels and {len(table['predicted'][i])} "
            "predicted classes. Both are over the same images, in the same order."
        )


def _check_numbers(values: pl.Series, column: str, what: str, most: int) -> None:
    if not values.dtype.is_integer():
        raise LogError(
            f"Column {column!r} holds {values.dtype}, not numbers of {what}, which count from 0."
        )
    wide = values.cast(pl.Int64, strict=False)
    bad = ~wide.is_between(0, most).fill_null(False)
    if bad.any():
        shown = ", ".join(map(repr, values.filter(bad).head(SHOWN)))
        raise LogError(
            f"Column {column!r}: {bad.sum():,} of {len(values):,} values are not whole numbers "
            f"from 0 to {most:,}: {shown}. Number the {what} from 0, and leave no gap."
        )
