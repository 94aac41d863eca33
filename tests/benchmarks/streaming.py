"""Time and peak memory from partitioned Parquet to slopes, in batches and with all rows in memory.

python -m tests.benchmarks.streaming [--rows ROWS ...] [--limit GB] [--folder FOLDER]

Each way runs in a process of its own, which may take `--limit` GB of memory at most.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

CLASSES, IMAGES = 1000, 50
METHODS = ("magnitude", "gradient", "undecayed", "random")
RATIOS = (2.0, 4.0, 10.0, 20.0, 50.0)
CELLS = [("none", 1.0, "dense"), ("none", 1.0, "control")]
CELLS += [(m, r, a) for m in METHODS for r in RATIOS for a in ("pruned", "finetuned")]
WAYS = {"batches": "ds.slopes(source)", "in memory": "ds.slopes(ds.read_log(source))"}
# The limit is on data: address space is reserved in large parts that are never used.
CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
import distortion as ds
source, start = sys.argv[1], time.perf_counter()
slopes = {way}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(slopes.height, time.perf_counter() - start, peak, slopes.hash_rows().sum())
"""


def write_log(folder: Path, rows: int, networks: int = 20) -> int:
    """Write about `rows` rows as `model=/method=/`, some networks at a time; return how many.

    The dense rows of a network stand in another file than its pruned ones.
    """
    rng = np.random.default_rng(0)
    seeds = max(1, rows // (len(CELLS) * CLASSES))
    for first in range(0, seeds, networks):
        here = np.arange(first, min(first + networks, seeds))
        for method in ("none", *METHODS):
            cells = [(ratio, arm) for m, ratio, arm in CELLS if m == method]
            table = _cells(rng, here, cells)
            path = folder / "model=net" / f"method={method}" / f"{first:09}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.write_parquet(path, compression="zstd")
    return seeds * len(CELLS) * CLASSES


def _cells(
    rng: np.random.Generator, seeds: np.ndarray, cells: list[tuple[float, str]]
) -> pl.DataFrame:
    recall = 1 / (1 + np.exp(-rng.normal(1.5, 0.8, (len(seeds), len(cells), CLASSES))))
    repeated = len(cells) * CLASSES
    return pl.DataFrame(
        {
            "seed": np.repeat(seeds, repeated),
            "ratio": np.tile(np.repeat([ratio for ratio, _ in cells], CLASSES), len(seeds)),
            "arm": np.tile(np.repeat([arm for _, arm in cells], CLASSES), len(seeds)),
            "class_id": np.tile(np.arange(CLASSES), len(seeds) * len(cells)),
            "correct": rng.binomial(IMAGES, recall).ravel(),
        }
    ).with_columns(dataset=pl.lit("simulated"), n=pl.lit(IMAGES))


def slopes_in(way: str, folder: Path, limit: float) -> list[str] | None:
    """Cells, seconds, peak GB and a checksum of one way; None if `limit` GB are too few."""
    child = [
        sys.executable,
        "-c",
        CHILD.format(way=WAYS[way]),
        str(folder),
        str(int(limit * 2**30)),
    ]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "alloc" in done.stderr or "memory" in done.stderr.lower(), done.stderr
        return None
    return done.stdout.split()


def main() -> None:
    """Print one line per size and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="+", default=[5e6])
    parser.add_argument("--limit", type=float, default=8.0, help="GB of memory")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    asked = parser.parse_args()
    print(f"polars {pl.__version__}, {pl.thread_pool_size()} threads, at most {asked.limit:g} GB")
    print(f"{'rows':>12} {'on disk MB':>10} {'way':>10} {'cells':>9} {'s':>7} {'peak GB':>8}")
    for size in asked.rows:
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            folder = Path(name)
            rows = write_log(folder, int(size))
            disk = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 2**20
            found = {way: slopes_in(way, folder, asked.limit) for way in WAYS}
        for way, line in found.items():
            cells, seconds, peak, _ = line or ("-", "nan", "nan", "")
            last = f"{cells:>9} {float(seconds):>7.1f} {float(peak):>8.2f}"
            print(f"{rows:>12,} {disk:>10.0f} {way:>10} {last if line else 'out of memory':>26}")
        sums = {line[-1] for line in found.values() if line}
        assert len(sums) <= 1, "the two ways differ"


if __name__ == "__main__":
    main()
