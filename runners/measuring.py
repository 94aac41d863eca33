"""What the networks of a shape cost, measured in as many processes at once as a sweep will have.

On a CPU a process counts its own processor time, so other programs do not mislead it; that the
workers share memory and caches with each other, it does see. On a GPU it counts elapsed time.
"""

import copy
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier

import torch
from torch import nn

from distortion.errors import StudyError
from runners.backends import Backend
from runners.bench import Result
from runners.datasets import Dataset
from runners.evaluation import evaluate
from runners.gradients import GradientOptions, data_gradient
from runners.groups import Group
from runners.masking import whole
from runners.networkrun import run_networks
from runners.pool import SPAWN
from runners.recipe import Recipe, n_epochs
from runners.report import silent
from runners.seeds import Streams
from runners.stopping import interrupts_blocked
from runners.stopwatch import (
    GLANCE,
    NOTHING,
    clock_of,
    epoch_seconds,
    slope,
    training_seconds,
)  # fmt: skip
from runners.study import NetworkSpec
from runners.worker import Raised, Setup, Worker, raised

FEW = 8  # images on which nothing but the fixed costs shows


@dataclass(frozen=True, slots=True)
class Cost:
    """What one network of a group costs a worker.

    start    seconds until a worker can begin: imports, and loading the data set
    seconds  of the network, from its initial weights to its shard
    size     bytes of its shard and provenance
    """

    start: float
    seconds: float
    size: int


def measure(groups: Sequence[Group], jobs: int, setup: Setup) -> list[Cost]:
    """Return the cost of a network of each group, measured in `jobs` processes at once.

    Raises
    ------
    StudyError
        A network cannot be computed, or a process ended.
    """
    barrier = SPAWN.Barrier(jobs)
    processes: dict[Connection, SpawnProcess] = {}
    answers: dict[Connection, list[Cost]] = {}
    try:
        for _ in range(jobs):
            ours, theirs = SPAWN.Pipe(duplex=False)
            arguments = (theirs, barrier, tuple(groups), setup)
            process = SPAWN.Process(target=_serve, args=arguments, daemon=True)
            with interrupts_blocked():
                process.start()
                processes[ours] = process
            theirs.close()
        while len(answers) < jobs:
            ready = wait(processes.keys() - answers.keys())
            answers |= {pipe: _answer(pipe) for pipe in processes if pipe in ready}
    finally:  # where one has ended early, the others wait for it at the barrier
        for process in processes.values():
            process.kill()
        for process in processes.values():
            process.join()
    return [
        Cost(
            sum(cost.start for cost in costs) / jobs,
            sum(cost.seconds for cost in costs) / jobs,
            costs[0].size,
        )
        for costs in zip(*answers.values(), strict=True)
    ]


def _answer(pipe: Connection) -> list[Cost]:
    try:
        answer = pipe.recv()
    except (EOFError, OSError):
        answer = Raised("its process was ended, perhaps for lack of memory")
    if isinstance(answer, Raised):
        raise StudyError(f"The study cannot be measured: {answer.reason}.")
    return answer


def _serve(pipe: Connection, barrier: Barrier, groups: Sequence[Group], setup: Setup) -> None:
    """Measure every group, all processes the same one at a time; send the costs or a `Raised`."""
    try:
        worker, costs = Worker(setup), []
        begun = 0.0  # when the process did
        for group in groups:
            data = worker.data(group.networks[0])
            start = time.process_time() - begun
            barrier.wait()
            costs.append(_cost(group, data, start))
            begun = time.process_time()
        pipe.send(costs)
    except Exception as error:  # whatever it is, the parent says so
        pipe.send(raised(error))


