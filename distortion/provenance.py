"""Provenance: what stands beside shards or in a packed file about how its rows came about."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from distortion.errors import LogError
from distortion.places import readable
from distortion.schema import BY_NAME, CELL

PROVENANCE = "distortion:provenance"
FAILURE = ".failed.json"
FAILED = pl.Schema({c: BY_NAME[c].dtype for c in CELL} | {"reason": pl.String()})


def records(files: Iterable[Path], folders: Iterable[Path] = ()) -> Iterator[dict[str, Any]]:
    """The records of files, then those of networks below `folders` that failed altogether.

    Raises LogError if one of them is not JSON.
    """
    for file in files:
        yield from _of_file(file)
    for folder in folders:
        for path in sorted(folder.rglob(f"*{FAILURE}")):
            yield from _record_in(path)


def failed_cells(records: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Cells that provenance records name as failed: dicts of CELL columns and a reason."""
    cells = [cell for record in records for cell in record.get("failed") or []]
    if strange := [cell for cell in cells if not isinstance(cell, dict)]:
        raise LogError(
            f"A provenance record lists {strange[0]!r} among its failed cells, which is not a "
            "cell with a reason. Correct or delete the JSON file, and its Parquet file with it."
        )
    rows = [{c: cell.get(c) for c in FAILED} for cell in cells]
    return pl.DataFrame(rows, schema=FAILED, strict=False)


def _of_file(file: Path) -> list[dict[str, Any]]:
    """The record beside a shard, or what `write_log` put into a packed file's metadata."""
    beside = file.with_suffix(".json")
    if beside.exists():
        return _record_in(beside)
    if file.suffix != ".parquet":
        return []
    try:
        return list(json.loads(pl.read_parquet_metadata(readable(file)).get(PROVENANCE, "[]")))
    except (PolarsError, OSError):
        return []  # reading its rows says what is wrong with the file


def _record_in(path: Path) -> list[dict[str, Any]]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return [record] if isinstance(record, dict) else []
    except (OSError, ValueError) as error:
        raise LogError(
            f"The provenance file {path} cannot be read ({error}). Delete it together with "
            "its Parquet file and run the study again."
        ) from None
