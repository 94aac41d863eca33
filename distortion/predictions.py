"""Predictions: the class that every network gives every image, from which logs are recounted.

A log counts; with predictions one can also ask on which images networks err together
(`distortion.resampling.joint`) and which images compression changes (`distortion.inequality`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import LogError
from distortion.layouts import files, read_file, to_lists
from distortion.log import RecallLog, read_log
from distortion.rules import in_words
from distortion.schema import CELL, COUNTS, DENSE, NETWORK

Classes = NDArray[np.uint16]
# Cells that agree in these are tested on the same images.
IMAGES: Final = ("study", "dataset", "split")


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """The images of one split of a data set, and what K cells predict of them.

    Attributes
    ----------
    images : (n,) their numbers; positions where the source has none
    labels : (n,) true classes
    predicted : (K, n) predicted classes
    first : the cell of the first row; rows are cells in a row
    """

    images: NDArray[np.int64]
    labels: Classes
    predicted: Classes
    first: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Predictions:
    """Validated predictions.

    Attributes
    ----------
    log : the log that is counted from them; `log.cells` numbers the cells
    sets : the images of each data set and split, with what every cell predicts of them
    source : where they were read from
    """

    log: RecallLog
    sets: tuple[ImageSet, ...]
    source: str

    def __repr__(self) -> str:
        images = sum(len(images.labels) for images in self.sets)
        networks = self.log.cells.select(NETWORK).n_unique()
        return (
            f"Predictions({self.source}: {self.log.cells.height} cells, {networks} networks, "
            f"{images:,} images)"
        )

    def of(self, cells: Sequence[int]) -> tuple[ImageSet, Classes]:
        """The images that cells of one data set and split share, and what they predict (K, n)."""
        [images] = [s for s in self.sets if 0 <= cells[0] - s.first < len(s.predicted)]
        return images, images.predicted[np.asarray(cells) - images.first]


PredictionSource: TypeAlias = str | os.PathLike[str] | pl.DataFrame | Predictions


def read_predictions(source: PredictionSource) -> Predictions:
    """Read and validate predictions.

    Parameters
    ----------
    source : the folder of a study that was run with `predictions = true`; a .parquet, .pq or .csv
        file, a glob pattern or a polars frame in one of the layouts of `distortion.layouts`; or
        Predictions (returned as they are)

    Raises
    ------
    LogError
        If nothing can be read, a value is no class, cells of a data set and split have other
        images or labels than each other, or what is counted breaks a rule of the log.

    Warns
    -----
    LogWarning
        As `read_log` does.
    """
    if isinstance(source, Predictions):
        return source
    if isinstance(source, pl.DataFrame):
        table, name = to_lists(source), "a frame in memory"
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        table = _joined(files(name))
    else:
        raise LogError(
            f"Predictions cannot be read from {type(source).__name__}: give a path or a polars "
            "frame."
        )
    return _validated(table, name)


def recount(source: PredictionSource) -> pl.DataFrame:
    """The log that predictions give: CELL columns, `class_id`, n, correct, predicted and kept.

    Everything that takes a log takes this frame. It has neither names of classes nor numbers of
    parameters, which predictions do not tell: join them where they are wanted.
    """
    return read_predictions(source).log.table.select(*CELL, "class_id", *COUNTS)


def _joined(paths: Sequence[Path]) -> pl.DataFrame:
    tables = {path: read_file(path) for path in paths}
    full = {path: table for path, table in tables.items() if table.height} or tables
    found = []
    for path, table in full.items():
        try:
            found.append(to_lists(table))
        except LogError as error:
            raise LogError(f"{path}: {error}") from None
    return pl.concat(found, how="diagonal")


def _validated(table: pl.DataFrame, source: str) -> Predictions:
    twice = table.filter(pl.struct(CELL).is_duplicated())
    if twice.height:
        raise LogError(
            f"{twice.height} rows name the same cell as another one, for example "
            f"{_named(twice, 0)}. A cell predicts its images once: remove the copies."
        )
    sets, cells, first = [], [], 0
    for part in table.partition_by(IMAGES, maintain_order=True):
        sets.append(_image_set(part, first))
        cells.append(part.select(CELL))
        first += part.height
    counted = [_counted(*pair) for pair in zip(cells, sets, strict=True)]
    return Predictions(read_log(pl.concat(counted)), tuple(sets), source)


def _image_set(part: pl.DataFrame, first: int) -> ImageSet:
    """The images of cells that are tested on the same."""
    sizes = part["labels"].list.len()
    n = int(sizes[0])
    _refuse(part, sizes.to_numpy() != n, f"has another number of images than {n:,}, as")
    labels, predicted = (
        part[c].explode().to_numpy().reshape(part.height, n) for c in ("labels", "predicted")
    )
    _refuse(part, (labels != labels[0]).any(axis=1), "has other labels, or in another order, than")
    images = np.arange(n)
    if "images" in part.columns:
        absent = part["images"].is_null().to_numpy()
        _refuse(part, absent != absent[0], "names the images by number, or not, unlike")
    if "images" in part.columns and not absent[0]:
        numbers = part["images"].explode().to_numpy().reshape(part.height, n)
        _refuse(part, (numbers != numbers[0]).any(axis=1), "has other images than")
        images = numbers[0].astype(np.int64)
    return ImageSet(images, labels[0].copy(), predicted, first)


def _refuse(part: pl.DataFrame, differs: NDArray[np.bool_], what: str) -> None:
    if differs.any():
        raise LogError(
            f"{differs.sum()} of {part.height} cells cannot be compared: "
            f"{_named(part, int(differs.argmax()))} {what} {_named(part, 0)}. All cells of a data "
            "set and split predict the same images in the same order; give studies on other "
            "images another name."
        )


def _named(cells: pl.DataFrame, row: int) -> str:
    return f"the cell {in_words(cells.select(CELL).row(row, named=True))}"


def _counted(cells: pl.DataFrame, images: ImageSet) -> pl.DataFrame:
    """One row per cell and class, without parameters."""
    labels = images.labels
    classes, numbers = np.unique(labels, return_inverse=True)

    def per_class(chosen: Any) -> NDArray[np.int64]:
        return np.bincount(numbers[chosen], minlength=len(classes))

    hits = images.predicted == labels
    dense = {
        _parent(row): hit
        for row, hit in zip(cells.rows(named=True), hits, strict=True)
        if row["arm"] == DENSE
    }
    # Without a dense cell nothing is kept; `read_log` refuses it in words.
    nothing = np.zeros(len(labels), dtype=bool)
    rows: dict[str, list[Any]] = {name: [] for name in COUNTS}
    for row, hit, predicted in zip(cells.rows(named=True), hits, images.predicted, strict=True):
        rows["n"].append(per_class(slice(None)))
        rows["correct"].append(per_class(hit))
        rows["predicted"].append(np.bincount(predicted, minlength=classes[-1] + 1)[classes])
        rows["kept"].append(per_class(hit & dense.get(_parent(row), nothing)))
    keys = cells[np.repeat(np.arange(cells.height), len(classes))]
    return keys.with_columns(
        pl.Series("class_id", np.tile(classes, cells.height), pl.Int64),
        *(pl.Series(name, np.concatenate(columns), pl.Int64) for name, columns in rows.items()),
    )


def _parent(cell: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[c] for c in (*NETWORK, "split"))
