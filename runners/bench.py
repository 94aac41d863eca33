"""The bench of a group: networks on their way, trained and evaluated in stacks, cell by cell."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import polars as pl
from torch import nn

from runners.backends import Backend
from runners.checkpoints import Keep, forget
from runners.datasets import Dataset, Images
from runners.evaluation import Evaluation, evaluate
from runners.halving import is_device_lost
from runners.nets import build
from runners.recorder import Cell, Recorder
from runners.replicas import Outcome, Training
from runners.report import Report
from runners.study import NetworkSpec
from runners.train import train


class Result(NamedTuple):
    """What a network leaves: rows of the log, provenance, and predictions if the study asks."""

    table: pl.DataFrame
    provenance: dict[str, Any]
    predictions: pl.DataFrame | None


@dataclass(eq=False)
class Run:
    """A network on its way; `missing` counts its trained cells after the dense one.

    The control is missing from the start. `keep` takes the network of a counted cell.
    """

    spec: NetworkSpec
    net: nn.Module
    recorder: Recorder
    report: Report
    keep: Callable[[Cell, nn.Module], None]
    missing: int = 1
    broken: Exception | None = None

    @property
    def result(self) -> Result | Exception:
        """What the network leaves, or why it must be computed again."""
        recorder = self.recorder
        return self.broken or Result(
            recorder.table, recorder.provenance(self.net), recorder.predictions
        )


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network that will be a cell; `training` says how, where it is trained before."""

    cell: Cell
    run: Run
    net: nn.Module
    training: Training | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What the networks of a group share."""

    data: Dataset
    backend: Backend
    keep: Keep = forget

    @property
    def sets(self) -> dict[str, Images]:
        """The images that every network is evaluated on."""
        sets = {"test": self.data.test, "validation": self.data.validation}
        return {name: images for name, images in sets.items() if len(images)}

    def begin(self, spec: NetworkSpec, report: Report) -> Run:
        """Return a network before training."""
        net = self.initial(spec)
        recorder = Recorder(spec, self.data, net, str(self.backend))
        return Run(
            spec, net, recorder, report, lambda cell, net: self.keep(spec, cell, self.data, net)
        )

    def initial(self, spec: NetworkSpec) -> nn.Module:
        """Return the initial weights of a network."""
        model, train, seed = spec.model, self.data.train, spec.streams.seed("weights")
        net = build(model.name, model.options, train.shape, self.data.n_classes, seed=seed)
        return net.to(train.labels.device)

    def train(
        self, candidates: Iterable[Candidate]
    ) -> Iterator[tuple[Candidate, Outcome, Evaluation | Exception | None]]:
        """Train candidates; yield each with its outcome, and evaluated if sound."""
        waiting: dict[Training, Candidate] = {}

        def trainings() -> Iterator[Training]:
            for candidate in candidates:
                assert candidate.training is not None
                waiting[candidate.training] = candidate
                yield candidate.training

        def on_epoch(training: Training, epochs: int) -> None:
            candidate = waiting[training]
            candidate.run.report(str(candidate.cell), epochs=epochs)

        pairs = train(trainings(), self.data, self.backend, on_epoch)
        while together := list(islice(pairs, self.backend.size)):
            done = [(waiting.pop(training), outcome) for training, outcome in together]
            evaluations = self.evaluate([c for c, outcome in done if outcome.is_sound])
            for candidate, outcome in done:
                candidate.run.recorder.spend(candidate.cell.arm, outcome.seconds)
                yield candidate, outcome, evaluations.get(candidate)

    def evaluate(self, candidates: Sequence[Candidate]) -> dict[Candidate, Evaluation | Exception]:
        """Return what the networks of candidates predict, or what was raised."""
        start = time.perf_counter()
        evaluations = dict(evaluate(candidates, self.data, self.sets, self.backend))
        spent = time.perf_counter() - start
        for candidate in candidates:
            candidate.run.recorder.spend(candidate.cell.arm, spent / len(candidates))
        return evaluations


def settle(
    candidate: Candidate, outcome: Outcome, evaluation: Evaluation | Exception | None
) -> bool:
    """Count a cell, or record why that cannot be; return whether it was counted.

    Raises what ended the training of a dense network, which is then tried again another time, and
    what says that the device is lost.
    """
    recorder, cell, counted = candidate.run.recorder, candidate.cell, False
    with recorder.attempt(cell):
        if outcome.error:
            raise outcome.error
        if isinstance(evaluation, Exception):
            raise evaluation
        if evaluation is None:
            recorder.fail(cell, str(outcome.failure))
        else:
            counted = recorder.count(cell, evaluation, outcome.train_loss)
    candidate.run.report(cells=1)
    if counted:
        try:
            candidate.run.keep(cell, candidate.net)
        except Exception as error:  # a full disk is no failure of the cell
            if is_device_lost(error):
                raise
            candidate.run.broken = error
    return counted and candidate.run.broken is None
