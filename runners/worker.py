"""A worker process: takes groups of networks from a pipe, computes them, writes their shards."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from distortion.log import is_complete, write_shard
from runners.bench import Result
from runners.checkpoints import forget, keep_in
from runners.datasets import Dataset, load
from runners.groups import Group
from runners.halving import is_device_lost
from runners.networkrun import run_networks
from runners.provenance import environment
from runners.recorder import reason_of
from runners.shards import remove_parts
from runners.study import NetworkSpec
from runners.studyfile import load_plugins

INTERVAL = 0.2  # seconds between two progress messages


@dataclass(frozen=True, slots=True)
class Setup:
    """What all workers of a sweep share; `jobs` is how many they are."""

    out: Path
    data_root: Path
    device: str
    plugins: tuple[str, ...]
    jobs: int = 1
    checkpoints: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """How far a network is: the cell it is in, epochs and cells since the last message."""

    cell: str
    epochs: int
    cells: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A network whose shard is written.

    accuracy   of the dense network on the test images; None if it failed
    failed     number of failed cells
    reason     why the first of them failed
    """

    seconds: float
    accuracy: float | None
    failed: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A network that another sweep has computed while it waited here."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A network that another sweep computes, while nothing else is left to do here."""


@dataclass(frozen=True, slots=True)
class Again:
    """A network whose process was ended, through no fault of its own as far as is known."""

    note: str = "its process was ended; computed by itself later"


@dataclass(frozen=True, slots=True)
class Raised:
    """A network that could not be computed, and why; `details` is the traceback."""

    reason: str
    details: str = ""


Message = Step | Finished | Found | Awaited | Again | Raised
Deliver = Callable[[NetworkSpec, Result], Message | Result]
Send = Callable[[int, Message | Result], None]  # takes the position of a network in its group


@dataclass
class Worker:
    """The state of a worker process: its setup, its surroundings, the data sets loaded so far.

    `deliver` takes a network with its rows and provenance; it writes the shard here by default.
    """

    setup: Setup
    deliver: Deliver | None = None
    device: torch.device = field(init=False)
    environment: dict[str, object] = field(init=False)
    datasets: dict[str, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = torch.device(self.setup.device)
        set_up(self.device)
        load_plugins(self.setup.plugins)
        # now, because the files may be edited while the worker runs what it has loaded
        self.environment = environment(self.device, self.setup.plugins)
        self.environment["workers"] = self.setup.jobs

    def compute(self, group: Group, send: Send) -> None:
        """Compute a group, write its shards; send one last message for each of its networks.

        Raises what says that the device is lost, for this process: the networks that have had no
        last message are to be computed by another one.
        """
        waiting = {network: i for i, network in enumerate(map(id, group.networks))}
        try:
            for network, result in self._results(group, send):
                position = waiting.pop(id(network))
                send(position, self._finish(network, result))
        except Exception as error:
            if is_device_lost(error):
                raise
            for position in waiting.values():
                send(position, raised(error))

    def _results(
        self, group: Group, send: Send
    ) -> Iterator[tuple[NetworkSpec, Result | Exception]]:
        reports: dict[int, Throttle] = {}
        for i, network in enumerate(group.networks):
            if self.deliver is None:
                remove_parts(network, self.setup.out)
            reports[id(network)] = Throttle(partial(send, i))
        data = self.data(group.networks[0])
        weights = keep_in(self.setup.out) if self.setup.checkpoints else forget
        return run_networks(
            group.networks, data, group.backend, lambda spec: reports[id(spec)], weights
        )

    def _finish(self, network: NetworkSpec, result: Result | Exception) -> Message | Result:
        if isinstance(result, Exception):
            return raised(result)
        computed = result._replace(provenance=result.provenance | self.environment)
        if self.deliver is not None:
            return self.deliver(network, computed)
        return keep(network, computed, self.setup.out)

    def data(self, spec: NetworkSpec) -> Dataset:
        """Return the data set of a network; each data set of the study is loaded once."""
        label = spec.dataset.label
        if label not in self.datasets:
            self.datasets[label] = load(
                spec.dataset, spec.split_seed, self.setup.data_root, self.device
            )
        return self.datasets[label]


def keep(network: NetworkSpec, computed: Result, out: Path) -> Message:
    """Write the shard of a network; return its last message."""
    table, provenance, predictions = computed
    folder = network.folder(out)
    try:
        write_shard(table, provenance, folder, network.run_id, predictions)
    except Exception as error:  # whatever it is, the other networks go on
        if is_complete(folder, network.run_id):
            return Found()
        return raised(error)
    cells, failed = provenance["cells"], provenance["failed"]
    accuracy = cells[0]["test_accuracy"] if cells else None  # none if the dense one failed
    reason = failed[0]["reason"] if failed else ""
    return Finished(sum(provenance["seconds"].values()), accuracy, len(failed), reason)


class Throttle:
    """A `Report` that sends at most one message per INTERVAL, and loses nothing but the last."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.send = send
        self.cell = ""
        self.epochs = self.cells = 0
        self.sent = time.monotonic()

    def __call__(self, cell: str = "", *, epochs: int = 0, cells: int = 0) -> None:
        """Collect, and send when it is time."""
        self.cell = cell or self.cell
        self.epochs += epochs
        self.cells += cells
        if time.monotonic() - self.sent >= INTERVAL:
            self.send(Step(self.cell, self.epochs, self.cells))
            self.epochs = self.cells = 0
            self.sent = time.monotonic()


def set_up(device: torch.device) -> None:
    """Set how this process computes.

    On a CPU on one thread, so that results do not depend on the number of workers. On a GPU in
    float32 as it is called, not in TF32, which torch takes for convolutions only; a recipe's
    `precision` is the way to less.
    """
    if device.type == "cpu":
        torch.set_num_threads(1)
        # pruned networks breed denormal numbers, which are a hundred times slower
        torch.set_flush_denormal(True)
    else:
        if device.index is not None:
            torch.cuda.set_device(device)  # graphs are captured there
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True  # sizes never change within a stack


def serve(pipe: Connection, setup: Setup, number: int) -> None:
    """Compute groups from the pipe until None arrives; end with the parent, however it ends.

    When the device is lost, the last thing sent is the reason, with no position, and the process
    ends.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    device = device_of(setup.device, number, torch.cuda.device_count())
    worker = Worker(replace(setup, device=device))
    while (group := pipe.recv()) is not None:
        try:
            worker.compute(group, lambda position, message: pipe.send((position, message)))
        except Exception as error:
            pipe.send((None, raised(error)))
            sys.exit(1)


def device_of(device: str, number: int, n_gpus: int) -> str:
    """Return the device of a worker: workers take the GPUs of a machine in turns."""
    return f"cuda:{number % n_gpus}" if device == "cuda" and n_gpus > 1 else device


def raised(error: Exception) -> Raised:
    """Return an error as a message."""
    return Raised(reason_of(error), "".join(traceback.format_exception(error)))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
