"""Networks per hour on a CPU: a clean PyTorch loop, our loop, stacks; side by side in one run.

python -m tests.benchmarks.training [digits] [lenet] [--rounds N] [--data FOLDER]

Every way does the whole work of a study on the same images: train a dense network, prune copies,
fine-tune them, count all test images per class. Ways take turns, so that what else runs meets
all of them. CPU seconds do not count waiting for other programs; wall time on free cores is CPU
time over cores. `digits` is the shipped study, two seeds of each model; `lenet` is fashion-quick
with a fifth of its images and a quarter of its epochs, two seeds.
"""

import argparse
import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from runners.backends import LOOP, Backend
from runners.datasets import Dataset, load
from runners.nets import build
from runners.networkrun import run_networks
from runners.recipe import Recipe, Schedule
from runners.report import silent
from runners.study import NetworkSpec
from runners.studyfile import read_study

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """A program, how many processes of it, and threads of each."""

    name: str
    processes: int
    threads: int
    backend: Backend | None = None


WAYS = {
    "digits": [
        Way("clean loop", 1, 2),
        Way("clean loop", 2, 1),
        Way("our loop", 2, 1, LOOP),
        *(Way(f"grouped, {m} at once", 2, 1, Backend("grouped", m)) for m in (4, 8, 16, 32)),
        Way("grouped, 8 at once", 1, 2, Backend("grouped", 8)),
    ],
    "lenet": [
        Way("clean loop", 1, 2),
        Way("clean loop", 2, 1),
        Way("our loop", 2, 1, LOOP),
        *(Way(f"grouped, {m} at once", 2, 1, Backend("grouped", m)) for m in (2, 4, 8)),
        Way("gemm, 4 at once", 2, 1, Backend("gemm", 4)),
        Way("grouped, 4 at once", 1, 2, Backend("grouped", 4)),
    ],
}  # fmt: skip


def specs(case: str) -> list[NetworkSpec]:
    """The networks of a case, two seeds of each model."""
    study = read_study("digits" if case == "digits" else "fashion-quick")
    networks = [network for network in study.networks if network.seed < 2]
    if case == "digits":
        return networks
    recipe = replace(networks[0].recipe, dense=((3, 0.1, "one-cycle"),), finetune=((1, 0.05),))
    data = replace(networks[0].dataset, train_limit=6000)
    return [replace(network, recipe=recipe, dataset=data) for network in networks]


def images(spec: NetworkSpec, root: Path) -> Dataset:
    """The images of a network; of LeNet's test images a fifth, as of its training images."""
    data = load(spec.dataset, spec.split_seed, root, CPU)
    if len(data.test) > 2000:
        return replace(data, test=data.test.take(torch.arange(0, len(data.test), 5)))
    return data


