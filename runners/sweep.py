"""A whole study: what is done already, whether the rest can be done, and doing it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from distortion.errors import StudyError
from distortion.log import is_complete
from runners.backends import Backend
from runners.checkpoints import dense_checkpoint
from runners.claims import drop_claim
from runners.engines.engine import Engine
from runners.engines.local import Local
from runners.feasibility import Checked, check_feasible
from runners.groups import Group, Shape, make_groups, shape_of
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
    checkpoints whether the weights of every cell are kept
    """

    study: Study
    out: Path
    data_root: Path
    device: str
    jobs: int
    backend: str
    engine: Engine = field(default_factory=Local)
    checkpoints: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the study's log."""
        return self.study.folder(self.out)

    @property
    def setup(self) -> Setup:
        """What the workers are told."""
        return Setup(
            self.out,
            self.data_root,
            self.device,
            self.study.plugins,
            self.jobs,
            self.checkpoints,
        )

    def run(self, display: Display) -> list[tuple[NetworkSpec, Raised]]:
        """Compute the networks that are not there yet; return those that could not be computed.

        Raises
        ------
        StudyError
            Before anything is trained: the data, a network or a ratio cannot be used, the
            folder cannot be written, or holds networks of another version of this study.
        """
        waiting, checked = self.check(display)
        self._open_folders(waiting)
        groups = self.groups(waiting, checked, display)
        if self.checkpoints:
            self._note_missing_checkpoints(display)
        datasets = {shape[0]: data for shape, (data, _) in checked.items()}
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

    def check(self, display: Display) -> tuple[list[NetworkSpec], Checked]:
        """Return the networks to compute, and data and a network of each of their shapes.

        Nothing is written. Raises StudyError where something known stands in the way.
        """
        waiting = []
        for network in self.study.networks:
            damage = damaged(network, self.out)
            if damage:
                display.note(f"{damage} It is computed again.")
            if damage or not is_complete(network.folder(self.out), network.run_id):
                waiting.append(network)
        refuse_other_versions(self.study, self.out)
        checked = check_feasible(waiting, self.data_root)
        hashes = {shape[0]: data.digest for shape, (data, _) in checked.items()}
        if waiting:
            surroundings = environment(torch.device("cpu"), self.study.plugins)
            plugins = cast(dict[str, str], surroundings["plugins"])
            refuse_other_sources(self.study, self.out, hashes, plugins)
        return waiting, checked

    def groups(
        self, waiting: Sequence[NetworkSpec], checked: Checked, display: Display
    ) -> list[Group]:
        """Return the networks to compute in groups, each with its back-end."""
        return make_groups(waiting, self._backends(waiting, checked, display), self.jobs)

    def _open_folders(self, waiting: Sequence[NetworkSpec]) -> None:
        """Make sure that shards can be written; remove what is damaged or out of date."""
        with writing(self.folder):
            for folder in sorted({network.folder(self.out) for network in waiting}):
                check_writable(folder)
            for network in waiting:
                if damaged(network, self.out):
                    remove(network, self.out)
            for network in self.study.networks:
                if is_complete(network.folder(self.out), network.run_id):
                    drop_claim(network, self.out)  # of a process that was killed right after
            remove_old_failures(self.study, self.out)

    def _backends(
        self,
        waiting: Sequence[NetworkSpec],
        checked: Checked,
        display: Display,
    ) -> dict[Shape, Backend]:
        """Return how the networks of each shape are run; say which cannot be stacked, and why."""
        backends: dict[Shape, Backend] = {}
        for network in waiting:
            shape = shape_of(network)
            if shape in backends:
                continue
            backends[shape], notes = self.engine.choose(
                self.backend, network, checked[shape][0], self.setup, self.jobs
            )
            for note in notes:
                display.note(f"{shape[1]} on {shape[0]} {note}.")
        return backends

    def _note_missing_checkpoints(self, display: Display) -> None:
        without = sum(
            is_complete(network.folder(self.out), network.run_id)
            and not dense_checkpoint(network, self.out).exists()
            for network in self.study.networks
        )
        if without:
            display.note(
                f"{without} finished networks have no checkpoints, and are not computed again. "
                "To have theirs, choose another folder with -o."
            )

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
