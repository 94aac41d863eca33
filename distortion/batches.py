"""A log in batches of whole networks, so that one of any length is worked through in little memory.

Everything that is checked or paired row by row stays within a network, so a batch of networks is a
log of its own. The rows of a network need not stand together: they may be spread over files, as by
method. A first pass therefore reads only the columns that name networks, and notes for each
network in which chunks of rows it occurs; then batch after batch reads its ranges of rows.
"""

from collections.abc import Iterator

import polars as pl

from distortion.columns import network_hash
from distortion.files import ROW, Files

# Rows of a batch; with what is derived from them, a row takes some 400 bytes. A larger network
# is a batch of its own.
BATCH = 1 << 20


def batches(files: Files) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
    """Tables of whole networks, about `BATCH` rows each, and the numbers of their rows in the log.

    Networks come in the order in which they first appear, and the rows of a batch as in the log.
    """
    if files.height <= BATCH:
        yield files.read(0, files.height)
        return
    network = network_hash(files.schema)
    chunks = _chunks(files, network)
    sizes = chunks.group_by("network").agg(pl.col("first").min(), pl.col("rows").sum())
    batch_of = sizes.sort("first").select("network", batch=(pl.col("rows").cum_sum() - 1) // BATCH)
    plan = (
        chunks.join(batch_of, on="network")
        .group_by("batch", "chunk")
        .agg("network", pl.col("first").min(), pl.col("last").max(), pl.col("rows").sum())
        .sort("batch", "chunk")
    )
    for _, planned in plan.group_by("batch", maintain_order=True):
        tables, numbers = [], []
        ranges = planned.select("first", pl.col("last") + 1, "rows", "network")
        for first, stop, wanted, networks in ranges.iter_rows():
            alone = stop - first == wanted
            members = network.is_in(pl.Series(networks, dtype=pl.UInt64).implode())
            table, row = files.read(first, stop, None if alone else members)
            tables.append(table)
            numbers.append(row)
        yield pl.concat(tables), pl.concat(numbers)


def _chunks(files: Files, network: pl.Expr) -> pl.DataFrame:
    """Of each network in each chunk of `BATCH` rows: its first row, its last, their number."""
    row = pl.col(ROW)
    found = [
        stretch.collect(
            rows.select(ROW, network=network)
            .group_by("network", chunk=row // BATCH)
            .agg(first=row.min(), last=row.max(), rows=pl.len())
        )
        for stretch, rows in files.scan(0, files.height)
    ]
    return pl.concat(found)
