"""Reading and writing logs: Parquet shards with their provenance, CSV, frames in memory.

A study is a folder of shards, one network each: `<run id>.parquet`, with `<run id>.json` (the
provenance) and perhaps its predictions (`distortion.predictions`) beside it. The shard is written
last, each file under a temporary name first, so a shard under its final name is a finished network.
A network that could not be computed at all leaves `<run id>.failed.json` instead.
"""

import io
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from distortion.batches import batches
from distortion.cells import check_cells, number_cells
from distortion.columns import conform, ignored
from distortion.errors import LogError, LogWarning
from distortion.files import Files, find, survey
from distortion.places import digest, place, put
from distortion.provenance import FAILED, FAILURE, PROVENANCE, failed_cells, records
from distortion.rules import check_rows
from distortion.schema import DERIVED, NETWORK
from distortion.traits import Traits, check_names, moved, together, traits, weaknesses
from distortion.violations import Violations

Source: TypeAlias = "str | os.PathLike[str] | pl.DataFrame | pl.LazyFrame | RecallLog | Any"
HASHES = "hashes"
# Parquet, but by its name no shard, whether a folder is searched or a pattern ends in .parquet.
PREDICTIONS = ".predictions.pq"
# The lowest level of zstd that finds the labels of one cell again in the next.
LABELS_ONCE = 14
# Rows that are read at a time, to be joined to those before once they are checked and typed.
PIECE = 1 << 20
# Columns of cells that serve the checks only.
INTERNAL = ("row", "signature")


@dataclass(frozen=True, slots=True, repr=False)
class RecallLog:
    """A validated log.

    Attributes
    ----------
    table : one row per cell and class: `cell` (a number within this log), then the columns of
        `distortion.schema.COLUMNS` that are present, then further run-level columns
    cells : one row per cell: `cell`, its CELL columns, `n_classes`, pooled `n` and `correct`,
        `parent` (the cell of its dense network)
    failed : cells that the runner recorded as failed, with the reason; they have no rows
    provenance : the JSON files found beside the shards
    notes : what weakens conclusions from this log (copied seeds, accuracy 0)
    source : where it was read from
    """

    table: pl.DataFrame
    cells: pl.DataFrame
    failed: pl.DataFrame
    provenance: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    source: str

    def __repr__(self) -> str:
        networks = self.cells.select(NETWORK).n_unique()
        return (
            f"RecallLog({self.source}: {self.table.height} rows, {self.cells.height} cells, "
            f"{networks} networks, {self.failed.height} failed cells)"
        )


def read_log(source: Source) -> RecallLog:
    """Read and validate a log into memory.

    Where only slopes are wanted of a log larger than that, give its path to `distortion.slopes`.

    Parameters
    ----------
    source : a folder of shards, a .parquet or .csv file, the URL of either (s3://...), a glob
        pattern, a list of any of these, a polars or pandas frame with the columns of
        `distortion.schema.COLUMNS`, or a RecallLog (returned as is). Columns may also stand in the
        names of folders: `dataset=cifar10/`.

    Raises
    ------
    LogError
        If nothing can be read, or the table breaks a rule of the log; the message names the
        rows, the rule and the next step.

    Warns
    -----
    LogWarning
        For copied seeds and for cells of accuracy 0.
    """
    if isinstance(source, RecallLog):
        return source
    name, failed = "a frame in memory", pl.DataFrame(schema=FAILED)
    provenance: tuple[dict[str, Any], ...] = ()
    if names := _paths(source):
        name, files, found = _opened(names)
        provenance = tuple(found)
        failed = failed_cells(provenance)
        if not files.height:
            _refuse_empty(name, failed)
        table, left_out = _conformed(files), files.ignored
    else:
        table = _to_polars(source)
        left_out = ignored(table.columns)
        table = conform(table.drop(DERIVED, strict=False))
    rows, cells = _checked(table)
    notes = _notes([traits(rows, cells)], left_out)
    for note in notes:
        warnings.warn(note, LogWarning, stacklevel=2)
    return RecallLog(rows, cells.drop(INTERNAL), failed, provenance, notes, name)


def per_cell(source: Source, derive: Callable[[RecallLog], pl.DataFrame]) -> pl.DataFrame:
    """A table with one row per cell of a log, which may be larger than memory if it is in files.

    Gives what `derive(read_log(source))` does, with the same errors and warnings. Of a path, only
    a batch of networks is held at a time (`distortion.batches`), beside the table itself, one row
    per network, and the names of classes.

    Parameters
    ----------
    source : whatever `read_log` reads
    derive : a table that begins with `cell` from whole networks; `cell` is dropped in the end
    """
    names = _paths(source)
    if not names:
        return derive(read_log(source)).drop("cell")
    name, files, found = _opened(names)
    if not files.height:
        _refuse_empty(name, failed_cells(tuple(found)))
    for record in found:
        failed_cells([record])
    violations, tables, parts = Violations(), [], []
    for table, row in batches(files):
        with violations.gather(row):
            rows, cells = _checked(conform(table))
            if violations:
                continue  # only counted
            log = RecallLog(rows, cells.drop(INTERNAL), pl.DataFrame(schema=FAILED), (), (), name)
            derived = derive(log)
            number = row.gather(cells["row"]).gather(derived["cell"])
            tables.append(derived.with_columns(cell=number))
            parts.append(moved(traits(rows, cells), row))
    violations.settle()
    for note in _notes(parts, files.ignored):
        warnings.warn(note, LogWarning, stacklevel=3)
    return pl.concat(tables).sort("cell").drop("cell")


