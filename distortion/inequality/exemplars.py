"""Pruning-identified exemplars (PIE): images on which compression changes the majority's answer.

symbol  name here               formula
ŷ_0     modes of the dense      class that most dense networks predict
ŷ_t     modes of the compressed the same over their compressed descendants
PIE     exemplars               images with ŷ_t ≠ ŷ_0
        agreement               share of the networks that predict the mode

Hooker et al. (2019), "What Do Compressed Deep Neural Networks Forget?" As in their code, of classes
that equally many networks predict the mode is the largest; such images are marked `tied`, since
with few networks ties alone make exemplars. So do new training noise and chance: the same count for
the control (fine-tuned, nothing removed) is the floor, and stands beside every share. Both modes
are over the same networks, those of the condition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.designs import CONDITION, compressed_arm
from distortion.inequality.arguments import check_split
from distortion.inequality.table import CONDITION_TYPES
from distortion.predictions import ImageSet, Predictions, PredictionSource, read_predictions
from distortion.schema import CONTROL

EXEMPLARS: Final = pl.Schema(
    CONDITION_TYPES
    | dict.fromkeys(("image", "label", "dense", "compressed"), pl.Int64())
    | {"dense_agreement": pl.Float64(), "agreement": pl.Float64(), "tied": pl.Boolean()}
    | {"networks": pl.Int64()}
)
EXEMPLAR_SHARES: Final = pl.Schema(
    CONDITION_TYPES
    | dict.fromkeys(("class_id", "n", "exemplars", "tied"), pl.Int64())
    | {"share": pl.Float64(), "control_share": pl.Float64(), "networks": pl.Int64()}
)
# What a condition and its control have in common.
CONTEXT: Final = ("study", "dataset", "model", "recipe", "split")


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """The class (n,) that most of some networks predict, their share, and whether others tie."""

    classes: NDArray[np.int64]
    agreement: NDArray[np.float64]
    tied: NDArray[np.bool_]


def modes(predicted: NDArray[Any]) -> Modes:
    """The modes over networks of predicted classes (M, n); of tied classes the largest."""
    ordered = np.sort(predicted, axis=0)
    run = np.ones(ordered.shape, dtype=np.int64)
    for m in range(1, len(ordered)):
        run[m] = np.where(ordered[m] == ordered[m - 1], run[m - 1] + 1, 1)
    most = run.max(axis=0)
    ends = run == most
    last = len(ordered) - 1 - ends[::-1].argmax(axis=0)
    classes = np.take_along_axis(ordered, last[None], axis=0)[0]
    return Modes(classes.astype(np.int64), most / len(ordered), ends.sum(axis=0) > 1)


def exemplars(
    predictions: PredictionSource, *, arm: str | None = None, split: str = "test"
) -> pl.DataFrame:
    """The images whose majority answer compression changes, by condition.

    Parameters
    ----------
    predictions : what `distortion.read_predictions` reads
    arm : "finetuned" or "pruned"; default: finetuned where there is one
    split : images

    Returns
    -------
    The columns of `EXEMPLARS`, one row per condition and exemplar, those of the control arm last:
    `image` (its number, or position from 0), `label`, the modes `dense` and `compressed`, the
    shares of networks that agree with them, and `tied`. A condition without exemplars has no row
    here, but in `exemplar_shares`.

    Raises
    ------
    DesignError
        If there is no cell with that arm and split.
    """
    tables = []
    for found in _compared(predictions, arm, split):
        where = np.nonzero(found.differ)[0]
        columns: dict[str, NDArray[Any]] = {
            "image": found.images.images,
            "label": found.images.labels,
            "dense": found.dense.classes,
            "compressed": found.after.classes,
            "dense_agreement": found.dense.agreement,
            "agreement": found.after.agreement,
            "tied": found.tied,
        }
        table = pl.DataFrame({name: values[where] for name, values in columns.items()})
        tables.append(_completed(table, found, EXEMPLARS))
    return pl.concat(tables)


def exemplar_shares(
    predictions: PredictionSource, *, arm: str | None = None, split: str = "test"
) -> pl.DataFrame:
    """How many images of each class are exemplars, beside the same of the control.

    Parameters and errors are those of `exemplars`.

    Returns
    -------
    The columns of `EXEMPLAR_SHARES`, one row per condition and class, before these one for all
    images with a null `class_id`: `n` images, `exemplars` among them, `tied` of these, `share` and
    the `control_share` of the same data set, model and class, null without a control.
    """
    tables = []
    for found in _compared(predictions, arm, split):
        labels, tied = found.images.labels, found.differ & found.tied
        classes = np.unique(labels)
        members = [np.ones(len(labels), dtype=bool), *(labels == c for c in classes)]
        table = pl.DataFrame(
            {
                "class_id": [None, *classes.tolist()],
                "n": [int(m.sum()) for m in members],
                "exemplars": [int(found.differ[m].sum()) for m in members],
                "tied": [int(tied[m].sum()) for m in members],
            }
        ).with_columns(share=pl.col("exemplars") / pl.col("n"))
        tables.append(_completed(table, found, EXEMPLAR_SHARES))
    shares = pl.concat(tables)
    on = [*CONTEXT, "class_id"]
    floor = shares.filter(pl.col("arm") == CONTROL).select(*on, control_share="share")
    # A network has one control, but two networks may name its intervention differently.
    floor = floor.unique(on, keep="first", maintain_order=True)
    floored = shares.drop("control_share").join(
        floor, on=on, how="left", nulls_equal=True, validate="m:1", maintain_order="left"
    )
    return floored.select(EXEMPLAR_SHARES.names())


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """The answers of a condition's networks beside those of their dense parents."""

    condition: dict[str, Any]
    networks: int
    images: ImageSet
    dense: Modes
    after: Modes

    @property
    def differ(self) -> NDArray[np.bool_]:
        return np.asarray(self.dense.classes != self.after.classes)

    @property
    def tied(self) -> NDArray[np.bool_]:
        return np.asarray(self.dense.tied | self.after.tied)


def _compared(predictions: PredictionSource, arm: str | None, split: str) -> Iterator[_Compared]:
    check_split(split)
    read: Predictions = read_predictions(predictions)
    arm = compressed_arm(read.log, arm, split)
    cells = read.log.cells.filter(pl.col("split") == split)
    for wanted in (arm, CONTROL):
        of_arm = cells.filter(pl.col("arm") == wanted)
        for key, part in of_arm.group_by(CONDITION, maintain_order=True):
            images, after = read.of(part["cell"].to_list())
            _, dense = read.of(part["parent"].to_list())
            condition = dict(zip(CONDITION, key, strict=True))
            yield _Compared(condition, part.height, images, modes(dense), modes(after))


def _completed(table: pl.DataFrame, found: _Compared, schema: pl.Schema) -> pl.DataFrame:
    """The table with its condition, in the order of its schema."""
    fixed = found.condition | {"networks": found.networks}
    table = table.with_columns(pl.lit(value).alias(name) for name, value in fixed.items())
    absent = [pl.lit(None).alias(name) for name in schema if name not in table.columns]
    return table.with_columns(absent).select(pl.col(c).cast(t) for c, t in schema.items())
