"""The measures of inequality as data: name, formula, null value, scale, and when undefined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, accuracies
from distortion.inequality.formulas import (
    alpha,
    combined_error_variance,
    excess_gaps,
    forgotten,
    gained,
    gini,
    kappa,
    recall_range,
    recall_sd,
    rho,
    symmetric_distance_error,
    worst,
)
from distortion.resampling.images import Pairs

Values = NDArray[np.float64]
Column = Literal["kept", "predicted"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a network.

    Attributes
    ----------
    name : of the row or column
    of : paired counts (..., C) to values (...)
    null : value under "nothing changes for classes", None where it is no test's null
    log : averaged over networks, and given an interval, on the log scale (positive ratios)
    needs : the optional column of the log that it takes
    undefined : when a network has no value, in words
    """

    name: str
    of: Callable[[Pairs], Values]
    null: float | None = None
    log: bool = False
    needs: Column | None = None
    undefined: str = ""

    def scaled(self, values: Values) -> Values:
        """To the scale of averages; log κ of κ = 0 is undefined."""
        if not self.log:
            return values
        return np.log(np.where(values > 0, values, np.nan))

    def unscaled(self, value: float) -> float:
        """Back from the scale of averages."""
        return float(np.exp(value)) if self.log else value


def _levels(
    name: str, of: Callable[[Values], Values], undefined: str = ""
) -> tuple[Measure, Measure, Measure]:
    """A statistic of recalls before, after, and its change."""

    def dense(pairs: Pairs) -> Values:
        return of(pairs.dense / pairs.n)

    def after(pairs: Pairs) -> Values:
        return of(pairs.correct / pairs.n)

    return (
        Measure(f"{name}_dense", dense, undefined=undefined),
        Measure(name, after, undefined=undefined),
        Measure(f"{name}_change", lambda p: after(p) - dense(p), null=0.0, undefined=undefined),
    )


def _accuracy_change(pairs: Pairs) -> Values:
    return accuracies(pairs.correct, pairs.n) - accuracies(pairs.dense, pairs.n)


EQUAL_DENSE: Final = "all dense recalls are equal, or an accuracy is 0"
EQUAL_EITHER: Final = "all recalls before, or all after, are equal"
PERFECT: Final = "the dense parent has a class without false positives or false negatives"
MEASURES: Final = (
    Measure("alpha", alpha, null=1.0, undefined=EQUAL_DENSE),
    Measure("kappa", kappa, null=1.0, log=True, undefined=EQUAL_EITHER),
    Measure("rho", rho, undefined=EQUAL_EITHER),
    Measure("accuracy_dense", lambda p: accuracies(p.dense, p.n)),
    Measure("accuracy", lambda p: accuracies(p.correct, p.n)),
    Measure("accuracy_change", _accuracy_change, null=0.0),
    *_levels("worst_recall", worst),
    *_levels("recall_range", recall_range),
    *_levels("recall_sd", recall_sd),
    *_levels("recall_gini", gini, "all recalls are 0"),
    Measure("forgotten", forgotten, needs="kept"),
    Measure("gained", gained, needs="kept"),
    Measure("excess_gap_max", lambda p: np.asarray(excess_gaps(p).max(axis=-1))),
    Measure("excess_gap_range", lambda p: np.asarray(np.ptp(excess_gaps(p), axis=-1))),
    Measure("cev", combined_error_variance, needs="predicted", undefined=PERFECT),
    Measure("sde", symmetric_distance_error, needs="predicted", undefined=PERFECT),
)


def pairs_of(counts: Counts) -> Pairs:
    """The paired counts (M, C) of a condition."""
    return Pairs(
        counts.n,
        counts.dense,
        counts.correct,
        counts.kept,
        counts.predicted_dense,
        counts.predicted,
    )


def evaluated(pairs: Pairs) -> Values:
    """All measures (..., K) on their scale of averages."""
    return np.stack([measure.scaled(measure.of(pairs)) for measure in MEASURES], axis=-1)
