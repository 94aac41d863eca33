"""Time and memory from rows in memory to slopes, by number of rows.

python tests/benchmarks/slopes.py [ROWS ...]      default: 100 thousand, 1 million, 10 million
"""

import resource
import sys
import time

import numpy as np
import polars as pl

import distortion as ds

CLASSES, IMAGES = 10, 1000
METHODS = ("magnitude", "gradient", "undecayed", "random")
RATIOS = (2.0, 4.0, 10.0, 20.0, 50.0)


def simulated(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """A log of about `rows` rows: all arms of all methods and ratios of many networks."""
    cells = [("none", 1.0, "dense"), ("none", 1.0, "control")]
    cells += [(m, r, a) for m in METHODS for r in RATIOS for a in ("pruned", "finetuned")]
    networks = max(1, rows // (len(cells) * CLASSES))
    recall = 1 / (1 + np.exp(-rng.normal(2.2, 0.8, (networks, len(cells), CLASSES))))

    def spread(values: list[object], repeat: int) -> np.ndarray:
        return np.tile(np.repeat(values, repeat), networks)

    return pl.DataFrame(
        {
            "seed": np.repeat(np.arange(networks), len(cells) * CLASSES),
            "method": spread([m for m, _, _ in cells], CLASSES),
            "ratio": spread([r for _, r, _ in cells], CLASSES),
            "arm": spread([a for _, _, a in cells], CLASSES),
            "class_id": np.tile(np.arange(CLASSES), networks * len(cells)),
            "correct": rng.binomial(IMAGES, recall).ravel(),
        }
    ).with_columns(dataset=pl.lit("simulated"), model=pl.lit("net"), n=pl.lit(IMAGES))


def main() -> None:
    """Print one line per size; sizes ascend, so peak memory belongs to its own line."""
    sizes = [int(arg) for arg in sys.argv[1:]] or [100_000, 1_000_000, 10_000_000]
    print(f"polars {pl.__version__}, {pl.thread_pool_size()} threads")
    print(f"{'rows':>12} {'read_log s':>11} {'slopes s':>9} {'peak GB':>8}")
    for rows in sorted(sizes):
        table = simulated(rows, np.random.default_rng(0))
        start = time.perf_counter()
        log = ds.read_log(table)
        read = time.perf_counter()
        ds.slopes(log)
        done = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{table.height:>12,} {read - start:>11.2f} {done - read:>9.2f} {peak:>8.2f}")


if __name__ == "__main__":
    main()
