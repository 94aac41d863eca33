"""Logs for tests: the paper's worked example and simulated studies with planted slopes."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def cell(
    correct: Sequence[int],
    n: int | Sequence[int] = 10,
    *,
    method: str = "none",
    ratio: float = 1.0,
    arm: str = "dense",
    seed: int = 0,
    **more: object,
) -> pl.DataFrame:
    """Rows of one cell from its counts."""
    classes = len(correct)
    support = [n] * classes if isinstance(n, int) else list(n)
    fixed = {"dataset": "toy", "model": "net", "seed": seed, "method": method, "ratio": ratio}
    fixed |= {"arm": arm} | more
    return pl.DataFrame(
        {name: [value] * classes for name, value in fixed.items()}
        | {"class_id": list(range(classes)), "n": support, "correct": list(correct)}
    )


def worked_example() -> pl.DataFrame:
    """Accuracy .8 with recalls (.9, .7), then .6 with (.7, .5): B̄ = ±1/8, ±1/6, α = 4/3."""
    return pl.concat([cell([9, 7]), cell([7, 5], method="magnitude", ratio=2.0, arm="finetuned")])


def planted(
    rng: np.random.Generator,
    slopes: dict[float, float],
    *,
    networks: int = 10,
    classes: int = 10,
    noise: float = 0.004,
    n: int = 10_000,
    methods: Sequence[str] = ("magnitude",),
    control: float | None = None,
    accuracy: float = 0.85,
    dataset: str = "planted",
    model: str = "net",
) -> pl.DataFrame:
    """A study in which B̄ after pruning is `slopes[ratio]` times B̄ before, plus noise.

    Supports are large, so rounding to counts does not disturb the planted slopes; noise is
    centred over classes, as it is on a balanced test set.
    """
    before = np.linspace(-0.08, 0.08, classes)
    tables = []
    for seed in range(networks):
        base = before + _centred(rng, classes, noise)
        tables.append(_counts(base, accuracy, n, seed, "none", 1.0, "dense", dataset, model))
        cells = [(m, r, s, "finetuned") for m in methods for r, s in slopes.items()]
        if control is not None:
            cells.append(("none", 1.0, control, "control"))
        for method, ratio, slope, arm in cells:
            after = slope * base + _centred(rng, classes, noise)
            tables.append(
                _counts(after, accuracy - 0.1, n, seed, method, ratio, arm, dataset, model)
            )
    return pl.concat(tables)


def _centred(rng: np.random.Generator, size: int, sd: float) -> np.ndarray:
    draw = rng.normal(0, sd, size)
    return draw - draw.mean()


def _counts(
    balance: np.ndarray,
    accuracy: float,
    n: int,
    seed: int,
    method: str,
    ratio: float,
    arm: str,
    dataset: str,
    model: str,
) -> pl.DataFrame:
    correct = np.rint(n * accuracy * (1 + balance)).astype(int)
    table = cell(correct.tolist(), n, method=method, ratio=ratio, arm=arm, seed=seed)
    return table.with_columns(dataset=pl.lit(dataset), model=pl.lit(model))
