"""The measures of inequality as data: name, formula, null value, scale, and when undefined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, accuracies
from distortion.errors import DesignError, did_you_mean
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
    bounds : smallest and largest value that there can be
    needs : the optional column of the log that it takes
    undefined : when a network has no value, in words
    """

    name: str
    of: Callable[[Pairs], Values]
    null: float | None = None
    log: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
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
    name: str, of: Callable[[Values], Values], undefined: str = "", most: float = 1.0
) -> tuple[Measure, Measure, Measure]:
    """A statistic of recalls, between 0 and `most`, before, after, and its change."""

    def dense(pairs: Pairs) -> Values:
        return of(pairs.dense / pairs.n)

    def after(pairs: Pairs) -> Values:
        return of(pairs.correct / pairs.n)

    return (
        Measure(f"{name}_dense", dense, bounds=(0.0, most), undefined=undefined),
        Measure(name, after, bounds=(0.0, most), undefined=undefined),
        Measure(
            f"{name}_change",
            lambda p: after(p) - dense(p),
            null=0.0,
            bounds=(-most, most),
            undefined=undefined,
        ),
    )


def _accuracy_change(pairs: Pairs) -> Values:
    return accuracies(pairs.correct, pairs.n) - accuracies(pairs.dense, pairs.n)


EQUAL_DENSE: Final = "all dense recalls are equal, or an accuracy is 0"
EQUAL_EITHER: Final = "all recalls before, or all after, are equal"
PERFECT: Final = "the dense parent has a class without false positives or false negatives"
SHARE: Final = (0.0, 1.0)
CHANGE: Final = (-1.0, 1.0)
# ψ is the change of a class less that of all: two shares apart at most.
GAP: Final = (0.0, 2.0)
POSITIVE: Final = (0.0, np.inf)
MEASURES: Final = (
    Measure("alpha", alpha, null=1.0, undefined=EQUAL_DENSE),
    Measure("kappa", kappa, null=1.0, log=True, undefined=EQUAL_EITHER),
    Measure("rho", rho, bounds=CHANGE, undefined=EQUAL_EITHER),
    Measure("accuracy_dense", lambda p: accuracies(p.dense, p.n), bounds=SHARE),
    Measure("accuracy", lambda p: accuracies(p.correct, p.n), bounds=SHARE),
    Measure("accuracy_change", _accuracy_change, null=0.0, bounds=CHANGE),
    *_levels("worst_recall", worst),
    *_levels("recall_range", recall_range),
    *_levels("recall_sd", recall_sd, most=0.5),
    *_levels("recall_gini", gini, "all recalls are 0"),
    Measure("forgotten", forgotten, bounds=SHARE, needs="kept"),
    Measure("gained", gained, bounds=SHARE, needs="kept"),
    Measure("excess_gap_max", lambda p: np.asarray(excess_gaps(p).max(axis=-1)), bounds=GAP),
    Measure("excess_gap_range", lambda p: np.asarray(np.ptp(excess_gaps(p), axis=-1)), bounds=GAP),
    Measure("cev", combined_error_variance, bounds=POSITIVE, needs="predicted", undefined=PERFECT),
    Measure("sde", symmetric_distance_error, bounds=POSITIVE, needs="predicted", undefined=PERFECT),
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


def evaluated(pairs: Pairs, measures: Sequence[Measure]) -> Values:
    """The K measures (..., K) on their scale of averages."""
    return np.stack([measure.scaled(measure.of(pairs)) for measure in measures], axis=-1)


def chosen(names: Any) -> tuple[Measure, ...]:
    """The measures of these names, in the order of `MEASURES`; all for None, one for one name.

    Raises
    ------
    DesignError
        If one is unknown, or there is none.
    """
    if names is None:
        return MEASURES
    known = [measure.name for measure in MEASURES]
    wanted = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if unknown := [name for name in wanted if name not in known]:
        raise DesignError(f"No measure {unknown[0]!r}. {did_you_mean(str(unknown[0]), known)}")
    if not wanted:
        raise DesignError("measures is empty: name one, or leave it out for all.")
    return tuple(measure for measure in MEASURES if measure.name in wanted)
