"""What one network leaves behind: rows of the log, and per cell a line for the provenance."""

from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from distortion.schema import COLUMNS, DENSE, NO_METHOD
from runners.counts import class_counts, logits, mean_loss
from runners.datasets import Dataset, Images
from runners.study import NetworkSpec

INTERVENTION = "pruning"
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

    n_remaining       parameters that are not pruned, whole network
    mean_theta_grad   mean of |theta g| over the prunable weights of the dense network
    mean_decay_term   mean of epsilon theta^2 over them; both None where no gradient was taken
    """

    arm: str
    n_remaining: int
    method: str = NO_METHOD
    ratio: float = 1.0
    mean_theta_grad: float | None = None
    mean_decay_term: float | None = None

    def __str__(self) -> str:
        return self.arm if self.method == NO_METHOD else f"{self.arm} {self.method} {self.ratio:g}"


class Recorder:
    """Collects the rows of a network. Nothing that varies between machines goes into the table."""

    def __init__(
        self, spec: NetworkSpec, data: Dataset, n_params: int, initial_weights: str
    ) -> None:
        self.spec = spec
        self.data = data
        self.n_params = n_params
        self.initial_weights = initial_weights
        self.cells: list[dict[str, object]] = []
        self.failed: list[dict[str, object]] = []
        self._rows: list[dict[str, object]] = []
        self._dense: dict[str, Tensor] = {}

    @property
    def table(self) -> pl.DataFrame:
        """The rows so far, with the columns of the log."""
        return pl.DataFrame(self._rows, schema=SCHEMA)

    def fail(self, cell: Cell, reason: str) -> None:
        """Record a cell as failed in every split; it gets no rows."""
        if cell.arm == DENSE:
            reason += "; no other cell of the network could be run"
        for split in self.spec.count:
            self.failed.append({**self._key(cell, split), "reason": reason})

    def count(self, net: nn.Module, cell: Cell, train_loss: float | None = None) -> bool:
        """Count a cell on all splits of the study; return whether it could be counted.

        The dense cell must come first: it is the parent of all others.
        """
        outputs = {split: logits(net, self.data, self._images(split)) for split in self.spec.count}
        if not all(bool(torch.isfinite(output).all()) for output in outputs.values()):
            self.fail(cell, "the outputs of the network are not finite")
            return False
        line: dict[str, object] = {
            "cell": str(cell),
            "ratio_achieved": self.n_params / cell.n_remaining,
            "train_loss": train_loss,
        }
        if len(self.data.validation):
            line["validation_loss"] = mean_loss(net, self.data, self.data.validation)
        for split, output in outputs.items():
            labels = self._images(split).labels
            line[f"{split}_loss"] = float(functional.cross_entropy(output, labels))
            line[f"{split}_accuracy"] = self._add_rows(cell, split, output.argmax(1), labels)
        self.cells.append(line)
        return True

    def _add_rows(self, cell: Cell, split: str, predictions: Tensor, labels: Tensor) -> float:
        """Add one row per class and return the accuracy."""
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
                    **self._key(cell, split),
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
        return float(counts.correct.sum() / counts.n.sum())

    def _key(self, cell: Cell, split: str) -> dict[str, object]:
        return {
            **self.spec.key,
            "intervention": INTERVENTION,
            "method": cell.method,
            "ratio": cell.ratio,
            "arm": cell.arm,
            "split": split,
        }

    def _images(self, split: str) -> Images:
        return {"test": self.data.test, "validation": self.data.validation}[split]