def write_log(log: Source, path: str | os.PathLike[str]) -> Path:
    """Write a log as one Parquet file that carries its provenance in the file's metadata.

    Raises LogError if `path` does not end in .parquet, or the log breaks a rule.
    """
    log, path = read_log(log), place(path)
    if path.suffix != ".parquet":
        raise LogError(f"{path} does not end in .parquet: a log is packed into Parquet only.")
    metadata = {PROVENANCE: json.dumps(log.provenance, sort_keys=True, default=str)}
    path.parent.mkdir(parents=True, exist_ok=True)
    return put(path, _parquet(log.table.drop("cell"), metadata))


def write_shard(
    table: pl.DataFrame,
    provenance: Mapping[str, object],
    folder: Path,
    run_id: str,
    predictions: pl.DataFrame | None = None,
) -> Path:
    """Write one network's rows, provenance and predictions: all files are there or none counts.

    Returns the path of the shard. The same run id is replaced, not duplicated. The provenance gets
    hashes of the other files, by which damaged ones are told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{run_id}.parquet": _parquet(table)}
    if predictions is not None:
        contents[f"{run_id}{PREDICTIONS}"] = _parquet(predictions, level=LABELS_ONCE)
    record = {**provenance, HASHES: {name: digest(content) for name, content in contents.items()}}
    text = json.dumps(record, indent=1, sort_keys=True, default=str)
    put(folder / f"{run_id}.json", text.encode())
    *_, path = [put(folder / name, contents[name]) for name in reversed(contents)]
    (folder / f"{run_id}{FAILURE}").unlink(missing_ok=True)
    return path


def write_failure(provenance: Mapping[str, object], folder: Path, run_id: str) -> Path:
    """Record a network that could not be computed; its cells and reason stand under `failed`.

    The record goes when the network is computed after all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(provenance, indent=1, sort_keys=True, default=str)
    return put(folder / f"{run_id}{FAILURE}", text.encode())


def is_complete(folder: Path, run_id: str) -> bool:
    """Whether the shard of this run exists under its final name, with its provenance."""
    return all((folder / f"{run_id}{suffix}").exists() for suffix in (".parquet", ".json"))


def _paths(source: Source) -> list[str]:
    """The paths and patterns that a source consists of; none if it is a table."""
    if isinstance(source, str | os.PathLike):
        return [os.fspath(source)]
    if isinstance(source, list | tuple) and all(isinstance(s, str | os.PathLike) for s in source):
        return [os.fspath(path) for path in source]
    return []


def _opened(names: list[str]) -> tuple[str, Files, Iterator[dict[str, Any]]]:
    """The name of a log, its rows, and the records of their provenance."""
    files = [file for name in names for file in find(name)]
    folders = [folder for name in names if (folder := place(name)).is_dir()]
    name = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return name, survey(files), records(files, folders)


def _refuse_empty(name: str, failed: pl.DataFrame) -> None:
    if failed.height:
        reasons = ", ".join(failed["reason"].unique().sort().head(3))
        raise LogError(
            f"Every network of {name} failed ({reasons}): there is nothing to analyse. "
            "Change the recipe and run the study again."
        )
    conform(pl.DataFrame())


def _conformed(files: Files) -> pl.DataFrame:
    """All rows, piece by piece, so that no untyped copy of them is held."""
    violations, tables = Violations(), []
    for first in range(0, files.height, PIECE):
        table, row = files.read(first, first + PIECE)
        with violations.gather(row):
            tables.append(conform(table))
    violations.settle()
    return pl.concat(tables)


def _checked(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows and cells of a conformed table of whole networks."""
    check_rows(table)
    rows, cells = number_cells(table)
    check_cells(rows, cells)
    return rows, cells


def _notes(parts: list[Traits], left_out: tuple[str, ...]) -> tuple[str, ...]:
    """What weakens conclusions from a log whose parts have these traits."""
    found = together(parts)
    check_names(found)
    notes = weaknesses(found)
    if left_out:
        notes.append(
            f"Ignored column(s) {', '.join(left_out)}: these are derived from the counts. Rename "
            "them to keep them."
        )
    return tuple(notes)


def _to_polars(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas":
        # Column by column, because polars' own conversion needs pyarrow.
        return pl.DataFrame({str(c): _from_pandas(frame[c]) for c in frame.columns})
    raise LogError(
        f"A log cannot be read from {type(frame).__name__}: give a path, a polars or a pandas "
        "frame."
    )


def _from_pandas(column: Any) -> pl.Series:
    if column.dtype.kind in "iufb" and not column.isna().any():
        return pl.Series(column.to_numpy())
    values = [None if missing else value for value, missing in zip(column, column.isna())]  # noqa: B905
    return pl.Series(values, strict=False)


def _parquet(
    table: pl.DataFrame, metadata: dict[str, str] | None = None, level: int | None = None
) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", compression_level=level, metadata=metadata)
    return buffer.getvalue()
