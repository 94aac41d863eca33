"""Where the rows of a log lie in files, and any range of them, without holding the others.

Rows are numbered from 0 in the order of the files. Consecutive Parquet files with the same columns
make one `Stretch`, which is scanned at once: opening thousands of shards one by one takes several
times longer.
"""

import glob
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

import polars as pl
from polars.exceptions import NoDataError, PolarsError

from distortion.columns import ignored
from distortion.errors import LogError
from distortion.places import place, readable
from distortion.schema import DERIVED

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Names that no column of a log has.
ROW, FILE = "distortion:row", "distortion:file"

Columns: TypeAlias = tuple[tuple[str, pl.DataType], ...]
Partition: TypeAlias = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive Parquet files with the same columns, or one CSV file.

    Attributes
    ----------
    paths : the files
    starts : the number of the first row of each, then that after the last row
    schema : their columns, with those of `partition`
    partition : columns that only the names of their folders hold (`dataset=cifar10/`), as texts;
        a column of the files counts instead of a folder of its name
    table : the rows of a CSV file
    """

    paths: tuple[Path, ...]
    starts: tuple[int, ...]
    schema: pl.Schema
    partition: Partition = ()
    table: pl.DataFrame | None = None

    def scan(self, first: int, stop: int) -> pl.LazyFrame:
        """Rows `first` to before `stop`, as far as they are here, with their numbers as `ROW`."""
        first, stop = max(first, self.starts[0]), min(stop, self.starts[-1])
        begin, end = bisect_right(self.starts, first) - 1, bisect_left(self.starts, stop)
        if self.table is None:
            rows = _scan(self.paths[begin:end], row=ROW)
        else:
            rows = self.table.lazy().with_row_index(ROW)
        return rows.slice(first - self.starts[begin], stop - first).with_columns(
            pl.col(ROW).cast(pl.Int64) + self.starts[begin],
            *(pl.lit(value, pl.String).alias(name) for name, value in self.partition),
        )

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """The outcome of a query on `scan`; a file that cannot be read is named."""
        try:
            return query.collect(engine="streaming")
        except (PolarsError, OSError) as error:
            for path in self.paths if self.table is None else ():
                _readable(path)
            raise _unreadable(self.paths[0], error) from None


@dataclass(frozen=True, slots=True)
class Files:
    """The rows of the files of a log.

    Attributes
    ----------
    stretches : one after the other, none of them empty
    schema : the columns of all of them, each with a type that holds the values of all
    ignored : columns left out, because `distortion.designs` derives what has their name
    """

    stretches: tuple[Stretch, ...]
    schema: pl.Schema
    ignored: tuple[str, ...]

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.stretches[-1].starts[-1] if self.stretches else 0

    def scan(self, first: int, stop: int) -> Iterator[tuple[Stretch, pl.LazyFrame]]:
        """Rows `first` to before `stop`, stretch by stretch: `ROW` and the columns of `schema`."""
        for stretch in self.stretches:
            if first < stretch.starts[-1] and stop > stretch.starts[0]:
                columns = {
                    name: pl.col(name) if name in stretch.schema else pl.lit(None)
                    for name in self.schema
                }
                typed = [
                    columns[name].cast(dtype).alias(name) for name, dtype in self.schema.items()
                ]
                yield stretch, stretch.scan(first, stop).select(ROW, *typed)

    def read(
        self, first: int, stop: int, kept: pl.Expr | None = None
    ) -> tuple[pl.DataFrame, pl.Series]:
        """Rows `first` to before `stop`, of them those `kept`, and the numbers of these rows.

        Raises LogError for a file that cannot be read.
        """
        tables = [
            stretch.collect(rows if kept is None else rows.filter(kept))
            for stretch, rows in self.scan(first, stop)
        ]
        table = pl.concat(tables, rechunk=True)
        return table.drop(ROW), table[ROW]


def find(name: str) -> list[Path]:
    """The files of a folder, those that match a pattern, or the one file of that name."""
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
    return files


def survey(paths: Sequence[Path]) -> Files:
    """Find the rows of files from what these say about themselves; only CSV files are read.

    Raises LogError if a file is neither Parquet nor CSV, cannot be read, or has a column whose
    type does not go together with that of another file.
    """
    stretches: list[Stretch] = []
    schemas: dict[tuple[object, ...], pl.Schema] = {}
    for (columns, folders, alone), group in groupby(paths, _layout):
        files = tuple(group)
        table = _read_csv(alone) if alone and alone.suffix == ".csv" else None
        inside = dict(columns) if table is None else dict(table.schema)
        partition = tuple((name, value) for name, value in folders if name not in inside)
        every = {**inside, **{name: pl.String() for name, _ in partition}}
        schema = schemas.setdefault(tuple(every.items()), pl.Schema(every))
        sizes = _sizes(files) if table is None else [table.height]
        filled = [(path, size) for path, size in zip(files, sizes, strict=True) if size]
        if filled:
            start = stretches[-1].starts[-1] if stretches else 0
            starts = tuple(accumulate((size for _, size in filled), initial=start))
            named = tuple(path for path, _ in filled)
            stretches.append(Stretch(named, starts, schema, partition, table))
    return Files(tuple(stretches), *_together(stretches))


def _layout(path: Path) -> tuple[Columns, Partition, Path | None]:
    """What the files of a stretch share: columns, columns in folders; itself if it stands alone.

    A CSV file does, and an object of a store, which is fetched whole and then let go.
    """
    pairs = [part.partition("=") for part in path.parts[:-1]]
    folders = tuple(
        (unquote(name), None if value == NO_VALUE else unquote(value))
        for name, sign, value in pairs
        if name and sign
    )
    if path.suffix == ".csv":
        return (), folders, path
    if path.suffix != ".parquet":
        raise LogError(
            f"{path} is neither Parquet nor CSV by its name. Logs have the suffix .parquet or .csv."
        )
    try:
        columns = tuple(pl.read_parquet_schema(readable(path)).items())
        return columns, folders, None if isinstance(path, Path) else path
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from None


def _together(stretches: Sequence[Stretch]) -> tuple[pl.Schema, tuple[str, ...]]:
    """The columns of a log and those left out of it."""
    if not stretches:
        return pl.Schema(), ()
    schemas = {id(stretch.schema): stretch.schema for stretch in stretches}
    try:
        # Shards may differ in optional columns, and an all-null column has no type of its own.
        empty = [pl.DataFrame(schema=schema) for schema in schemas.values()]
        every = pl.concat(empty, how="diagonal_relaxed")
    except PolarsError as error:
        raise LogError(
            f"The files do not make one table: {str(error).splitlines()[0]}. Write each column "
            "with one type in all of them."
        ) from None
    return every.drop(DERIVED, strict=False).schema, ignored(every.columns)


def _scan(
    paths: Sequence[Path], *, row: str | None = None, file: str | None = None
) -> pl.LazyFrame:
    """Parquet files as one table; `row` and `file` name columns that tell where a row is from."""
    return pl.scan_parquet(
        readable(paths[0]) if len(paths) == 1 else list(paths),
        glob=False,
        hive_partitioning=False,
        row_index_name=row,
        include_file_paths=file,
    )


def _sizes(paths: Sequence[Path]) -> list[int]:
    """The number of rows of each of some Parquet files with the same columns."""
    if len(paths) == 1:
        return [_scan(paths).select(pl.len()).collect().item()]
    rows = _scan(paths, file=FILE).group_by(FILE).agg(pl.len())
    sizes = dict(rows.collect(engine="streaming").iter_rows())
    found = [sizes.pop(str(path), 0) for path in paths]
    assert not sizes, f"rows of files not asked for: {list(sizes)[:3]}"
    return found


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(readable(path), infer_schema_length=None)
    except NoDataError:
        return pl.DataFrame()
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from None


def _readable(path: Path) -> None:
    """Raise LogError if a Parquet file cannot be read; its rows are not kept."""
    try:
        _scan([path]).select(pl.all().null_count()).collect(engine="streaming")
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> LogError:
    if path.with_suffix(".json").exists():
        hint = "Delete it and run the study again: only this network is computed anew."
    else:
        hint = "Export it again; CSV files are read as UTF-8 with commas."
    return LogError(
        f"{path} cannot be read; it may be truncated or of another format "
        f"({str(error).splitlines()[0]}). {hint}"
    )