def clean_training(
    net: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
    schedule: Schedule,
    masks: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """What one writes by hand for one network; the learning rate is that of the phase."""
    optimizer = torch.optim.SGD(
        net.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    net.train()
    for epochs, rate, *_ in schedule:
        optimizer.param_groups[0]["lr"] = rate / 2
        for _ in range(epochs):
            for index in torch.randperm(len(labels)).split(recipe.batch_size):
                loss = functional.cross_entropy(net(inputs[index]), labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    for weight, mask in masks:
                        weight.mul_(mask)


def clean_count(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Correct test images per class."""
    net.eval()
    with torch.no_grad():
        classes = torch.cat([net(part).argmax(1) for part in inputs.split(1000)])
    return torch.bincount(labels[classes == labels], minlength=10)


def clean_network(spec: NetworkSpec, data: Dataset) -> None:
    """The work of a network by hand: images are normalised once, masks are by magnitude."""
    train, test = (data.normalised(part.pixels).contiguous() for part in (data.train, data.test))
    model = spec.model
    net = build(model.name, model.options, data.train.shape, data.n_classes, seed=spec.seed)
    net = net.to(memory_format=torch.contiguous_format)
    clean_training(net, train, data.train.labels, spec.recipe, spec.recipe.dense, [])
    clean_count(net, test, data.test.labels)
    for ratio in [1.0, *(ratio for _ in spec.methods for ratio in spec.ratios)]:
        pruned = copy.deepcopy(net)
        weights = [p for p in pruned.parameters() if p.ndim > 1][:-1]
        scores = torch.cat([weight.detach().abs().flatten() for weight in weights])
        threshold = scores.kthvalue(max(1, round(len(scores) * (1 - 1 / ratio)))).values
        masks = [(weight, (weight.detach().abs() >= threshold).float()) for weight in weights]
        with torch.no_grad():
            for weight, mask in masks:
                weight.mul_(mask)
        clean_count(pruned, test, data.test.labels)
        clean_training(pruned, train, data.train.labels, spec.recipe, spec.recipe.finetune, masks)
        clean_count(pruned, test, data.test.labels)


def work(way: Way, networks: Sequence[NetworkSpec], data: Dataset) -> None:
    """Compute networks of one shape in a way."""
    if way.backend is None:
        for spec in networks:
            clean_network(spec, data)
        return
    for _, result in run_networks(networks, data, way.backend, lambda _: silent):
        if isinstance(result, Exception):
            raise result


def process(way: Way, shapes: list[list[NetworkSpec]], root: Path, ready, pipe) -> None:
    """Warm up, wait for the other processes, work, and send the CPU seconds."""
    torch.set_num_threads(way.threads)
    torch.set_flush_denormal(True)
    held = [images(networks[0], root) for networks in shapes]
    for networks, data in zip(shapes, held, strict=True):
        short = replace(networks[0].recipe, dense=((1, 0.01),), finetune=((1, 0.01),))
        few = replace(data, train=data.train.take(torch.arange(2 * short.batch_size)))
        work(way, [replace(networks[0], recipe=short, ratios=(2.0,))], few)
    ready.wait()
    start = time.process_time()
    for networks, data in zip(shapes, held, strict=True):
        work(way, networks, data)
    pipe.send(time.process_time() - start)


def measure(way: Way, networks: list[NetworkSpec], root: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of all networks, shared out over the processes by seed."""
    context = get_context("spawn")
    ready = context.Barrier(way.processes + 1)
    ours, theirs = context.Pipe(duplex=False)
    labels = sorted({network.model.label for network in networks})
    running = []
    for i in range(way.processes):
        mine = [n for n in networks if n.seed % way.processes == i]
        shapes = [[n for n in mine if n.model.label == label] for label in labels]
        running.append(context.Process(target=process, args=(way, shapes, root, ready, theirs)))
        running[-1].start()
    ready.wait()
    start = time.perf_counter()
    cpu = sum(ours.recv() for _ in running)
    wall = time.perf_counter() - start
    for one in running:
        one.join()
    return wall, cpu


def main() -> None:
    """Print one line per way: the best of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=["digits", "lenet"], choices=list(WAYS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} cores")
    for case in given.cases:
        networks = specs(case)
        trained = sum(1 + 1 + len(n.methods) * len(n.ratios) for n in networks)
        print(f"\n{case}: {trained} networks trained or fine-tuned, best of {given.rounds} rounds")
        heads = ("processes", "threads", "wall s", "CPU s", "per hour")
        print(f"{'way':<22}" + "".join(f"{head:>10}" for head in heads))
        rounds = [
            [measure(way, networks, given.data) for way in WAYS[case]] for _ in range(given.rounds)
        ]
        for way, times in zip(WAYS[case], zip(*rounds, strict=True), strict=True):
            wall, cpu = (min(column) for column in zip(*times, strict=True))
            print(
                f"{way.name:<22}{way.processes:>10}{way.threads:>10}{wall:>10.1f}{cpu:>10.1f}"
                f"{3600 * trained / wall:>10,.0f}"
            )


if __name__ == "__main__":
    main()