def _cost(group: Group, data: Dataset, start: float) -> Cost:
    """Return the cost of a network of a group, in this process."""
    spec, backend = group.networks[0], group.backend
    fixed, (table, provenance, _), net = _fixed(group, data)
    alone = replace(backend, size=min(backend.size, len(group.networks)))
    dense_epochs, batch = n_epochs(spec.recipe.dense), spec.recipe.batch_size
    seconds = fixed
    seconds += dense_epochs * epoch_seconds(alone, net, data, spec.recipe)
    seconds += (spec.n_epochs - dense_epochs) * epoch_seconds(backend, net, data, spec.recipe)
    n_evaluated = spec.n_cells * (len(data.test) + len(data.validation))
    if spec.recipe.checkpoint == "best-validation":
        n_evaluated += spec.n_epochs * len(data.validation)
    seconds += n_evaluated * _evaluation(backend, net, data)
    gradients = {method.gradient for method in spec.methods if method.gradient}
    n_graded = sum(
        len(data.train)
        if options.batches == "all"
        else min(len(data.train), options.batches * batch)
        for options in gradients
    )
    if n_graded:
        seconds += n_graded * _gradient(net, data, spec.recipe)
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return Cost(start, seconds, len(buffer.getvalue()) + len(json.dumps(provenance, indent=1)))


def _fixed(group: Group, data: Dataset) -> tuple[float, Result, nn.Module]:
    """Return what a network costs beside images, its result on a few, and its initial network.

    All cells are made and counted, after an epoch or two on a handful of images, whose cost is
    taken off again.
    """
    specs = [_shortened(spec) for spec in group.networks[:2]]
    few = _few(data, FEW)
    nets: list[nn.Module] = []

    def keep(spec: NetworkSpec, cell: object, data: Dataset, net: nn.Module) -> None:
        if not nets:
            nets.append(copy.deepcopy(net))

    clock = clock_of(data.scale.device)
    start = clock()
    results = []
    for _, result in run_networks(specs, few, group.backend, lambda _: silent, keep):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    spent = (clock() - start) / len(specs)
    if not nets:
        raise StudyError(f"{specs[0]}: the dense network fails before it is trained")
    epoch = slope(
        lambda epochs: training_seconds(group.backend, nets[0], few, specs[0].recipe, FEW, epochs),
        (1, 3),
    )
    return max(0.0, spent - specs[0].n_epochs * epoch), results[0], nets[0]


def _shortened(spec: NetworkSpec) -> NetworkSpec:
    """Return a network with as few epochs as its methods allow."""
    rewinding = [method.options.get("rewinding_epochs", 0) for method in spec.methods]
    dense = 1 + max(int(str(epochs)) for epochs in rewinding)
    short = replace(
        spec.recipe, dense=((dense, NOTHING),), finetune=((1, NOTHING),), checkpoint="last"
    )
    return replace(spec, recipe=short)


def _few(data: Dataset, n: int) -> Dataset:
    """Return a data set with at most n images of each kind."""
    parts = {
        name: images.take(torch.arange(min(n, len(images))))
        for name in ("train", "validation", "test")
        for images in [getattr(data, name)]
    }
    return replace(data, **parts)


def _evaluation(backend: Backend, net: nn.Module, data: Dataset) -> float:
    """Return the seconds of an image that one network of a full stack is evaluated on."""
    replicas = [whole(copy.deepcopy(net), Streams((0,))) for _ in range(backend.size)]
    clock = clock_of(data.scale.device)

    def seconds(n: int) -> float:
        start = clock()
        list(evaluate(replicas, data, {"test": data.test.take(torch.arange(n))}, backend))
        return (clock() - start) / backend.size

    return slope(seconds, _two_sizes(seconds, len(data.test), backend.size))


def _gradient(net: nn.Module, data: Dataset, recipe: Recipe) -> float:
    """Return the seconds of an image that a gradient is taken on."""
    clock = clock_of(data.scale.device)

    def seconds(n: int) -> float:
        start = clock()
        data_gradient(net, _few(data, n), recipe, GradientOptions(), Streams((0,)))
        return clock() - start

    return slope(seconds, _two_sizes(seconds, len(data.train), 1))


def _two_sizes(seconds: Callable[[int], float], most: int, together: int) -> tuple[int, int]:
    """Return two numbers of images, the larger one worth GLANCE seconds."""
    least = min(50, most // 2)
    seconds(1)  # warms up
    n = int(least * GLANCE / max(seconds(least) * together, 1e-6))
    return least, max(least + 1, min(most, n))
