"""What a study will take: time, processor time, money and disk, before anything is trained."""

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass

from runners.checkpoints import n_bytes
from runners.engines.local import default_jobs
from runners.groups import Group, Shape, shape_of
from runners.measuring import measure
from runners.progress import Display
from runners.sweep import Sweep
from runners.tables import clock, size


@dataclass(frozen=True, slots=True)
class Line:
    """The networks of one data set, model and recipe; `seconds` are those of one network."""

    dataset: str
    model: str
    recipe: str
    networks: int
    cells: int
    epochs: int
    backend: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the networks that are not there yet will take.

    wall        seconds until the sweep ends, with `jobs` workers that have a core each
    processor   seconds of all workers together, on a GPU those that they hold it
    disk        bytes of shards, provenance and checkpoints
    """

    lines: tuple[Line, ...]
    jobs: int
    wall: float
    processor: float
    disk: int

    def cost(self, price: float) -> float:
        """Return what the machine costs at a price per hour."""
        return price * self.wall / 3600

    @property
    def rows(self) -> Sequence[tuple[str, ...]]:
        """The lines as a table, with a head."""
        head = ("data set", "model", "recipe", "networks", "cells", "epochs", "back-end", "each")
        return [head] + [
            (
                line.dataset,
                line.model,
                line.recipe,
                f"{line.networks:,}",
                f"{line.cells:,}",
                f"{line.epochs:,}",
                line.backend,
                clock(line.seconds),
            )
            for line in self.lines
        ]

    def summary(self, price: float | None) -> str:
        """Return the totals in words."""
        parts = [
            f"about {clock(self.wall)} with {self.jobs} worker(s)",
            f"{clock(self.processor)} of processor time",
            f"{size(self.disk)} on disk",
        ]
        if price is not None:
            parts.append(f"cost {self.cost(price):,.2f} at {price:,.2f} per hour")
        return ", ".join(parts) + "."


def estimate(sweep: Sweep, display: Display) -> Estimate:
    """Measure what a sweep would do; nothing is written to its folder.

    Raises
    ------
    StudyError
        The study cannot be run, or cannot be measured.
    """
    begun = time.process_time()
    waiting, checked = sweep.check(display)
    ours = time.process_time() - begun
    groups = sweep.groups(waiting, checked, display)  # the run finds its back-ends measured
    by_shape: dict[Shape, list[Group]] = {}
    for group in groups:
        by_shape.setdefault(shape_of(group.networks[0]), []).append(group)
    largest = [max(members, key=lambda group: len(group.networks)) for members in by_shape.values()]
    if groups:
        display.note(f"Measuring networks of {len(by_shape)} kind(s), {sweep.jobs} at once.")
    costs = measure(largest, sweep.jobs, sweep.setup) if groups else []
    lines, disk = [], 0
    seconds: dict[Shape, float] = {}
    for (shape, members), cost in zip(by_shape.items(), costs, strict=True):
        networks = [network for group in members for network in group.networks]
        spec = networks[0]
        weights = n_bytes(checked[shape_of(spec)][1]) * spec.n_cells if sweep.checkpoints else 0
        disk += len(networks) * (cost.size + weights)
        seconds[shape] = cost.seconds
        n_cells, n_epochs = len(networks) * spec.n_cells, len(networks) * spec.n_epochs
        backend = str(members[0].backend)
        lines.append(Line(*shape, len(networks), n_cells, n_epochs, backend, cost.seconds))
    spans = [len(g.networks) * seconds[shape_of(g.networks[0])] for g in groups]
    start = sum(cost.start for cost in costs)
    n_workers = min(sweep.jobs, len(groups))
    wall = ours + makespan(spans, n_workers, start)
    if sweep.device == "cpu":
        wall = max(wall, (sum(spans) + n_workers * start) / default_jobs(sweep.device))
    return Estimate(tuple(lines), sweep.jobs, wall, ours + sum(spans) + n_workers * start, disk)


def makespan(spans: Sequence[float], n_workers: int, start: float) -> float:
    """Return when the last of `n_workers` is done that take the spans in order, from `start` on."""
    ends = [start] * n_workers
    for span in spans:
        heapq.heapreplace(ends, ends[0] + span)
    return max(ends, default=0.0)
