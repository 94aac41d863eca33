"""A Ray cluster: a task per group; what it computes comes back to this process.

Nothing is shared but the cluster: data sets and the source of the runners and of plugins travel
through Ray, and this process writes every shard.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ray
import torch
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from distortion.errors import StudyError
from runners.backends import Backend
from runners.bench import Result
from runners.datasets import Dataset
from runners.engines.engine import Messages
from runners.engines.errands import Item, choose_for, messages
from runners.engines.local import default_jobs
from runners.engines.sources import sources
from runners.engines.tries import Tries
from runners.groups import Group
from runners.halving import is_device_lost
from runners.shards import remove_parts
from runners.study import NetworkSpec
from runners.studyfile import load_plugins
from runners.tuning import Notes
from runners.worker import Message, Setup, Step, keep, raised
from runners.worklist import found

PAUSE = 5.0  # seconds after which the size of the cluster is looked at again
NODE_LOST = (NodeDiedError, LocalRayletDiedError, ObjectLostError)


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Options of the engine.

    address   "auto" for the cluster of this machine (RAY_ADDRESS goes first), "local" for a new
              one on this machine, or host:port
    cpus      cores that Ray reserves for a worker; it computes on one thread
    gpus      share of a GPU for a worker; by default one GPU with --device cuda
    memory    GiB that Ray reserves for a worker; 0 for no limit
    """

    address: str = "auto"
    cpus: float = 1.0
    gpus: float = 0.0
    memory: float = 0.0

    def check(self, where: str) -> Self:
        """Return the options themselves; raise StudyError if Ray cannot reserve what they say."""
        if min(self.cpus, self.gpus, self.memory) < 0 or not (self.cpus or self.gpus):
            raise StudyError(f"{where}: cpus, gpus and memory must not be negative, nor all be 0.")
        if self.address.startswith("ray://"):
            raise StudyError(
                f"{where}: results cannot stream to a Ray client ({self.address}). Run the command "
                "on a machine of the cluster, for example by `ray job submit`."
            )
        if self.gpus > 1:
            raise StudyError(f"{where}: gpus must be at most 1, which is all that a worker uses.")
        return self


@dataclass(frozen=True, slots=True)
class Task:
    """A group that is being computed, and who of it is not done."""

    group: Group
    missing: set[int]


@contextmanager
def connected(options: RayOptions, plugins: Sequence[str]) -> Iterator["Ray"]:
    """Give a Ray cluster; tasks that still run at the end of the block are ended."""
    with redirect_stdout(sys.stderr):  # Ray prints what nodes say about their end
        try:
            ray.init(
                address=options.address,
                runtime_env={"py_modules": [str(path) for path in sources(plugins)]},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"The Ray cluster {options.address!r} cannot be reached ({error}). Start one with "
                "`ray start --head`, name one with -E address=HOST:PORT, or use -E address=local."
            ) from error
        try:
            yield Ray(options)
        finally:
            ray.shutdown()


