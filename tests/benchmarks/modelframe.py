"""Time and memory from a formula and rows in memory to all chunks of the model.

python tests/benchmarks/modelframe.py [NETWORKS]      default: 975, 1.47 million rows
"""

import sys
import time
from pathlib import Path

import formulaic  # noqa: F401  what follows is timed after imports
import numpy as np
import polars as pl

from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import model_frame

FORMULA = (
    "balance ~ balance_dense * (log2_ratio + difficulty + complexity)"
    " + (0 + balance_dense | network) + (1 | class_id)"
)
CLASSES, CELLS = 100, 15


def simulated(networks: int, rng: np.random.Generator) -> pl.DataFrame:
    """Pairs of `networks` networks; what they hold does not matter here."""
    rows = networks * CELLS * CLASSES
    numbers = ("balance", "balance_dense", "log2_ratio", "difficulty", "complexity")
    return pl.DataFrame(
        {name: rng.normal(size=rows) for name in numbers}
        | {
            "network": np.repeat(np.arange(networks), CELLS * CLASSES),
            "class_id": np.tile(np.arange(CLASSES), networks * CELLS),
        }
    )


def resident() -> float:
    """Memory of this process, in MB."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 1e6


def run(table: pl.DataFrame) -> tuple[float, float]:
    """Return milliseconds, and the MB of memory that were added at most."""
    before = most = resident()
    start = time.perf_counter()
    for _ in model_frame(parse(FORMULA), table).chunks():
        most = max(most, resident())
    return 1e3 * (time.perf_counter() - start), most - before


def main() -> None:
    """Print the first and the best of five runs, for each kind of grouping column."""
    networks = int(sys.argv[1]) if len(sys.argv) > 1 else 975
    print(f"polars {pl.__version__}, {pl.thread_pool_size()} threads")
    print(f"{'rows':>12} {'groups':>8} {'first ms':>9} {'best ms':>8} {'added MB':>9}")
    for count in (4, networks):
        table = simulated(count, np.random.default_rng(0))
        texts = table.with_columns(
            pl.format("network-{}", "network").alias("network"),
            pl.format("class-{}", "class_id").alias("class_id"),
        )
        for kind, given in (("numbers", table), ("texts", texts)):
            runs = [run(given) for _ in range(6)]
            times, added = zip(*runs, strict=True)
            print(
                f"{given.height:>12,} {kind:>8} {times[0]:>9.1f} {min(times[1:]):>8.1f} "
                f"{max(added):>9.0f}"
            )


if __name__ == "__main__":
    main()
