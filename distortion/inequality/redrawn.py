"""Resamples of the images of stored predictions, joined to the counts of a log."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts
from distortion.errors import DesignError
from distortion.inequality.catalogue import Measure, evaluated, pairs_of
from distortion.predictions import Predictions
from distortion.resampling.images import Pairs
from distortion.resampling.joint import Answers, ImageWeights, image_weights, joint_values
from distortion.rules import in_words
from distortion.schema import CELL

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Draws of the images of every image set, the same for all conditions tested on it."""

    predictions: Predictions
    draws: int
    rng: np.random.Generator
    _cells: dict[tuple[object, ...], int] = field(default_factory=dict)
    _weights: dict[int, ImageWeights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cells.update(
            {row: i for i, row in enumerate(self.predictions.log.cells[CELL].rows())}
        )

    def join(self, counts: Counts) -> tuple[Counts, Answers]:
        """The counts of a condition with those that only predictions tell, and the answers.

        Raises
        ------
        DesignError
            If the predictions lack a network of the condition, or count otherwise than the log.
        """
        cells = [self._cell(counts, seed) for seed in counts.seeds]
        parents = self.predictions.log.cells["parent"].gather(cells).to_list()
        images, after = self.predictions.of(cells)
        answers = Answers(images.labels, self.predictions.of(parents)[1], after)
        logged, counted = pairs_of(counts), answers.pairs
        known = [f for f in Pairs.__slots__ if getattr(logged, f) is not None]
        same = counts.class_ids == tuple(np.unique(images.labels).tolist())
        if not same or any((getattr(logged, f) != getattr(counted, f)).any() for f in known):
            raise DesignError(
                f"The predictions of {in_words(dict(counts.condition))} do not give the counts of "
                "the log. Take both from the same run, with all classes; `distortion.recount` "
                "makes the log of predictions."
            )
        more = {f: getattr(counted, f) for f in ("kept", "predicted_dense", "predicted")}
        return replace(counts, partly_kept=None, **more), answers

    def values(self, answers: Answers, measures: Sequence[Measure]) -> Values:
        """The measures (draws, M, K) of every draw, on their scale of averages."""
        key = id(answers.labels)
        if key not in self._weights:
            self._weights[key] = image_weights(answers.labels, self.draws, self.rng)
        return joint_values(
            lambda pairs: evaluated(pairs, measures),
            answers,
            self._weights[key],
            false_positives=any(measure.needs == "predicted" for measure in measures),
        )

    def _cell(self, counts: Counts, seed: int) -> int:
        key = {**counts.condition, "seed": seed}
        cell = self._cells.get(tuple(key[c] for c in CELL))
        if cell is None:
            raise DesignError(
                f"The predictions lack the cell {in_words(key)} of the log. Give those of all its "
                "networks, or filter the log."
            )
        return cell