class Ray:
    """A Ray cluster that this process is connected to."""

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self.gpus = 0.0
        self.grows = True

    def settle(self, device: str, jobs: int | None) -> tuple[str, int]:
        """Choose GPUs if the cluster has some; by default as many groups as it has room for."""
        if device == "auto":
            has_gpu = self.options.gpus or ray.cluster_resources().get("GPU", 0)
            device = "cuda" if has_gpu else "cpu"
        self.gpus = (self.options.gpus or 1.0) if device == "cuda" else 0.0
        self.grows = jobs is None
        jobs = jobs or self._room()
        if not jobs:
            raise StudyError(
                f"No node of the Ray cluster has room for a worker ({self._resources}). Ask for "
                "less with -E, or, if the cluster grows when there is work, pass --jobs."
            )
        return device, jobs

    def choose(
        self, wanted: str, network: NetworkSpec, data: Dataset, setup: Setup, jobs: int
    ) -> tuple[Backend, Notes]:
        """Measure in a task, once for all nodes; they should be alike."""
        sharing = int(1 / self.gpus) if self.gpus else int(default_jobs("cpu") / self.options.cpus)
        task = ray.remote(_choose).options(**self._resources)
        try:
            return ray.get(task.remote(wanted, network, data, setup, max(1, sharing)))
        except RayTaskError as error:
            if isinstance(error, StudyError):
                raise StudyError(str(error.cause)) from error
            raise StudyError(f"A task on the Ray cluster failed: {error.cause!r}.") from error
        except RayError as error:
            raise StudyError(
                f"The Ray cluster cannot run a task ({error}). Each node needs the versions of "
                'Python, Ray and torch that are here: pip install "distortion[runners,ray]".'
            ) from error

    def compute(
        self, groups: Sequence[Group], jobs: int, setup: Setup, datasets: Mapping[str, Dataset]
    ) -> Messages:
        """Keep up to `jobs` tasks in Ray's queue; more if the cluster grows, unless asked not to.

        A group whose node is lost is computed again, without its networks that are done; a
        network that ends its worker twice is given up.
        """
        stored = {label: ray.put(data) for label, data in datasets.items()}
        serve = ray.remote(_serve).options(
            num_returns="streaming", max_retries=0, **self._resources
        )
        waiting, tries = deque(groups), Tries()
        tasks: dict[Any, Task] = {}
        while True:
            yield from found(waiting, setup.out)
            while waiting and len(tasks) < jobs:
                group = waiting.popleft()
                for network in group.networks:
                    remove_parts(network, setup.out)
                stream: Any = serve.remote(group, setup, stored[group.networks[0].dataset.label])
                tasks[stream] = Task(group, set(range(len(group.networks))))
                yield from found(waiting, setup.out)
            if not tasks:
                return
            ready, _ = ray.wait(list(tasks), num_returns=1, timeout=PAUSE)
            if not ready and self.grows:
                jobs = max(jobs, self._room())
            for stream in ready:
                task = tasks[stream]
                for network, message, again in _receive(stream, task, setup.out, tries):
                    yield network, message
                    if again:
                        waiting.append(again)
                if not task.missing:
                    del tasks[stream]

    @property
    def _resources(self) -> dict[str, float]:
        """What Ray reserves for a worker."""
        wanted = {
            "num_cpus": self.options.cpus,
            "num_gpus": self.gpus,
            "memory": self.options.memory * 2**30,
        }
        return {name: amount for name, amount in wanted.items() if amount or name == "num_cpus"}

    def _room(self) -> int:
        """Return how many workers the nodes have room for."""
        wanted = {"CPU": self.options.cpus, "GPU": self.gpus}
        shares = {name: share for name, share in wanted.items() if share}
        return sum(
            min(int(node["Resources"].get(name, 0) / share) for name, share in shares.items())
            for node in ray.nodes()
            if node["Alive"]
        )


def _receive(
    stream: Any, task: Task, out: Path, tries: Tries
) -> Iterator[tuple[NetworkSpec, Message, Group | None]]:
    """Yield what a task says, or what becomes of its networks when it has ended early."""
    networks = task.group.networks
    try:
        position, message = ray.get(next(stream))
    except (RayError, StopIteration) as error:
        missing = [networks[position] for position in sorted(task.missing)]
        task.missing.clear()
        backend = task.group.backend
        if isinstance(error, NODE_LOST):
            yield from tries.after_loss(missing, backend, "its node was lost")
        elif isinstance(error, OutOfMemoryError):
            yield from tries.after_death(missing, backend, "Ray ended it for lack of memory")
        elif isinstance(error, WorkerCrashedError):
            yield from tries.after_death(missing, backend, "its worker process died")
        elif isinstance(error, RayTaskError):
            yield from ((network, raised(error.cause), None) for network in missing)
        else:
            yield from tries.after_death(missing, backend, f"its task ended early ({error})")
        return
    network = networks[position]
    if isinstance(message, Result):
        message = keep(network, message, out)
    if not isinstance(message, Step):
        task.missing.discard(position)
    yield network, message, None


def _serve(group: Group, setup: Setup, data: Dataset) -> Iterator[Item]:
    """Compute a group in a worker of the cluster, which Ray would use again."""
    try:
        yield from messages(group, setup, data, lambda _, computed: computed)
    except Exception as error:
        if is_device_lost(error):
            os._exit(1)
        raise


def _choose(
    wanted: str, network: NetworkSpec, data: Dataset, setup: Setup, jobs: int
) -> tuple[Backend, Notes]:
    load_plugins(setup.plugins)
    return choose_for(wanted, network, data, torch.device(setup.device), jobs)
