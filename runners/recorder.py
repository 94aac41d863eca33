"""What one network leaves behind: rows of the log, and per cell a line for the provenance."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from distortion.errors import DistortionError
from distortion.schema import COLUMNS, DENSE, NO_METHOD
from runners.counts import class_counts, logits
from runners.datasets import Dataset
from runners.masks import size_of
from runners.provenance import now, weights_hash
from runners.study import NetworkSpec

SCHEMA = pl.Schema(
    {column.name: column.dtype for column in COLUMNS}
    | {
        "mean_theta_grad": pl.Float64(),
        "mean_decay_term": pl.Float64(),
        "weights_hash": pl.String(),
    }
)


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

    def __init__(self, spec: NetworkSpec, data: Dataset, net: nn.Module) -> None:
        self.spec = spec
        self.data = data
        self.n_params = size_of(net).total
        self.initial_weights = weights_hash(net)
        self.cells: list[dict[str, object]] = []
        self.failed: list[dict[str, object]] = []
        self.seconds: dict[str, float] = {}
        self._started = now()
        self._rows: list[dict[str, object]] = []
        self._dense: dict[str, Tensor] = {}

    @property
    def table(self) -> pl.DataFrame:
        """The rows so far, with the columns of the log."""
        return pl.DataFrame(self._rows, schema=SCHEMA)

    def provenance(self, dense: nn.Module) -> dict[str, Any]:
        """Return the provenance of the network that was recorded, given its dense weights."""
        return {
            **self.spec.key,
            "run_id": self.spec.run_id,
            "configuration": self.spec.configuration,
            "started": self._started,
            "finished": now(),
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
            "data_hash": self.data.digest,
            "initial_weights_hash": self.initial_weights,
            "dense_weights_hash": weights_hash(dense),
            "cells": self.cells,
            "failed": self.failed,
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def fail(self, cell: Cell, reason: str) -> None:
        """Record a cell as failed in every split; it gets no rows."""
        if cell.arm == DENSE:
            reason += "; no other cell of the network could be run"
        for split in self.spec.count:
            self.failed.append({**cell_key(self.spec, cell, split), "reason": reason})

    @contextmanager
    def attempt(self, cell: Cell) -> Iterator[None]:
        """Record a cell as failed if the block raises; without a dense cell the network ends."""
        if cell.arm == DENSE:
            yield
            return
        n_rows, memory_ran_out = len(self._rows), False
        try:
            yield
        except Exception as error:  # whatever it is, the other cells go on
            del self._rows[n_rows:]
            self.fail(cell, reason_of(error))
            memory_ran_out = isinstance(error, torch.cuda.OutOfMemoryError)
        if memory_ran_out:  # here, because the error keeps what the block had allocated
            torch.cuda.empty_cache()

    def count(self, net: nn.Module, cell: Cell, train_loss: float | None = None) -> bool:
        """Count a cell on the splits of the study; return whether it could be counted.

        The dense cell must come first: it is the parent of all others.
        """
        splits = {"test": self.data.test, "validation": self.data.validation}
        outputs = {name: logits(net, self.data, part) for name, part in splits.items() if len(part)}
        if not all(bool(torch.isfinite(output).all()) for output in outputs.values()):
            self.fail(cell, "the outputs of the network are not finite")
            return False
        line: dict[str, object] = {
            "cell": str(cell),
            "ratio_achieved": self.n_params / cell.n_remaining,
            "train_loss": train_loss,
        }
        for name, output in outputs.items():
            predictions, labels = output.argmax(1), splits[name].labels
            line[f"{name}_loss"] = float(functional.cross_entropy(output, labels))
            line[f"{name}_accuracy"] = int((predictions == labels).sum()) / len(labels)
            if name in self.spec.count:
                self._add_rows(cell, name, predictions, labels)
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
