"""How long the training of a stack takes, and whether it trains what the loop trains."""

import copy
import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from runners.backends import LOOP, Backend
from runners.datasets import Dataset
from runners.halving import is_out_of_memory
from runners.loop import train_alone
from runners.masking import whole
from runners.recipe import Recipe, Schedule
from runners.replicas import Outcome
from runners.seeds import Streams
from runners.stacked import train_stack
from runners.worker import set_up

GLANCE = 0.3  # seconds for one measurement, about
REPEATS = 3
NOTHING = 1e-6  # a learning rate that changes nothing that is measured
TOLERANCE = 0.01  # of the loss: far above the rounding of reduced precision, far below an error


def step_seconds(backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe) -> float:
    """Return the time that a step takes one network of a stack; infinite if memory runs out."""
    try:
        return epoch_seconds(backend, net, data, recipe) / -(-len(data.train) // recipe.batch_size)
    except Exception as error:
        if is_out_of_memory(error):
            return math.inf
        raise
    finally:
        gc.collect()
        torch.cuda.empty_cache()  # for the workers; without a GPU nothing happens


def epoch_seconds(backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe) -> float:
    """Return the time that an epoch takes one network of a stack, without what begins a stack."""
    recipe = replace(recipe, checkpoint="last")
    seconds = partial(training_seconds, backend, net, data, recipe)
    steps = -(-len(data.train) // recipe.batch_size)
    seconds(recipe.batch_size)  # warms up
    first = seconds(recipe.batch_size) * backend.size
    n_steps = max(1, min(steps, int(GLANCE / first)))
    n = min(n_steps * recipe.batch_size, len(data.train))
    return slope(lambda epochs: seconds(n, epochs), (1, 3)) * steps / n_steps


def training_seconds(
    backend: Backend,
    net: nn.Module,
    data: Dataset,
    recipe: Recipe,
    n_images: int,
    epochs: int = 1,
) -> float:
    """Return the time that each of a stack of networks takes to train, its stacking included."""
    few = replace(data, train=data.train.take(torch.arange(n_images) % len(data.train)))
    clock = clock_of(data.scale.device)
    start = clock()
    _train(backend, net, few, recipe, ((epochs, NOTHING),))
    return (clock() - start) / backend.size


def disagreement(backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe) -> str | None:
    """Return why a back-end cannot be trusted here; None if two steps are those of the loop."""
    few = replace(data, train=data.train.take(torch.arange(min(len(data.train), 32))))

    def losses(way: Backend) -> list[float]:
        outcomes = _train(way, net, few, recipe, ((2, 0.01),))
        return [outcome.train_loss or 0.0 for outcome in outcomes]

    [expected] = losses(LOOP)
    try:
        found = losses(backend)[0]
    except Exception as error:  # whatever it is, the others do
        return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    if not abs(expected - found) <= TOLERANCE * abs(expected):
        return f"its loss is {found:.6g} where that of the loop is {expected:.6g}"
    return None


def _train(
    backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe, schedule: Schedule
) -> list[Outcome]:
    """Train copies of a network, as many as the back-end takes at once."""
    replicas = [whole(copy.deepcopy(net), Streams((seed,))) for seed in range(backend.size)]
    if backend.name == LOOP.name:
        return [train_alone(replicas[0], data, recipe, schedule, lambda: None)]
    return train_stack(replicas, data, recipe, schedule, backend, lambda _: None)


def slope(seconds: Callable[[int], float], sizes: tuple[int, int]) -> float:
    """Return the seconds per unit of size, from the medians at two sizes."""
    small, large = (sorted(seconds(size) for _ in range(REPEATS))[REPEATS // 2] for size in sizes)
    return max(0.0, large - small) / (sizes[1] - sizes[0])


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return what tells the time of work on a device.

    A worker has one thread on a CPU; its own time does not depend on what else runs there.
    """
    return time.thread_time if device.type == "cpu" else time.perf_counter


@contextmanager
def as_in_a_worker(device: torch.device) -> Iterator[None]:
    """Compute as workers do."""
    threads = torch.get_num_threads()
    set_up(device)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
