"""The ways that are compared, and how one of them is started and timed.

Every way runs in fresh processes: it warms up, waits until all are ready, and works. CPU seconds
include the workers of data loaders. They do not count waiting for other programs.
"""

import contextlib
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, set_start_method
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import torch

from runners.backends import LOOP, Backend
from runners.study import NetworkSpec
from tests.benchmarks.training import clean, openlth, ours, shrinkbench
from tests.benchmarks.training.cases import Case, by_shape
from tests.benchmarks.training.work import Count, Done

Run = Callable[..., Done]
CLEAN, SHRINKBENCH, OPENLTH = "clean loop", "ShrinkBench", "OpenLTH"


@dataclass(frozen=True, slots=True)
class Way:
    """A program, how many processes of it, threads of each, and `run(specs, data)`."""

    name: str
    processes: int
    threads: int
    run: Run
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall and CPU seconds of a way, those of training epochs alone, and what it counted.

    training   summed over processes and divided by them
    """

    wall: float
    cpu: float
    training: float
    counts: list[Count]


def ways(
    case: Case, cores: int, threads: list[int], peers: dict[str, Path | None], workers: list[int]
) -> list[Way]:
    """All ways of a case: as many processes as leave each its threads; peers that there are."""
    layouts = [(max(1, cores // number), number) for number in threads]
    found = [Way(CLEAN, *layout, clean.run) for layout in layouts]
    found.append(Way("our loop", cores, 1, partial(ours.run, backend=LOOP)))
    found += [
        Way("our stacks", cores, 1, partial(ours.run, backend=Backend("grouped", size)), f"{size}")
        for size in case.stacks
    ]
    for name, run in ((SHRINKBENCH, shrinkbench.run), (OPENLTH, openlth.run)):
        checkout = peers[name]
        for number in workers if checkout else []:
            bound = partial(run, checkout=checkout, workers=number)
            note = f"{number} loader workers"
            # with workers, one process and they share the cores
            wanted = [(1, one) for one in threads] if number else layouts
            found += [Way(name, *layout, bound, note) for layout in wanted]
    return found


def measure(way: Way, case: Case, networks: list[NetworkSpec], root: Path) -> Measured:
    """Compute all networks in a way, shared out over its processes by seed."""
    context = get_context("spawn")
    ready = context.Barrier(way.processes + 1)
    ours_end, theirs = context.Pipe(duplex=False)
    running = []
    for i in range(way.processes):
        mine = by_shape(networks, lambda network, i=i: network.seed % way.processes == i)
        given = (way, case, mine, root, ready, theirs)
        running.append(context.Process(target=_process, args=given))
        running[-1].start()
    with contextlib.suppress(BrokenBarrierError):  # its reason comes through the pipe
        ready.wait()
    start = time.perf_counter()
    said = [ours_end.recv() for _ in running]
    wall = time.perf_counter() - start
    for one in running:
        one.join()
    if errors := [one for one in said if isinstance(one, str)]:
        raise RuntimeError(f"{way.name} failed:\n{errors[0]}")
    cpu = sum(one[0] for one in said)
    training = sum(one[1] for one in said) / way.processes
    return Measured(wall, cpu, training, [count for one in said for count in one[2]])


def _process(
    way: Way, case: Case, shapes: list[list[NetworkSpec]], root: Path, ready: Any, pipe: Any
) -> None:
    set_start_method(None, force=True)  # loaders start their workers as they do by themselves
    torch.set_num_threads(way.threads)
    torch.set_flush_denormal(True)
    try:
        held = [case.images(networks[0], root) for networks in shapes]
        for networks, data in zip(shapes, held, strict=True):
            way.run(*case.short(networks[0], data))
        ready.wait()
        start = _cpu_seconds()
        done = [way.run(networks, data) for networks, data in zip(shapes, held, strict=True)]
        spent = _cpu_seconds() - start
        counts = [count for part in done for count in part.counts]
        pipe.send((spent, sum(part.training for part in done), counts))
    except Exception:
        ready.abort()
        pipe.send(traceback.format_exc())


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
