"""Tables for the benchmarks of models, from a seed: pruning logs, crossed raters, counts.

python -m tests.benchmarks.models.simulate [NAME ...]

writes build/benchmarks/models/NAME.{parquet,csv}.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

FOLDER = Path("build/benchmarks/models")
GOLDEN = Path("../shared/golden")
SEED = 20240817
METHODS = ("magnitude", "random", "snip", "taylor")
RATIOS = (2.0, 4.0, 8.0, 16.0, 32.0)
DIFFICULTY = (0.12, 0.30, 0.55)
COMPLEXITY = (5.4, 6.3, 7.0, 7.4, 7.8)


def log(networks: int, classes: int, cells: int, *, support: int = 1000) -> pl.DataFrame:
    """A pruning log with `cells` of its network × method × ratio cells, the others missing.

    Planted: slope 0.60 + 0.12 log2(ratio) + 0.50 difficulty − 0.05 complexity, network SD 0.15,
    class SD 0.04, noise 0.05, and binomial sampling of `support` images per class.
    """
    rng = np.random.default_rng(SEED)
    methods, ratios = np.meshgrid(np.arange(len(METHODS)), RATIOS, indexing="ij")
    settings = methods.size
    difficulty = np.array(DIFFICULTY)[np.arange(networks) % len(DIFFICULTY)]
    complexity = np.array(COMPLEXITY)[np.arange(networks) // len(DIFFICULTY) % len(COMPLEXITY)]
    dense = rng.normal(0, 0.14, classes) + rng.normal(0, 0.03, (networks, classes))
    dense -= dense.mean(axis=1, keepdims=True)
    slope = (0.60 + 0.50 * difficulty - 0.05 * complexity + rng.normal(0, 0.15, networks))[:, None]
    slope = slope + 0.12 * np.log2(ratios).ravel()
    balance = slope[:, :, None] * dense[:, None, :] + rng.normal(0, 0.04, classes)
    balance += rng.normal(0, 0.05, balance.shape)
    accuracy = (0.80 - 0.03 * np.log2(ratios).ravel())[None, :, None]
    correct = rng.binomial(support, np.clip(accuracy * (1 + balance), 0.01, 0.99))
    recall = correct / support
    balance = recall / recall.mean(axis=2, keepdims=True) - 1
    kept = np.sort(rng.permutation(networks * settings)[:cells])
    network, setting = np.divmod(kept, settings)

    def per_cell(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, classes)

    return pl.DataFrame(
        {
            "network": per_cell(network),
            "method": per_cell(np.array(METHODS)[methods.ravel()[setting]]),
            "log2_ratio": per_cell(np.log2(ratios).ravel()[setting]),
            "class_id": np.tile(np.arange(classes), cells),
            "n": np.full(cells * classes, support),
            "correct": correct[network, setting].ravel(),
            "balance_dense": dense[network].ravel(),
            "balance": balance[network, setting].ravel(),
            "difficulty": per_cell(difficulty[network]),
            "complexity": per_cell(complexity[network]),
        }
    )


def crossed(raters: int, items: int, rows: int) -> pl.DataFrame:
    """Ratings by random pairs: y = 1 + 0.5 x + rater (SD 0.5) + item (SD 0.3) + noise (SD 1)."""
    rng = np.random.default_rng(SEED)
    rater, item = rng.integers(raters, size=rows), rng.integers(items, size=rows)
    x = rng.normal(size=rows)
    effects = rng.normal(0, 0.5, raters)[rater] + rng.normal(0, 0.3, items)[item]
    y = 1 + 0.5 * x + effects + rng.normal(size=rows)
    return pl.DataFrame({"rater": rater, "item": item, "x": x, "y": y})


def counts(networks: int, classes: int, cells: int) -> pl.DataFrame:
    """The log with counts that follow a logit model: network SD 0.3, class SD 0.8."""
    table = log(networks, classes, cells, support=100)
    rng = np.random.default_rng(SEED)
    network, class_id = table["network"].to_numpy(), table["class_id"].to_numpy()
    steeper = (table["method"] == "random").to_numpy()
    logit = 2.5 - (0.25 + 0.15 * steeper) * table["log2_ratio"].to_numpy()
    logit = logit + rng.normal(0, 0.3, networks)[network] + rng.normal(0, 0.8, classes)[class_id]
    correct = rng.binomial(100, 1 / (1 + np.exp(-logit)))
    return table.select("network", "class_id", "method", "log2_ratio", "n").with_columns(
        correct=pl.Series(correct), rate=pl.Series(correct / 100)
    )


def grown(rows: int, levels: int, terms: int) -> pl.DataFrame:
    """`terms` covariates x0, x1 ..., a group g of so many levels, a group h of 50."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(rows, terms))
    g, h = rng.integers(levels, size=rows), rng.integers(50, size=rows)
    y = x @ np.linspace(0.5, -0.5, terms) + rng.normal(0, 0.5, levels)[g] + rng.normal(size=rows)
    y += rng.normal(0, 0.3, levels)[g] * x[:, 0] + rng.normal(0, 0.4, 50)[h]
    columns = {f"x{i}": x[:, i] for i in range(terms)}
    return pl.DataFrame({"y": y, "g": g, "h": h} | columns)


def insteval() -> pl.DataFrame:
    """73,421 lecture ratings of lme4, from ../shared or from R."""
    if (stored := GOLDEN / "InstEval.csv.gz").exists():
        return pl.read_csv(stored, schema_overrides={"service": pl.String})
    return from_r("InstEval", {"service": pl.String})


def verbagg() -> pl.DataFrame:
    """7,584 yes-or-no answers of lme4's VerbAgg, from R."""
    table = from_r("VerbAgg", {})
    return table.with_columns(yes=(pl.col("r2") == "Y").cast(pl.Int64))


def from_r(name: str, types: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """A data set of the R package lme4."""
    script = f"write.csv(lme4::{name}, stdout(), row.names = FALSE)"
    out = subprocess.run(["Rscript", "-e", script], capture_output=True, check=True).stdout
    return pl.read_csv(out, schema_overrides=types)


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "log-6k": lambda: log(30, 10, 592),
    "log-150k": lambda: log(75, 100, 1471),
    "log-1.5m": lambda: log(75, 1000, 1472),
    "crossed": lambda: crossed(5000, 2000, 200_000),
    "counts-150k": lambda: counts(75, 100, 1471),
    "insteval": insteval,
    "verbagg": verbagg,
}


def written(name: str) -> Path:
    """Path of the table's Parquet file, made on first use; the CSV beside it is for R.

    `grown-ROWS-LEVELS-TERMS` is a table of `grown`.
    """
    path = FOLDER / f"{name}.parquet"
    if not path.with_suffix(".csv").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        made = TABLES.get(name) or (lambda: grown(*map(int, name.split("-")[1:])))
        table = made()
        table.write_parquet(path)
        table.write_csv(path.with_suffix(".csv"))
    return path


if __name__ == "__main__":
    for asked in sys.argv[1:] or TABLES:
        print(written(asked))
