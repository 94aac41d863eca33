"""Worker processes on this machine."""

import os
from collections.abc import Mapping, Sequence

import torch

from distortion.errors import StudyError
from runners import pool
from runners.backends import Backend
from runners.datasets import Dataset
from runners.engines.engine import Messages
from runners.engines.errands import choose_for
from runners.groups import Group
from runners.study import NetworkSpec
from runners.tuning import Notes
from runners.worker import Setup


class Local:
    """Worker processes on this machine."""

    def settle(self, device: str, jobs: int | None) -> tuple[str, int]:
        """Choose a GPU if there is one, and by default one worker per core, or one on a GPU."""
        device = choose_device(device)
        return device, jobs or default_jobs(device)

    def choose(
        self, wanted: str, network: NetworkSpec, data: Dataset, setup: Setup, jobs: int
    ) -> tuple[Backend, Notes]:
        """Measure here."""
        return choose_for(wanted, network, data, torch.device(setup.device), jobs)

    def compute(
        self, groups: Sequence[Group], jobs: int, setup: Setup, datasets: Mapping[str, Dataset]
    ) -> Messages:
        """Compute in processes that each load the data sets; forked ones could not use CUDA."""
        return pool.compute(groups, jobs, setup)


def choose_device(name: str) -> str:
    """Return "cpu" or "cuda"; of "auto", cuda where there is a GPU that torch can use.

    Raises
    ------
    StudyError
        "cuda" was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name == "cuda" and not available:
        raise StudyError("torch finds no GPU that it can use. Pass --device cpu, or auto.")
    return name


def default_jobs(device: str) -> int:
    """Return one worker per core that this process may use; a single one on a GPU."""
    if device != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
