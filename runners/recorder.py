"""What one network leaves behind: rows of the log, and per cell a line for the provenance."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor, nn

from distortion.errors import DistortionError
from distortion.schema import ARMS, BY_NAME, CELL, COLUMNS, DENSE, NO_METHOD
from runners.counts import class_counts
from runners.datasets import Dataset
from runners.evaluation import Evaluation
from runners.halving import is_device_lost
from runners.masks import size_of
from runners.provenance import later, now, weights_hash
from runners.study import NetworkSpec

SCHEMA = pl.Schema(
    {column.name: column.dtype for column in COLUMNS}
    | {
        "mean_theta_grad": pl.Float64(),
        "mean_decay_term": pl.Float64(),
        "weights_hash": pl.String(),
    }
)
BYTE = 256  # classes of which one byte holds the number


@dataclass(frozen=True, slots=True)
class Cell:
    """One (arm, method, ratio) of a network, with what is constant in its rows.

    n_remaining       parameters that are left, whole network; of quantized networks the number
                      of 32-bit parameters that take as many bits
    intervention      what kind of method it is; that of dense and control cells is "pruning"
    mean_theta_grad   mean of |theta g| over the prunable weights of the dense network
    mean_decay_term   mean of epsilon theta^2 over them; both None where no gradient was taken
    """

    arm: str
    n_remaining: int
    method: str = NO_METHOD
    ratio: float = 1.0
    mean_theta_grad: float | None = None
    mean_decay_term: float | None = None
    intervention: str = "pruning"

    def __str__(self) -> str:
        return self.arm if self.method == NO_METHOD else f"{self.arm} {self.method} {self.ratio:g}"


class Recorder:
    """Collects the rows of a network. Nothing that varies between machines goes into the table."""

    def __init__(self, spec: NetworkSpec, data: Dataset, net: nn.Module, backend: str) -> None:
        self.spec = spec
        self.backend = backend
        self.data = data
        self.n_params = size_of(net).total
        self.initial_weights = weights_hash(net)
        self.cells: list[dict[str, object]] = []
        self.failed: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}
        self._started = now()
        self._start = time.perf_counter()
        self._rows: list[dict[str, Any]] = []
        self._predicted: list[dict[str, Any]] = []
        self._dense: dict[str, Tensor] = {}
        self._labels = {"test": data.test.labels.cpu(), "validation": data.validation.labels.cpu()}

    @property
    def table(self) -> pl.DataFrame:
        """The rows so far, with the columns of the log; the order of cells is always the same."""
        return pl.DataFrame(sorted(self._rows, key=self._place), schema=SCHEMA)

    @property
    def predictions(self) -> pl.DataFrame | None:
        """The predictions so far, one row per cell and split; None if the study stores none."""
        if not self.spec.predictions:
            return None
        keys = {name: BY_NAME[name].dtype for name in CELL}
        classes = pl.UInt8() if self.data.n_classes <= BYTE else pl.UInt16()
        schema = keys | {"labels": pl.List(classes), "predicted": pl.List(classes)}
        return pl.DataFrame(sorted(self._predicted, key=self._place), schema=schema)

    def _place(self, row: dict[str, Any]) -> tuple[int, int, float]:
        methods = [NO_METHOD, *(method.label for method in self.spec.methods)]
        return ARMS.index(row["arm"]), methods.index(row["method"]), row["ratio"]

    def provenance(self, dense: nn.Module) -> dict[str, Any]:
        """Return the provenance of the network that was recorded, given its dense weights."""
        return {
            **self.spec.key,
            "run_id": self.spec.run_id,
            "configuration": self.spec.configuration,
            "started": self._started,
            "finished": later(self._started, time.perf_counter() - self._start),
            "backend": self.backend,
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
            "data_hash": self.data.digest,
            "initial_weights_hash": self.initial_weights,
            "dense_weights_hash": weights_hash(dense),
            "cells": self.cells,
            "failed": sorted(self.failed, key=self._place),
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to a stage."""
        start = time.perf_counter()
        yield
        self.spend(name, time.perf_counter() - start)

    def spend(self, stage: str, seconds: float) -> None:
        """Add a time to a stage, for example the share of a network in that of its stack."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def fail(self, cell: Cell, reason: str) -> None:
        """Record a cell as failed in every split; it gets no rows."""
        if cell.arm == DENSE:
            reason += "; no other cell of the network could be run"
        for split in self.spec.count:
            self.failed.append({**cell_key(self.spec, cell, split), "reason": reason})

    @contextmanager
    def attempt(self, cell: Cell) -> Iterator[None]:
        """Record a cell as failed if the block raises.

        Without a dense cell the network ends, and without a device all networks: that is raised.
        """
        if cell.arm == DENSE:
            yield
            return
        n_rows, n_predicted = len(self._rows), len(self._predicted)
        try:
            yield
        except Exception as error:  # whatever it is, the other cells go on
            if is_device_lost(error):
                raise
            del self._rows[n_rows:], self._predicted[n_predicted:]
            self.fail(cell, reason_of(error))

    def count(self, cell: Cell, evaluation: Evaluation, train_loss: float | None) -> bool:
        """Count a cell on the splits of the study; return whether it could be counted.

        The dense cell must come first: it is the parent of all others.
        """
        if not all(predictions.finite for predictions in evaluation.values()):
            self.fail(cell, "the outputs of the network are not finite")
            return False
        line: dict[str, object] = {
            "cell": str(cell),
            "ratio_achieved": self.n_params / cell.n_remaining,
            "train_loss": train_loss,
        }
        for name, predictions in evaluation.items():
            classes, labels = predictions.classes, self._labels[name]
            line[f"{name}_loss"] = predictions.loss
            line[f"{name}_accuracy"] = int((classes == labels).sum()) / len(labels)
            if name in self.spec.count:
                self._add_rows(cell, name, classes, labels)
                self._add_predictions(cell, name, classes, labels)
        self.cells.append(line)
        return True

    def _add_rows(self, cell: Cell, split: str, predictions: Tensor, labels: Tensor) -> None:
        """Add one row per class."""
        if cell.arm == DENSE:
            self._dense[split] = predictions
        counts = class_counts(predictions, labels, self._dense[split], self.data.n_classes)
        per_class = zip(
            self.data.class_names,
            counts.n.tolist(),
            counts.correct.tolist(),
            counts.predicted.tolist(),
            counts.kept.tolist(),
            strict=True,
        )
        for class_id, (class_name, n, correct, predicted, kept) in enumerate(per_class):
            self._rows.append(
                {
                    **cell_key(self.spec, cell, split),
                    "class_id": class_id,
                    "class_name": class_name,
                    "n": n,
                    "correct": correct,
                    "predicted": predicted,
                    "kept": kept,
                    "n_params": self.n_params,
                    "n_remaining": cell.n_remaining,
                    "mean_theta_grad": cell.mean_theta_grad,
                    "mean_decay_term": cell.mean_decay_term,
                    "weights_hash": self.initial_weights,
                }
            )

    def _add_predictions(self, cell: Cell, split: str, classes: Tensor, labels: Tensor) -> None:
        if self.spec.predictions:
            small = np.uint8 if self.data.n_classes <= BYTE else np.uint16
            lists = {"labels": labels.numpy(), "predicted": classes.numpy()}
            lists = {name: column.astype(small) for name, column in lists.items()}
            self._predicted.append(cell_key(self.spec, cell, split) | lists)


def cell_key(spec: NetworkSpec, cell: Cell, split: str) -> dict[str, object]:
    """Return the columns of the log that identify a cell."""
    return {
        **spec.key,
        "intervention": cell.intervention,
        "method": cell.method,
        "ratio": cell.ratio,
        "arm": cell.arm,
        "split": split,
    }


def reason_of(error: Exception) -> str:
    """Return an error in words: what it says if it was raised on purpose, else with its type."""
    return f"{error}" if isinstance(error, DistortionError) else f"{error!r}"
