"""Reading and writing logs: Parquet shards with their provenance, CSV, frames in memory.

A study is a folder of shards, one network each: `<run id>.parquet`, with `<run id>.json` (the
provenance) and perhaps its predictions (`distortion.predictions`) beside it. The shard is written
last, each file under a temporary name first, so a shard under its final name is a finished network.
A network that could not be computed at all leaves `<run id>.failed.json` instead.
"""

import glob
import io
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
from polars.exceptions import PolarsError

from distortion.columns import conform
from distortion.errors import LogError, LogWarning
from distortion.places import digest, place, put, readable
from distortion.rules import check_cells, check_rows, number_cells
from distortion.schema import BY_NAME, CELL, DERIVED, NETWORK
from distortion.weaknesses import spelled_alike, weaknesses

Source: TypeAlias = "str | os.PathLike[str] | pl.DataFrame | pl.LazyFrame | RecallLog | Any"
SUFFIXES = (".parquet", ".csv")
PROVENANCE = "distortion:provenance"
FAILURE = ".failed.json"
HASHES = "hashes"
# Parquet, but by its name no shard, whether a folder is searched or a pattern ends in .parquet.
PREDICTIONS = ".predictions.pq"
# The lowest level of zstd that finds the labels of one cell again in the next.
LABELS_ONCE = 14
FAILED = pl.Schema({c: BY_NAME[c].dtype for c in CELL} | {"reason": pl.String()})


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
    """Read and validate a log.

    Parameters
    ----------
    source : a folder of shards, a .parquet or .csv file, the URL of either (s3://...), a glob
        pattern, a polars or pandas frame with the columns of `distortion.schema.COLUMNS`, or a
        RecallLog (returned as is)

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
    if isinstance(source, str | os.PathLike):
        return _from_files(os.fspath(source))
    return _validated(_to_polars(source), (), "a frame in memory")


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


def read_provenance(folder: Path) -> list[dict[str, Any]]:
    """The provenance records of every shard below `folder`, then those of failed networks.

    Raises LogError if one of them is not JSON.
    """
    records = [r for file in sorted(folder.rglob("*.parquet")) for r in _provenance_of(file)]
    return records + [_read_json(path) for path in sorted(folder.rglob(f"*{FAILURE}"))]


def _from_files(name: str) -> RecallLog:
    path = place(name)
    if path.is_dir():
        files = sorted(path.rglob("*.parquet")) or sorted(path.rglob("*.csv"))
        empty = f"The folder {name} holds no .parquet or .csv file."
    elif path.is_file():
        files, empty = [path], ""
    else:
        files = sorted(Path(p) for p in glob.glob(name, recursive=True))
        empty = f"There is no file or folder {name}."
    if not files:
        raise LogError(
            f"{empty} Give the folder of a study, a Parquet or CSV file, or a glob pattern; "
            "`distortion example` writes a log to try."
        )
    tables = [_read_file(file) for file in files]
    tables = [table for table in tables if table.height] or tables[:1]
    # Shards may differ in optional columns, and an all-null column has no type of its own.
    table = pl.concat(tables, how="diagonal_relaxed") if len(tables) > 1 else tables[0]
    if path.is_dir():
        records = read_provenance(path)
    else:
        records = [record for file in files for record in _provenance_of(file)]
    return _validated(table, records, name)


def _read_file(path: Path) -> pl.DataFrame:
    if path.suffix not in SUFFIXES:
        raise LogError(
            f"{path} is neither Parquet nor CSV by its name. Logs have the suffix .parquet or .csv."
        )
    try:
        if path.suffix == ".csv":
            return pl.read_csv(readable(path), infer_schema_length=None)
        return pl.read_parquet(readable(path), glob=False)
    except (PolarsError, OSError) as error:
        if isinstance(error, pl.exceptions.NoDataError):
            return pl.DataFrame()
        if path.with_suffix(".json").exists():
            hint = "Delete it and run the study again: only this network is computed anew."
        else:
            hint = "Export it again; CSV files are read as UTF-8 with commas."
        raise LogError(
            f"{path} cannot be read; it may be truncated or of another format "
            f"({str(error).splitlines()[0]}). {hint}"
        ) from None


def _provenance_of(file: Path) -> list[dict[str, Any]]:
    """The record beside a shard, or what `write_log` put into a packed file's metadata."""
    beside = file.with_suffix(".json")
    if beside.exists():
        record = _read_json(beside)
        return [record] if isinstance(record, dict) else []
    if file.suffix != ".parquet":
        return []
    try:
        return list(json.loads(pl.read_parquet_metadata(readable(file)).get(PROVENANCE, "[]")))
    except (PolarsError, OSError):
        return []  # reading its rows says what is wrong with the file


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(
            f"The provenance file {path} cannot be read ({error}). Delete it together with "
            "its Parquet file and run the study again."
        ) from None


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


def _validated(table: pl.DataFrame, provenance: Sequence[dict[str, Any]], source: str) -> RecallLog:
    failed = _failed_cells(provenance)
    if table.height == 0 and failed.height:
        reasons = ", ".join(failed["reason"].unique().sort().head(3))
        raise LogError(
            f"Every network of {source} failed ({reasons}): there is nothing to analyse. "
            "Change the recipe and run the study again."
        )
    ignored = sorted(DERIVED.intersection(table.columns) - {"cell"})
    table = conform(table.drop(DERIVED, strict=False))
    check_rows(table)
    rows, cells = number_cells(table)
    check_cells(rows, cells)
    notes = (*weaknesses(rows, cells), *spelled_alike(cells))
    if ignored:
        notes += (
            f"Ignored column(s) {', '.join(ignored)}: these are derived from the counts. Rename "
            "them to keep them.",
        )
    for note in notes:
        warnings.warn(note, LogWarning, stacklevel=4)
    return RecallLog(rows, cells.drop("signature"), failed, tuple(provenance), notes, source)


def _failed_cells(provenance: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Cells that provenance records name as failed: dicts of CELL columns and a reason."""
    cells = [cell for record in provenance for cell in record.get("failed") or []]
    if strange := [cell for cell in cells if not isinstance(cell, dict)]:
        raise LogError(
            f"A provenance record lists {strange[0]!r} among its failed cells, which is not a "
            "cell with a reason. Correct or delete the JSON file, and its Parquet file with it."
        )
    rows = [{c: cell.get(c) for c in FAILED} for cell in cells]
    return pl.DataFrame(rows, schema=FAILED, strict=False)


def _parquet(
    table: pl.DataFrame, metadata: dict[str, str] | None = None, level: int | None = None
) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", compression_level=level, metadata=metadata)
    return buffer.getvalue()
