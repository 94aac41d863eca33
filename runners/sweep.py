"""A whole study: what is done already, whether the rest can be done, and doing it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from distortion.errors import StudyError
from distortion.log import is_complete
from runners.datasets import Dataset, load
from runners.methods import METHODS
from runners.nets import build
from runners.pool import compute
from runners.progress import Display
from runners.provenance import environment
from runners.shards import (
    damaged,
    record_failure,
    refuse_other_sources,
    refuse_other_versions,
    remove,
    remove_old_failures,
)
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
            Before anything is trained: the data, a network or a ratio cannot be used, the
            folder cannot be written, or holds networks of another version of this study.
        """
        waiting = self._prepare(display)
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
                    self._record(network, message, display)
        return problems

    def _prepare(self, display: Display) -> list[NetworkSpec]:
        """Return the networks to compute, when nothing known stands in the way."""
        waiting = []
        for network in self.study.networks:
            damage = damaged(network, self.out)
            if damage:
                display.note(f"{damage} It is computed again.")
                with writing(self.folder):
                    remove(network, self.out)
            if not is_complete(network.folder(self.out), network.run_id):
                waiting.append(network)
        refuse_other_versions(self.study, self.out)
        hashes = check_feasible(waiting, self.data_root)
        if waiting:
            surroundings = environment(torch.device("cpu"), self.study.plugins)
            plugins = cast(dict[str, str], surroundings["plugins"])
            refuse_other_sources(self.study, self.out, hashes, plugins)
        with writing(self.folder):
            for folder in sorted({network.folder(self.out) for network in waiting}):
                check_writable(folder)
            remove_old_failures(self.study, self.out)
        return waiting

    def _record(self, network: NetworkSpec, problem: Raised, display: Display) -> None:
        try:
            record_failure(network, self.out, problem.reason, problem.details)
        except OSError as error:
            display.note(f"{network}: that it failed cannot be recorded ({error}).")


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


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError into a StudyError that says that the log cannot be written."""
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"The log cannot be written to {folder}: {error}. Make the folder writable, or choose "
            f"another one with -o."
        ) from error


def check_writable(folder: Path) -> None:
    """Create a folder and write a file in it; raise OSError if that cannot be done."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe.{os.getpid()}.part"
    try:
        probe.write_bytes(b"probe")
    finally:
        probe.unlink(missing_ok=True)


def check_feasible(networks: Sequence[NetworkSpec], data_root: Path) -> dict[str, str]:
    """Load every data set and build every network once; return the hashes of the data sets.

    Raises StudyError where something cannot be used, before hours are spent.
    """
    cpu = torch.device("cpu")
    datasets, checked = {}, set()
    for network in networks:
        labels = (network.dataset.label, network.model.label, network.recipe.name)
        if labels in checked:
            continue
        checked.add(labels)
        if labels[0] not in datasets:
            datasets[labels[0]] = load(network.dataset, network.split_seed, data_root, cpu)
        data = datasets[labels[0]]
        _check_validation(network, data)
        model = network.model
        net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
        for spec in network.methods:
            try:
                METHODS[spec.name].check(net, spec, network.ratios, network.recipe)
            except StudyError as error:
                raise StudyError(f"{labels[1]} on {labels[0]}: {error}") from None
    return {label: data.digest for label, data in datasets.items()}


def _check_validation(network: NetworkSpec, data: Dataset) -> None:
    """Raise StudyError when the study needs validation images that the split does not give."""
    label = network.dataset.label
    if network.recipe.checkpoint == "best-validation" and len(data.validation) == 0:
        raise StudyError(
            f"Data set {label!r}: the checkpoint is to be chosen on validation images, but the "
            f"split leaves none. Raise its validation_share or train_limit."
        )
    if "validation" in network.count:
        counted = data.validation.labels.bincount(minlength=data.n_classes)
        missing = [name for name, n in zip(data.class_names, counted, strict=True) if n == 0]
        if missing:
            raise StudyError(
                f"Data set {label!r}: validation images are to be counted, but the split leaves "
                f"none of {len(missing)} classes, for example {missing[0]!r}. Raise its "
                f"validation_share or train_limit, or count the test images only."
            )
