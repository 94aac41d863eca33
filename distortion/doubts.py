"""What makes every answer about a condition doubtful, whatever was asked of it."""

from typing import Final

import numpy as np
import polars as pl

from distortion.counts import Counts, accuracies
from distortion.designs import CONDITION

# Of what dense networks have over guessing the largest class, the share below which a network
# counts as no longer working.
LEFT: Final = 0.1
CHANCE: Final = "accuracy near chance"
COPIES: Final = "the networks are copies of one"


def doubts(conditions: list[Counts]) -> pl.DataFrame:
    """The CONDITION columns and `reserve` of conditions near chance or of copied networks."""
    found = [
        {**c.condition, "reserve": "; ".join(reasons)} for c in conditions if (reasons := _of(c))
    ]
    schema = {c: pl.Float64() if c == "ratio" else pl.String() for c in (*CONDITION, "reserve")}
    return pl.DataFrame(found, schema=schema)


def with_doubts(table: pl.DataFrame, reserves: pl.DataFrame) -> pl.DataFrame:
    """Add what `doubts` found to the `caveat` of the rows of these conditions."""
    both = table.join(reserves, on=CONDITION, how="left", maintain_order="left")
    texts = [pl.when(pl.col(c) != "").then(pl.col(c)) for c in ("caveat", "reserve")]
    caveat = pl.concat_str(texts, separator="; ", ignore_nulls=True)
    return both.with_columns(caveat=caveat).drop("reserve")


def _of(counts: Counts) -> list[str]:
    n = counts.n.sum(axis=1)
    chance = (counts.n.max(axis=1) / n).mean()
    before = accuracies(counts.dense, counts.n).mean() - chance
    after = accuracies(counts.correct, counts.n).mean() - chance
    reasons = [CHANCE] if before > 0 and after < LEFT * before else []
    if len(counts.seeds) > 1 and bool(np.all(counts.dense == counts.dense[0])):
        reasons.append(COPIES)
    return reasons
