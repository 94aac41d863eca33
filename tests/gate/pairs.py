"""Logs of paired networks with planted losses, for the tests of the gate."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from tests.logs import cell


def paired_log(
    counts: Sequence[tuple[int, int, int, int]],
    *,
    method: str = "magnitude",
    ratio: float = 4.0,
    seed: int = 0,
    kept: bool = True,
    **more: object,
) -> pl.DataFrame:
    """One network from the counts (kept, lost, gained, neither) of its classes."""
    table = np.array(counts)
    n = table.sum(axis=1).tolist()
    dense = (table[:, 0] + table[:, 1]).tolist()
    after = (table[:, 0] + table[:, 2]).tolist()
    before = cell(dense, n, seed=seed, **more)
    cells = cell(after, n, method=method, ratio=ratio, arm="finetuned", seed=seed, **more)
    if kept:
        before = before.with_columns(kept=pl.col("correct"))
        cells = cells.with_columns(kept=pl.Series(table[:, 0]))
    return pl.concat([before, cells])


def drawn(
    rng: np.random.Generator,
    n: int,
    recall: Sequence[float],
    drop: Sequence[float],
    gain: float,
) -> list[tuple[int, int, int, int]]:
    """Counts of classes whose recall truly falls by `drop`, with a share `gain` newly correct."""
    counts = []
    for r, d in zip(recall, drop, strict=True):
        lost = d + gain
        p = [r - lost, lost, gain, 1 - r - gain]
        counts.append(tuple(int(k) for k in rng.multinomial(n, p)))
    return counts
