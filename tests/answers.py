"""Predictions for tests: networks that err on the same images more or less often."""

import numpy as np
import polars as pl

CONDITIONS = [("none", 1.0, "dense"), ("none", 1.0, "control"), ("magnitude", 2.0, "finetuned")]


def answers(
    seed: int = 0,
    *,
    networks: int = 6,
    classes: int = 4,
    n: int = 60,
    shared: float = 0.0,
    wrong: float = 0.3,
    conditions: list[tuple[str, float, str]] = CONDITIONS,
) -> pl.DataFrame:
    """Predictions in lists; `shared` is the share of errors that all networks make together."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    together = rng.random(n) < wrong * (1 + labels / classes)
    rows = []
    for network in range(networks):
        for method, ratio, arm in conditions:
            alone = rng.random(n) < wrong * (1 + labels / classes)
            errs = np.where(rng.random(n) < shared, together, alone)
            predicted = np.where(errs, rng.integers(0, classes, n), labels)
            rows.append(
                {"dataset": "toy", "model": "net", "seed": network, "method": method}
                | {"ratio": ratio, "arm": arm, "labels": labels.tolist()}
                | {"predicted": predicted.tolist()}
            )
    return pl.DataFrame(rows)


def long(table: pl.DataFrame) -> pl.DataFrame:
    """The same with one row per cell and image, in a random order."""
    images = pl.int_ranges(pl.col("labels").list.len()).alias("image")
    rows = table.with_columns(images).explode("labels", "predicted", "image")
    return rows.rename({"labels": "label"}).sample(fraction=1, shuffle=True, seed=1)
