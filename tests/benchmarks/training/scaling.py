"""How the time of our runners and of the clean loop grows with seeds, ratios and network size.

python -m tests.benchmarks.training.scaling [--rounds 3] [-o docs/runners-scaling]

Processor time of one thread, least of all rounds, the two taking turns. Seeds and ratios: the
small network of the digits study, three epochs of training and of fine-tuning. Size: eight
networks without pruning on random images, per image. The runners' back-end is the one that `auto`
chooses. Writes OUT.csv and OUT.svg.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from distortion.figures import style
from runners.backends import Backend
from runners.datasets import Dataset
from runners.nets import build
from runners.study import ModelSpec, NetworkSpec
from runners.tuning import AUTO, choose
from tests.benchmarks.backends import noise
from tests.benchmarks.training import clean, ours
from tests.benchmarks.training.__main__ import ROOT
from tests.benchmarks.training.cases import CASES, CPU
from tests.benchmarks.training.flops import flop_per_image
from tests.benchmarks.training.work import Done

CLEAN, OURS = "clean loop", "our runners"
SEEDS = RATIOS = (1, 2, 4, 8, 16, 32)
SHAPES = {"mlp": (1, 8, 8), "lenet": (1, 28, 28), "resnet20": (3, 32, 32)}
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
WIDTHS = (32, 128, 512, 2048)
UNITS = {
    "seeds": ("seeds", "seconds"),
    "ratios": ("ratios, two seeds", "seconds"),
    "size": ("FLOP of an image, forward and backward", "µs per image and network"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """Work at one place of an axis; `images` is what its time is divided by, 1 if it is not."""

    axis: str
    x: float
    label: str
    networks: list[NetworkSpec]
    data: Dataset
    images: int = 1


def points(root: Path) -> Iterator[Point]:
    """All points of all axes."""
    case = CASES["digits"]
    recipe = replace(case.recipe, dense=((3, 0.05),), finetune=((3, 0.02),))
    [first] = [n for n in case.networks(1) if n.model.label == "mlp-small"]
    networks = [replace(first, recipe=recipe, seed=seed) for seed in range(max(SEEDS))]
    data = case.images(networks[0], root)
    for n in SEEDS:
        mine = [replace(network, ratios=(2.0,)) for network in networks[:n]]
        yield Point("seeds", n, "mlp-small", mine, data)
    for n in RATIOS:
        ratios = tuple(torch.linspace(2, 8, n).tolist())
        mine = [replace(network, ratios=ratios) for network in networks[:2]]
        yield Point("ratios", n, "mlp-small", mine, data)
    models = [ModelSpec("mlp", f"mlp {w}", {"widths": (w, w // 2, 16)}) for w in WIDTHS]
    for model in (*models, ModelSpec("lenet", "LeNet"), ModelSpec("resnet20", "ResNet-20")):
        shape = SHAPES[model.name]
        n = 1024 if model.name == "mlp" else 256
        mine = [
            replace(network, model=model, methods=(), ratios=(), recipe=_once(recipe, model))
            for network in networks[:8]
        ]
        flop, _ = flop_per_image(build(model.name, model.options, shape, 10, seed=0), shape)
        data = noise(shape, CPU, n)
        yield Point("size", flop, model.label, mine, data, 8 * 2 * n)


def _once(recipe, model):
    """One epoch of training and one of fine-tuning."""
    return replace(
        recipe,
        dense=((1, 0.001),),
        finetune=((1, 0.001),),
        batch_size=32 if model.name == "mlp" else 128,
    )


def seconds(run: Callable[..., Done], point: Point) -> float:
    """Return the processor time of training epochs and evaluation."""
    start = time.process_time()
    run(point.networks, point.data)
    return time.process_time() - start


def _chosen(point: Point) -> Backend:
    spec = point.networks[0]
    options, data = spec.model.options, point.data
    net = build(spec.model.name, options, data.train.shape, data.n_classes, seed=0)
    return choose(AUTO, net, data, spec.recipe, CPU, jobs=1)[0]


def measure(root: Path, rounds: int) -> pl.DataFrame:
    """Return one row per way and point."""
    rows = []
    for point in points(root):
        backend = _chosen(point)
        ways = {CLEAN: clean.run, OURS: partial(ours.run, backend=backend)}
        times = [{way: seconds(run, point) for way, run in ways.items()} for _ in range(rounds + 1)]
        for way in ways:
            least = min(one[way] for one in times[1:])  # the first warms up
            label = str(backend) if way == OURS else ""
            place = (point.axis, point.x, point.label, way, label)
            rows.append((*place, least, least / point.images))
        print(*rows[-2:], sep="\n", flush=True)
    columns = ["axis", "x", "network", "way", "backend", "seconds", "per_image"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def draw(table: pl.DataFrame) -> Figure:
    """Return one panel per axis, both logarithmic."""
    looks = style.series((CLEAN, OURS))
    powers = FuncFormatter(lambda value, _: "10" + f"{math.log10(value):.0f}".translate(RAISED))
    plain = FuncFormatter(lambda value, _: f"{value:,.6g}")
    with style.styled():
        figure, panels = style.grid(len(UNITS), 3, width=3.0, height=2.8)
        for panel, (axis, (x_label, y_label)) in zip(panels, UNITS.items(), strict=True):
            for way, look in looks.items():
                mine = table.filter(axis=axis, way=way).sort("x")
                scale = 1e6 if axis == "size" else 1
                panel.loglog(mine["x"], scale * mine["per_image"], **look, markersize=4, label=way)
            for x, label, y in (
                table.filter(axis=axis, way=OURS).select("x", "network", "per_image").iter_rows()
            ):
                if axis == "size":
                    panel.annotate(label, (x, 1e6 * y), (5, -5), textcoords="offset points",
                                   fontsize=6, color=style.MUTED)  # fmt: skip
                    panel.xaxis.set_major_formatter(powers)
                    continue
                panel.set_xticks(SEEDS)
                panel.xaxis.set_major_formatter(plain)
            panel.yaxis.set_major_formatter(plain)
            panel.minorticks_off()
            panel.set_xlabel(x_label)
            panel.set_ylabel(y_label)
        panels[0].legend(frameon=False)
        panels[-1].margins(x=0.15)
    return figure


def main() -> None:
    """Measure, write the numbers and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "runners-scaling")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    table = measure(given.data, given.rounds)
    table.with_columns(pl.col("seconds", "per_image").round_sig_figs(4)).write_csv(
        given.out.with_suffix(".csv")
    )
    drawing = style.Drawing("runners-scaling", draw(table), "Time of training", "", "", table)
    given.out.with_suffix(".svg").write_text(style.svg(drawing))


if __name__ == "__main__":
    main()
