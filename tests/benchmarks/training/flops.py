"""FLOP per second that our stacks reach, beside what the cores can do, and where the rest goes.

python -m tests.benchmarks.training.flops [digits] [mnist] [--data FOLDER]

FLOP are those of the networks (torch.utils.flop_counter, forward and backward; multiplication and
addition are two), however they are computed. The ceiling is a product of two large matrices, one
per core, all cores at once. All times are processor time of one thread, so other programs do
not count; they still take their share of the caches and of the memory's speed.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from runners.backends import Backend
from runners.datasets import Dataset
from runners.nets import build
from runners.study import NetworkSpec
from tests.benchmarks.training import ours
from tests.benchmarks.training.__main__ import ROOT
from tests.benchmarks.training.cases import CASES, by_shape

SIZE, SECONDS = 1024, 2.0
PROFILED = 6400  # training images
# the first that is part of an operator's name; what automatic differentiation adds is `other`
GROUPS = {
    "convolution": ("conv",),
    "matrix products": ("bmm", "addmm", "aten::mm", "Dense"),
    "pooling, activation, normalisation": (
        "pool", "relu", "clamp_min", "threshold", "tanh", "batch_norm",
    ),
    "loss": ("softmax", "nll_loss", "argmax"),
    "optimizer and masks": ("_sgd_", "_foreach", "mul_", "Optimizer", "kthvalue"),
    "images": ("index", "randperm", "to_copy", "aten::to", "repeat"),
    "copies and zeros": ("copy_", "fill_", "zero_", "clone", "cat", "contiguous"),
}  # fmt: skip


def flop_per_image(net: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return FLOP of an image: forward and backward, and forward alone."""
    images = torch.rand(2, *shape)
    with FlopCounterMode(display=False) as both:
        functional.cross_entropy(net.train()(images), torch.zeros(2, dtype=torch.long)).backward()
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        net.eval()(images)
    return both.get_total_flops() // 2, forward.get_total_flops() // 2


def work_of(spec: NetworkSpec, data: Dataset) -> int:
    """Return FLOP of a network with all its cells: trained, fine-tuned, counted."""
    model, recipe = spec.model, spec.recipe
    net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
    step, forward = flop_per_image(net, data.train.shape)
    arms = 1 + len(spec.methods) * len(spec.ratios)  # the control, and what is pruned
    epochs = sum(e for e, *_ in recipe.dense) + arms * sum(e for e, *_ in recipe.finetune)
    return epochs * len(data.train) * step + 2 * arms * len(data.test) * forward


def ceiling(cores: int) -> float:
    """Return FLOP per second and core of large matrix products on all cores at once."""
    context = get_context("spawn")
    ready, pipes = context.Barrier(cores), []
    for _ in range(cores):
        mine, theirs = context.Pipe(duplex=False)
        context.Process(target=_multiply, args=(ready, theirs)).start()
        pipes.append(mine)
    return sum(pipe.recv() for pipe in pipes) / cores


def _multiply(ready: Any, pipe: Any) -> None:
    torch.set_num_threads(1)
    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    a @ b
    ready.wait()
    least, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        start = time.thread_time()
        a @ b
        least = min(least, time.thread_time() - start)
    pipe.send(2 * SIZE**3 / least)


def few(data: Dataset) -> Dataset:
    """Return as many training images as a profiler can follow."""
    return replace(data, train=data.train.take(torch.arange(min(PROFILED, len(data.train)))))


def shares(networks: Sequence[NetworkSpec], data: Dataset, backend: Backend) -> Counter[str]:
    """Return the share of each group of operators in the processor time of our stacks."""
    with profile() as profiled:
        ours.run(networks, data, backend)
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        spent[_group(event.key)] += event.self_cpu_time_total
    total = sum(spent.values())
    return Counter({group: time / total for group, time in spent.items()})


def _group(name: str) -> str:
    found = (g for g, parts in GROUPS.items() if any(part in name for part in parts))
    return next(found, "other: views, allocation, automatic differentiation")


def main() -> None:
    """Print a Markdown table for every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cores = len(os.sched_getaffinity(0))
    most = ceiling(cores)
    print(f"torch {torch.__version__}, {cores} cores, {most / 1e9:.0f} GFLOP/s each\n")
    for name in given.cases:
        case = CASES[name]
        for networks in by_shape(case.networks(2), lambda _: True):
            data = case.images(networks[0], given.data)
            backend = Backend("grouped", case.stacks[0])
            ours.run(*case.short(networks[0], data), backend)
            start = time.process_time()
            ours.run(networks, data, backend)
            spent = time.process_time() - start
            reached = sum(work_of(network, data) for network in networks) / spent
            print(f"{case.title}, {networks[0].model.label}: {reached / 1e9:.1f} GFLOP/s,", end=" ")
            print(f"{reached / most:.0%} of the ceiling; {spent:.1f} s\n")
            for group, share in shares(networks, few(data), backend).most_common():
                print(f"| {group} | {share:.0%} |")
            print()


if __name__ == "__main__":
    main()
