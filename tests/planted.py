"""Logs with planted answers for the tests of the report."""

from collections.abc import Sequence

import numpy as np
import polars as pl

RATIOS = (2.0, 4.0, 10.0, 20.0, 50.0)


def planted_log(
    *,
    datasets: Sequence[str] = ("digits",),
    models: Sequence[str] = ("small", "large"),
    methods: Sequence[str] = ("magnitude", "random"),
    ratios: Sequence[float] = RATIOS,
    seeds: int = 6,
    arms: Sequence[str] = ("dense", "control", "pruned", "finetuned"),
    slopes: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    n_classes: int = 10,
    support: Sequence[int] | int = 400,
    shuffled: Sequence[str] = (),
    spread: float = 0.06,
) -> pl.DataFrame:
    """A log whose slope at each ratio is about `slopes` (default: 0.9 to 1.9).

    Methods in `shuffled` lose the pattern of the dense network and spread three times as wide.
    """
    rng = np.random.default_rng(1)
    steps = np.linspace(0.9, 1.9, len(ratios)) if slopes is None else slopes
    wanted = dict(zip(ratios, steps, strict=True))
    size = len(class_names) if class_names is not None else n_classes
    n = np.broadcast_to(support, size)
    frames = []
    for dataset in datasets:
        for model in models:
            pattern = np.linspace(-spread, spread, size)
            for seed in range(seeds):
                dense = pattern + rng.normal(0, spread / 12, size)

                def cell(
                    arm, method, ratio, balance, accuracy, dataset=dataset, model=model, seed=seed
                ):
                    recall = np.clip(accuracy * (1 + balance - balance.mean()), 0, 1)
                    frame = pl.DataFrame(
                        {
                            "study": "planted",
                            "dataset": dataset,
                            "model": model,
                            "seed": seed,
                            "method": method,
                            "ratio": float(ratio),
                            "arm": arm,
                            "class_id": np.arange(size),
                            "n": n.astype(np.int64),
                            "correct": np.round(recall * n).astype(np.int64),
                            "n_params": 10_000,
                            "n_remaining": int(10_000 / ratio),
                        }
                    )
                    if class_names is not None:
                        frame = frame.with_columns(class_name=pl.Series(list(class_names)))
                    frames.append(frame)

                def noise():
                    return rng.normal(0, spread / 15, size)

                if "dense" in arms:
                    cell("dense", "none", 1, dense, 0.88)
                if "control" in arms:
                    cell("control", "none", 1, dense + noise(), 0.885)
                for method in methods:
                    for ratio in ratios:
                        lost = 0.03 * np.log2(ratio) / 2
                        balance = wanted[ratio] * dense + noise()
                        if method in shuffled:
                            balance = 3 * spread * rng.normal(0, 1, size) * np.log2(ratio) / 3
                        if "pruned" in arms:
                            cell("pruned", method, ratio, 1.4 * balance, 0.85 - 2 * lost)
                        if "finetuned" in arms:
                            cell("finetuned", method, ratio, balance, 0.88 - lost)
    return pl.concat(frames)
