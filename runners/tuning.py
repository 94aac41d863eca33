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

from distortion.errors import StudyError
from runners.backends import LABELS, LOOP, SIZE, Backend, named
from runners.datasets import Dataset
from runners.halving import is_out_of_memory
from runners.masking import whole
from runners.memory import stack_limit
from runners.provenance import device_name, environment
from runners.recipe import Recipe
from runners.replicas import Training
from runners.seeds import Streams
from runners.stacking import VMAP, refusal
from runners.train import train
from runners.worker import set_up_cpu

AUTO = "auto"
GLANCE = 0.3  # seconds for one measurement, about
REPEATS = 3
NOTHING = 1e-6  # a learning rate at which no network diverges
WORTH = 0.95  # a larger stack must take less than this share of the time
TOLERANCE = 0.01  # of the loss: far above the rounding of reduced precision, far below an error
Notes = tuple[str, ...]

# What is measured: stacks, and how they take a step. On a CPU `gemm` and `each` never won, graphs
# are not there, and compiling takes longer than most studies gain.
CANDIDATES: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {"eager": ("grouped",)},
    "cuda": {
        "graph": ("grouped", "gemm", "each"),
        "eager": ("grouped", "gemm", "each"),
    },
}


def choose(
    wanted: str, net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, jobs: int
) -> tuple[Backend, Notes]:
    """Return the back-end for a network, and what a user should know about it.

    `wanted` is the label of a back-end, or "auto" for the one that is measured to be the fastest.
    A network that rules cannot stack is tried with vmap.

    Raises
    ------
    StudyError
        CUDA graphs are wanted on a CPU.
    """
    asked = named(wanted, SIZE) if wanted != AUTO else None
    if asked == LOOP:
        return LOOP, ()
    if asked and asked.step == "graph" and device.type != "cuda":
        raise StudyError(f"--backend {wanted} replays CUDA graphs, which need a GPU; take another.")
    shape = data.train.shape
    vmapped = asked is not None and asked.name == VMAP
    reason = refusal(net, shape, vmapped)
    if reason and not vmapped and refusal(net, shape, vmapped=True) is None:
        vmapped, reason = True, None
    if reason:
        return LOOP, (f"is trained one by one: {reason}",)
    limit = stack_limit(net, shape, recipe.batch_size, device, jobs)
    if limit < 2:
        return LOOP, ("is trained one by one: two of it do not fit into memory",)
    if asked:
        name = VMAP if vmapped else asked.name
        return Backend(name, min(SIZE, limit), asked.step), ()
    key = _key(net, data, recipe, device, limit)
    known = _read()
    if key not in known:
        backend, notes = _fastest(net, data, recipe, device, limit, vmapped)
        known[key] = asdict(backend)
        _write(known)
        return backend, notes
    return Backend(**known[key]), ()


def _fastest(
    net: nn.Module,
    data: Dataset,
    recipe: Recipe,
    device: torch.device,
    limit: int,
    vmapped: bool,
) -> tuple[Backend, Notes]:
    """Return the fastest back-end, and which could not be used; sizes double while that pays."""
    data = data.to(device)
    net = copy.deepcopy(net).to(device)
    recipe = replace(recipe, checkpoint="last")
    notes: list[str] = []
    with _as_in_a_worker(device):
        best, least = LOOP, _seconds(LOOP, net, data, recipe)
        for step, names in CANDIDATES[device.type].items():
            for name in (VMAP,) if vmapped else names:
                problem = _problem(Backend(name, 2, step), net, data, recipe)
                if problem:
                    notes.append(f"cannot use {Backend(name, 2, step).label}: {problem}")
                    continue
                size, in_vain = 2, 0
                while size <= limit and in_vain < 2:
                    spent = _seconds(Backend(name, size, step), net, data, recipe)
                    in_vain += 1
                    if spent < WORTH * least:
                        best, least, in_vain = Backend(name, size, step), spent, 0
                    size *= 2
    return best, tuple(notes)


def _problem(backend: Backend, net: nn.Module, data: Dataset, recipe: Recipe) -> str | None:
    """Return why a back-end cannot be trusted here; None if two steps are those of the loop."""
    few = replace(data, train=data.train.take(torch.arange(min(len(data.train), 32))))
    schedule = ((2, 0.01),)

    def losses(way: Backend) -> list[float]:
        replicas = [whole(copy.deepcopy(net), Streams((seed,))) for seed in range(2)]
        trainings = [Training(replica, recipe, schedule) for replica in replicas]
        outcomes = dict(train(trainings, few, way))
        for outcome in outcomes.values():
            if outcome.error:
                raise outcome.error
        return [outcomes[training].train_loss or 0.0 for training in trainings]

    expected = losses(LOOP)
    try:
        found = losses(backend)
    except Exception as error:  # whatever it is, the others do
        return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    for one, other in zip(expected, found, strict=True):
        if abs(one - other) > TOLERANCE * abs(one):
            return f"its loss is {other:.6g} where that of the loop is {one:.6g}"
    return None


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
        return {key: choice for key, choice in known.items() if Backend(**choice).label in LABELS}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(known: dict[str, dict]) -> None:
    """Remember what was measured, where the folder of caches can be written."""
    part = _file().with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known, indent=1), encoding="utf-8")
        part.replace(_file())
