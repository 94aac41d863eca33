"""What training in bfloat16 does to recall: the same networks, seed by seed, in both precisions.

python -m tests.benchmarks.precision [--study digits] [--seeds 30] [--device cuda] [--data FOLDER]

Differences are those of pairs with the same seed, bfloat16 minus float32, with the standard error
over seeds; beside them what another seed does, as the standard deviation of such a difference.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import polars as pl
import torch

import distortion as ds
from runners.datasets import load
from runners.nets import build
from runners.networkrun import run_networks
from runners.report import silent
from runners.study import NetworkSpec
from runners.studyfile import read_study
from runners.tuning import choose
from runners.worker import set_up

ROOT = Path(__file__).parents[2]
KEY = ["model", "arm", "method", "ratio"]


def rows(networks: list[NetworkSpec], device: torch.device, root: Path) -> pl.DataFrame:
    """The log of networks, model by model."""
    tables = []
    for label in sorted({network.model.label for network in networks}):
        group = [network for network in networks if network.model.label == label]
        data = load(group[0].dataset, group[0].split_seed, root, torch.device("cpu")).to(device)
        model = group[0].model
        net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
        backend, _ = choose("grouped", net, data, group[0].recipe, device, 1)
        for _, result in run_networks(group, data, backend, lambda _: silent):
            if isinstance(result, Exception):
                raise result
            tables.append(result[0])
    return pl.concat(tables)


def compared(low: pl.DataFrame, full: pl.DataFrame, value: str) -> pl.DataFrame:
    """Mean paired difference of a value by arm, its standard error, and that of other seeds."""
    both = full.join(low, on=[*KEY, "seed"], suffix="_low").filter(
        pl.col(value).is_finite() & pl.col(f"{value}_low").is_finite()
    )
    by_seed = both.group_by("arm", "seed").agg(
        (pl.col(f"{value}_low") - pl.col(value)).mean().alias("difference"),
    )
    spread = both.group_by(*KEY).agg(pl.std(value).alias("sd")).group_by("arm")
    other = spread.agg((pl.col("sd").pow(2).mean() * 2).sqrt().alias("of another seed"))
    means = by_seed.group_by("arm").agg(
        pl.mean("difference"),
        (pl.std("difference") / pl.len().sqrt()).alias("standard error"),
        pl.len().alias("seeds"),
    )
    return means.join(other, on="arm").sort("arm")


def main() -> None:
    """Print the differences in accuracy, in the recall of the worst class and in the slope."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="digits")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    set_up(torch.device(given.device))
    first = read_study(given.study).networks[0]
    networks = [
        replace(network, seed=seed)
        for network in read_study(given.study).networks
        if network.seed == first.seed
        for seed in range(given.seeds)
    ]
    logs = {}
    for precision in ("float32", "bfloat16"):
        recipes = [replace(network.recipe, precision=precision) for network in networks]
        # the same name, so the same random streams
        used = [replace(n, recipe=r) for n, r in zip(networks, recipes, strict=True)]
        logs[precision] = ds.slopes(rows(used, torch.device(given.device), given.data))
    pl.Config.set_tbl_formatting("ASCII_MARKDOWN").set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True).set_float_precision(4)
    for value in ("accuracy", "worst_recall", "alpha"):
        print(f"\n{value}\n{compared(logs['bfloat16'], logs['float32'], value)}")


if __name__ == "__main__":
    main()
