"""The counts of each condition as arrays, network by class, beside those of the dense parents.

symbol  name here        size    meaning
M, C    size             ()      networks; classes
n       n                (M, C)  support: test images of the class
k_0     dense            (M, C)  images predicted correctly by the dense parent
k_t     correct          (M, C)  by the network itself
k_0t    kept             (M, C)  by both; None where a cell does not know them
k_1     control          (M, C)  by the network's own control (fine-tuned, nothing removed);
                                 NaN rows for networks without one, None where no network has one
m_0     predicted_dense  (M, C)  images predicted as the class by the dense parent; None where a
                                 parent does not know them
m_t     predicted        (M, C)  by the network itself
B̄       balances(k, n)   (M, C)  normalized recall balance (R − A) / A, A pooled over classes

Everything that needs all classes of a network at once (reliability, instruments, the structural
model, matched nulls, bootstraps) starts from these arrays; what is per row starts from
`distortion.designs`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.designs import CONDITION, compressed_arm, measures
from distortion.log import Source, read_log
from distortion.schema import CONTROL, DENSE

Values = NDArray[np.float64]
Columns = Mapping[Any, pl.Series]
# What a network and its one dense and one control cell share, beside the seed.
CONTEXT = ("study", "dataset", "model", "recipe", "split")


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts of one condition; rows of all arrays are networks, columns classes.

    Attributes
    ----------
    condition : the CONDITION columns, by name
    seeds : (M,)
    networks : (M,) names
    class_ids, class_names : (C,); names are the ids where the log has none
    n, dense, correct : (M, C) int64
    kept : (M, C) int64, or None
    control : (M, C) float64, NaN where unknown, or None
    ratio_achieved : (M,) NaN where unknown
    predicted_dense, predicted : (M, C) int64, or None
    partly_kept : (M, C) float64, NaN rows where unknown, if some networks know `kept` and some do
        not; read it through `kept_by_network`
    """

    condition: Mapping[str, Any]
    seeds: tuple[int, ...]
    networks: tuple[str, ...]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    n: NDArray[np.int64]
    dense: NDArray[np.int64]
    correct: NDArray[np.int64]
    kept: NDArray[np.int64] | None
    control: Values | None
    ratio_achieved: Values
    predicted_dense: NDArray[np.int64] | None = None
    predicted: NDArray[np.int64] | None = None
    partly_kept: Values | None = None

    @property
    def kept_by_network(self) -> Values:
        """`kept` (M, C) of the networks that know it, NaN rows for the others."""
        known = self.partly_kept if self.kept is None else self.kept
        return np.full(self.size, np.nan) if known is None else known.astype(np.float64)

    @property
    def size(self) -> tuple[int, int]:
        """Networks M and classes C."""
        return self.n.shape[0], self.n.shape[1]

    @property
    def balanced(self) -> bool:
        """Whether all classes of a network have the same support."""
        return bool((self.n == self.n[:, :1]).all())


def balances(correct: NDArray[Any], n: NDArray[Any]) -> Values:
    """Normalized recall balance (..., C) of counts (..., C); NaN where accuracy is 0.

    Good et al. (2022), section 3. Accuracy is pooled: Σ correct / Σ n over the last axis.
    """
    accuracy = accuracies(correct, n)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(accuracy > 0, (correct / n - accuracy) / accuracy, np.nan))


def accuracies(correct: NDArray[Any], n: NDArray[Any]) -> Values:
    """Accuracy (...) of counts (..., C), pooled over the last axis."""
    return np.asarray(correct.sum(axis=-1) / n.sum(axis=-1))


