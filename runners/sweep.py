"""A whole study: what is done already, whether the rest can be done, and doing it."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from distortion.errors import StudyError
from distortion.log import is_complete
from runners.datasets import load
from runners.masks import size_of
from runners.nets import build
from runners.pool import compute
from runners.progress import Display
from runners.shards import damaged, refuse_other_versions, remove
from runners.study import NetworkSpec, Study
from runners.worker import Raised, Setup


@dataclass(frozen=True, slots=True)
class Sweep:
    """Where and how a study runs.

    out         folder of all logs; the study gets a folder of its own in it
    data_root   folder of data sets
    device      "cpu" or "cuda"
    jobs        worker processes
    """

    study: Study
    out: Path
    data_root: Path
    device: str
    jobs: int

    @property
    def folder(self) -> Path:
        """The folder of the study's log."""
        return self.study.folder(self.out)

    def run(self, display: Display) -> list[tuple[NetworkSpec, Raised]]:
        """Compute the networks that are not there yet; return those that could not be computed.

        Raises
        ------
        StudyError
            Before anything is trained: the data, a network or a ratio cannot be used, or the
            folder holds networks of another version of this study.
        """
        waiting = []
        for network in self.study.networks:
            damage = damaged(network, self.out)
            if damage:
                display.note(f"{damage} It is computed again.")
                remove(network, self.out)
            if not is_complete(network.folder(self.out), network.run_id):
                waiting.append(network)
        refuse_other_versions(self.study, self.out)
        check_feasible(waiting, self.data_root)
        setup = Setup(self.out, self.data_root, self.device, self.study.plugins)
        problems = []
        with (
            display.shown(waiting, len(self.study.networks)),
            closing(compute(waiting, self.jobs, setup)) as messages,
        ):
            for network, message in messages:
                display.update(network, message)
                if isinstance(message, Raised):
                    problems.append((network, message))
        return problems


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


def check_feasible(networks: Sequence[NetworkSpec], data_root: Path) -> None:
    """Load every data set and build every network once; raise StudyError before hours are spent."""
    cpu = torch.device("cpu")
    datasets, checked = {}, set()
    for network in networks:
        labels = (network.dataset.label, network.model.label)
        if labels in checked:
            continue
        checked.add(labels)
        if labels[0] not in datasets:
            datasets[labels[0]] = load(network.dataset, network.split_seed, data_root, cpu)
        data = datasets[labels[0]]
        model = network.model
        net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
        for ratio in network.ratios:
            try:
                size_of(net).keep(ratio)
            except StudyError as error:
                raise StudyError(f"{labels[1]} on {labels[0]}: {error}") from None
