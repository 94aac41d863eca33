"""Time and peak memory from partitioned Parquet to slopes, in batches and with all rows in memory.

python -m tests.benchmarks.streaming [--rows [ROWS ...]] [--shards [FILES ...]] [--limit GB]

Each way runs in a process of its own, which may take `--limit` GB of memory at most.
"""

import argparse
import json
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
WAYS = {
    "read_log": "ds.read_log(source).table",
    "in memory": "ds.slopes(ds.read_log(source))",
    "batches": "ds.slopes(source)",
}
# The limit is on data: address space is reserved in large parts that are never used.
CHILD = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
import distortion as ds
source, start = sys.argv[1], time.perf_counter()
table = {way}
took = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
found = dict(s=took, cpu=used.ru_utime + used.ru_stime, peak=used.ru_maxrss / 2**20)
print(json.dumps(found | dict(height=table.height, sum=table.hash_rows().sum())))
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
    rng: np.random.Generator,
    seeds: np.ndarray,
    cells: list[tuple[float, str]],
    classes: int = CLASSES,
) -> pl.DataFrame:
    recall = 1 / (1 + np.exp(-rng.normal(1.5, 0.8, (len(seeds), len(cells), classes))))
    repeated = len(cells) * classes
    return pl.DataFrame(
        {
            "seed": np.repeat(seeds, repeated),
            "ratio": np.tile(np.repeat([ratio for ratio, _ in cells], classes), len(seeds)),
            "arm": np.tile(np.repeat([arm for _, arm in cells], classes), len(seeds)),
            "class_id": np.tile(np.arange(classes), len(seeds) * len(cells)),
            "correct": rng.binomial(IMAGES, recall).ravel(),
        }
    ).with_columns(dataset=pl.lit("simulated"), n=pl.lit(IMAGES))


def write_shards(folder: Path, shards: int, classes: int = 10) -> int:
    """Write one network per file, as runners do; return how many rows."""
    rng = np.random.default_rng(0)
    method = np.repeat([method for method, _, _ in CELLS], classes)
    for seed in range(shards):
        table = _cells(rng, np.array([seed]), [cell[1:] for cell in CELLS], classes)
        table = table.with_columns(model=pl.lit("net"), method=method)
        table.write_parquet(folder / f"{seed:09}.parquet", compression="zstd")
    return shards * len(method)


def measured(way: str, folder: Path, limit: float) -> dict[str, float] | None:
    """Rows found, time and memory taken, a checksum; None if `limit` GB are too few."""
    limit_bytes = str(int(limit * 2**30))
    child = [sys.executable, "-c", CHILD.format(way=WAYS[way]), str(folder), limit_bytes]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        assert "alloc" in done.stderr or "memory" in done.stderr.lower(), done.stderr
        return None
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print one line per log and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="*", default=[5e6], help="partitioned logs")
    parser.add_argument("--shards", type=int, nargs="*", default=[], help="folders of so many")
    parser.add_argument("--limit", type=float, default=8.0, help="GB of memory")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    asked = parser.parse_args()
    logs = [(write_log, int(rows)) for rows in asked.rows]
    logs += [(write_shards, shards) for shards in asked.shards]
    print(f"polars {pl.__version__}, {pl.thread_pool_size()} threads, at most {asked.limit:g} GB")
    print(f"{'rows':>12} {'files':>7} {'way':>10} {'s':>7} {'CPU s':>7} {'peak GB':>8}")
    for write, size in logs:
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            rows = write(Path(name), size)
            files = len(list(Path(name).rglob("*.parquet")))
            found = {way: measured(way, Path(name), asked.limit) for way in WAYS}
        for way, line in found.items():
            last = "{s:>7.1f} {cpu:>7.1f} {peak:>8.2f}".format(**line) if line else "out of memory"
            print(f"{rows:>12,} {files:>7,} {way:>10} {last:>24}", flush=True)
        sums = {line["sum"] for way, line in found.items() if line and way != "read_log"}
        assert len(sums) <= 1, "the two ways differ"


if __name__ == "__main__":
    main()