def counts(log: Source, *, arm: str | None = None, split: str = "test") -> list[Counts]:
    """The counts of every condition of a compressed arm, then of the control arm.

    Parameters
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted

    Returns
    -------
    One element for each condition, in the order of the log. Networks of a condition that were
    evaluated on other classes than most are in an element of their own.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split.
    """
    log = read_log(log)
    arm = compressed_arm(log, arm, split)
    rows = measures(log).filter(pl.col("split") == split)
    controls = _by_network(rows, CONTROL, "correct")
    predictions = _by_network(rows, DENSE, "predicted")
    found = []
    for wanted in (arm, CONTROL):
        for _, part in _by(rows.filter(pl.col("arm") == wanted), *CONDITION):
            classes: dict[tuple[int, ...], list[pl.DataFrame]] = {}
            for _, cell in _by(part, "seed"):
                cell = cell.sort("class_id")
                classes.setdefault(tuple(cell["class_id"]), []).append(cell)
            found += [_counts(cells, controls, predictions) for cells in classes.values()]
    return found


def _counts(cells: list[pl.DataFrame], controls: Columns, predictions: Columns) -> Counts:
    first = cells[0]
    row = first.row(0, named=True)
    seeds = tuple(cell["seed"][0] for cell in cells)
    keys = [(*(row[c] for c in CONTEXT), seed) for seed in seeds]
    nothing = pl.Series([None] * first.height, dtype=pl.Float64)
    control = np.stack([controls.get(key, nothing).cast(pl.Float64).to_numpy() for key in keys])
    names = first["class_name"].to_list() if "class_name" in first.columns else []
    kept = [cell.get_column("kept", default=None) for cell in cells]
    achieved = [
        cell["ratio_achieved"][0] if "ratio_achieved" in cell.columns else None for cell in cells
    ]
    return Counts(
        condition={c: row[c] for c in CONDITION},
        seeds=seeds,
        networks=tuple(cell["network"][0] for cell in cells),
        class_ids=tuple(first["class_id"]),
        class_names=tuple(
            str(i) if name is None else name
            for i, name in zip(first["class_id"], names or [None] * first.height, strict=True)
        ),
        n=_stacked(cell["n"] for cell in cells),
        dense=_stacked(cell["correct_dense"] for cell in cells),
        correct=_stacked(cell["correct"] for cell in cells),
        kept=_known(kept),
        partly_kept=_partly_known(kept, first.height),
        control=None if np.isnan(control).all() else control,
        ratio_achieved=np.array([np.nan if r is None else r for r in achieved], dtype=float),
        predicted_dense=_known(predictions.get(key) for key in keys),
        predicted=_known(cell.get_column("predicted", default=None) for cell in cells),
    )


def _stacked(columns: Iterable[pl.Series]) -> NDArray[np.int64]:
    return np.stack([column.to_numpy() for column in columns])


def _known(columns: Iterable[pl.Series | None]) -> NDArray[np.int64] | None:
    """The columns stacked, None as soon as one is missing or lacks a value."""
    whole = []
    for column in columns:
        if column is None or column.null_count():
            return None
        whole.append(column)
    return _stacked(whole)


def _partly_known(columns: list[pl.Series | None], size: int) -> Values | None:
    """The columns of `size` stacked, NaN rows where one lacks a value; None if all or none do."""
    whole = [column is not None and not column.null_count() for column in columns]
    if all(whole) or not any(whole):
        return None
    return np.stack(
        [
            column.cast(pl.Float64).to_numpy()
            if column is not None and known
            else np.full(size, np.nan)
            for column, known in zip(columns, whole, strict=True)
        ]
    )


def _by_network(rows: pl.DataFrame, arm: str, column: str) -> dict[Any, pl.Series]:
    """A column of the one cell that each network has in this arm; empty where the log lacks it."""
    cells = rows.filter(pl.col("arm") == arm)
    if column not in rows.columns:
        return {}
    return {key: cell.sort("class_id")[column] for key, cell in _by(cells, *CONTEXT, "seed")}


def _by(rows: pl.DataFrame, *columns: str) -> list[tuple[Any, pl.DataFrame]]:
    return list(rows.group_by(*columns, maintain_order=True))
