"""Time, memory and bytes of stored predictions: 10 networks, 62 cells each, 10,000 images.

python -m tests.benchmarks.joint
"""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import distortion as ds
from distortion.log import PREDICTIONS, write_shard
from tests.answers import answers
from tests.logs import worked_example

NETWORKS, IMAGES, DRAWS = 10, 10_000, 1000
METHODS, RATIOS = 6, 10
CONDITIONS = [("none", 1.0, "dense"), ("none", 1.0, "control")] + [
    (f"method {m}", float(r), "finetuned") for m in range(METHODS) for r in range(2, 2 + RATIOS)
]


def timed(what: str, function: Callable[[], Any]) -> Any:
    start, used = time.perf_counter(), time.process_time()
    result = function()
    wall, spent = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:<45} {wall:7.2f} s, {spent:7.2f} s of processors, peak {peak:.2f} GB", flush=True)
    return result


def main() -> None:
    # Ten classes; a network is wrong on some 10 % of the images, half of them those of all.
    table = answers(
        networks=NETWORKS, classes=10, n=IMAGES, shared=0.5, wrong=0.07, conditions=CONDITIONS
    ).with_columns(pl.col("labels", "predicted").cast(pl.List(pl.UInt8)))
    with tempfile.TemporaryDirectory() as folder:
        for seed, network in enumerate(table.partition_by("seed", maintain_order=True)):
            write_shard(worked_example(), {}, Path(folder), f"{seed}", network)
        size = sum(path.stat().st_size for path in Path(folder).glob(f"*{PREDICTIONS}"))
        cells = table.height
        print(
            f"{size / NETWORKS / 1e6:.2f} MB per network, {size / cells / IMAGES:.2f} B per image"
        )
        read = timed("read, check and count", lambda: ds.read_predictions(folder))
    counted = ds.read_log(ds.recount(read))
    options = {"predictions": read, "source": "both", "draws": DRAWS, "rng": 1}
    some = ["alpha", "kappa", "rho", "worst_recall", "recall_range"]
    timed(
        f"five measures, {DRAWS:,} draws", lambda: ds.inequality(counted, measures=some, **options)
    )
    timed(f"all measures, {DRAWS:,} draws", lambda: ds.inequality(counted, **options))
    timed("exemplars of 61 conditions", lambda: ds.exemplar_shares(read))


if __name__ == "__main__":
    main()
