"""A whole study: what is done already, whether the rest can be done, and doing it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from distortion.errors import StudyError
from distortion.log import is_complete
from runners.backends import Backend
from runners.datasets import Dataset, load
from runners.engines.engine import Engine
from runners.engines.local import Local
from runners.groups import Shape, make_groups, shape_of
from runners.methods import METHODS
from runners.nets import build
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
    backend     how networks are run: the name of a back-end, or "auto" for the fastest
    engine      where they are run
    """

    study: Study
    out: Path
    data_root: Path
    device: str
    jobs: int
    backend: str
    engine: Engine = field(default_factory=Local)

    @property
    def folder(self) -> Path:
        """The folder of the study's log."""
        return self.study.folder(self.out)

    @property
    def setup(self) -> Setup:
        """What all workers share."""
        return Setup(self.out, self.data_root, self.device, self.study.plugins)

    def run(self, display: Display) -> list[tuple[NetworkSpec, Raised]]:
        """Compute the networks that are not there yet; return those that could not be computed.

        Raises
        ------
        StudyError
            Before anything is trained: the data, a network or a ratio cannot be used, the
            folder cannot be written, or holds networks of another version of this study.
        """
        waiting, datasets, backends = self._prepare(display)
        groups = make_groups(waiting, backends, self.jobs)
        computed = self.engine.compute(groups, self.jobs, self.setup, datasets)
        problems = []
        with (
            display.shown(waiting, len(self.study.networks)),
            closing(computed) as messages,
        ):
            for network, message in messages:
                display.update(network, message)
                if isinstance(message, Raised):
                    problems.append((network, message))
                    self._record(network, message, display)
        return problems

    def _prepare(
        self, display: Display
    ) -> tuple[list[NetworkSpec], dict[str, Dataset], dict[Shape, Backend]]:
        """Return what to compute, of what and how, when nothing known stands in the way."""
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
        datasets = check_feasible(waiting, self.data_root)
        hashes = {label: data.digest for label, data in datasets.items()}
        if waiting:
            surroundings = environment(torch.device("cpu"), self.study.plugins)
            plugins = cast(dict[str, str], surroundings["plugins"])
            refuse_other_sources(self.study, self.out, hashes, plugins)
        with writing(self.folder):
            for folder in sorted({network.folder(self.out) for network in waiting}):
                check_writable(folder)
            remove_old_failures(self.study, self.out)
        return waiting, datasets, self._backends(waiting, datasets, display)

    def _backends(
        self,
        waiting: Sequence[NetworkSpec],
        datasets: Mapping[str, Dataset],
        display: Display,
    ) -> dict[Shape, Backend]:
        """Return how the networks of each shape are run; say which cannot be stacked, and why."""
        backends: dict[Shape, Backend] = {}
        for network in waiting:
            shape = shape_of(network)
            if shape in backends:
                continue
            backends[shape], notes = self.engine.choose(
                self.backend, network, datasets[shape[0]], self.setup, self.jobs
            )
            for note in notes:
                display.note(f"{shape[1]} on {shape[0]} {note}.")
        return backends

    def _record(self, network: NetworkSpec, problem: Raised, display: Display) -> None:
        try:
            record_failure(network, self.out, problem.reason, problem.details)
        except OSError as error:
            display.note(f"{network}: that it failed cannot be recorded ({error}).")


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


def check_feasible(networks: Sequence[NetworkSpec], data_root: Path) -> dict[str, Dataset]:
    """Load every data set and build a network of every shape; return the data sets by label.

    Raises StudyError where something cannot be used, before hours are spent.
    """
    cpu = torch.device("cpu")
    datasets: dict[str, Dataset] = {}
    checked: set[Shape] = set()
    for network in networks:
        shape = shape_of(network)
        if shape in checked:
            continue
        if shape[0] not in datasets:
            datasets[shape[0]] = load(network.dataset, network.split_seed, data_root, cpu)
        data, model = datasets[shape[0]], network.model
        _check_validation(network, data)
        net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
        for spec in network.methods:
            try:
                METHODS[spec.name].check(net, spec, network.ratios, network.recipe)
            except StudyError as error:
                raise StudyError(f"{shape[1]} on {shape[0]}: {error}") from None
        checked.add(shape)
    return datasets


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
