"""Which back-end is the fastest for a network, by measurement, remembered for the next time.

A choice holds for a device, a network, a shape of images, a batch and the versions of torch and
of these programs.
"""

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from runners.backends import LOOP, NAMES, SIZE, Backend
from runners.datasets import Dataset
from runners.halving import is_out_of_memory
from runners.masking import whole
from runners.memory import stack_limit
from runners.provenance import device_name, environment
from runners.recipe import Recipe
from runners.replicas import Training
from runners.seeds import Streams
from runners.stacking import refusal
from runners.train import train
from runners.worker import set_up_cpu

AUTO = "auto"
GLANCE = 0.3  # seconds for one measurement, about
REPEATS = 3
NOTHING = 1e-6  # a learning rate at which no network diverges
WORTH = 0.95  # a larger stack must take less than this share of the time
CONVOLUTIONS = {"cpu": ("grouped",), "cuda": ("grouped", "gemm")}  # on a CPU gemm never won


def choose(
    wanted: str, net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, jobs: int
) -> tuple[Backend, str | None]:
    """Return the back-end for a network, and why it cannot be stacked if it cannot.

    `wanted` is the name of a back-end, or "auto" for the one that is measured to be the fastest.
    """
    if wanted == LOOP.name:
        return LOOP, None
    reason = refusal(net, data.train.shape)
    if reason:
        return LOOP, reason
    limit = stack_limit(net, data.train.shape, recipe.batch_size, device, jobs)
    if limit < 2:
        return LOOP, "two of it do not fit into memory"
    if wanted != AUTO:
        return Backend(wanted, min(SIZE, limit)), None
    key = _key(net, data, recipe, device, limit)
    known = _read()
    if key not in known:
        known[key] = asdict(_fastest(net, data, recipe, device, limit))
        _write(known)
    return Backend(**known[key]), None


def _fastest(
    net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, limit: int
) -> Backend:
    """Return the fastest back-end; sizes double until that no longer pays."""
    data = data.to(device)
    net = copy.deepcopy(net).to(device)
    recipe = replace(recipe, checkpoint="last")
    with _as_in_a_worker(device):
        best, least = LOOP, _seconds(LOOP, net, data, recipe)
        for name in CONVOLUTIONS[device.type]:
            size, in_vain = 2, 0
            while size <= limit and in_vain < 2:
                spent = _seconds(Backend(name, size), net, data, recipe)
                in_vain += 1
                if spent < WORTH * least:
                    best, least, in_vain = Backend(name, size), spent, 0
                size *= 2
    return best


def _seconds(backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe) -> float:
    """Return the least time that one network takes for one batch; infinite if memory runs out."""

    def measure(batches: int) -> float:
        n_images = batches * recipe.batch_size
        return training_seconds(backend, net, data, recipe, n_images) / batches

    try:
        first = measure(1)  # also warms up
        epoch = -(-len(data.train) // recipe.batch_size)
        batches = min(epoch, max(1, int(GLANCE / (first * backend.size))))
        return min(measure(batches) for _ in range(REPEATS))
    except Exception as error:
        if is_out_of_memory(error):
            return math.inf
        raise


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
    replicas = [whole(copy.deepcopy(net), Streams((seed,))) for seed in range(backend.size)]
    trainings = [Training(replica, recipe, ((epochs, NOTHING),)) for replica in replicas]
    clock = clock_of(data.scale.device)
    start = clock()
    for _, outcome in train(trainings, few, backend):
        if outcome.error:
            raise outcome.error
    return (clock() - start) / backend.size


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return what tells the time of work on a device.

    A worker has one thread on a CPU; its own time does not depend on what else runs there.
    """
    return time.thread_time if device.type == "cpu" else time.perf_counter


@contextmanager
def _as_in_a_worker(device: torch.device) -> Iterator[None]:
    threads = torch.get_num_threads()
    if device.type == "cpu":
        set_up_cpu()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def _key(net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, limit: int) -> str:
    """Return a hash of all that the choice depends on."""
    parts = (
        environment(device)["versions"],
        device_name(device),
        torch.backends.cpu.get_cpu_capability(),
        repr(net),
        data.train.shape,
        (recipe.batch_size, recipe.optimizer, recipe.flip, recipe.crop_padding),
        limit.bit_length(),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _file() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder, "distortion", "backends.json")


def _read() -> dict[str, dict]:
    """Return what was measured before; nothing if it cannot be read, and is measured again."""
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
        return {key: choice for key, choice in known.items() if choice["name"] in NAMES}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(known: dict[str, dict]) -> None:
    """Remember what was measured, where the folder of caches can be written."""
    part = _file().with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known, indent=1), encoding="utf-8")
        part.replace(_file())
