"""What is known of each quantity before a study tests it, from the counts of a pilot.

A quantity is what one test of `findings` is about: α or log κ of a condition, its difference
between two conditions, the change of recall of a class. The variance that matters is that between
networks; part of it test images make.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, counts
from distortion.designs import (
    CONDITION,
    compressed_arm,
    datasets_by_difficulty,
    methods,
    models_by_complexity,
)
from distortion.errors import DesignError
from distortion.inequality.arguments import check_split
from distortion.log import Source, read_log
from distortion.planning.assumptions import Assumptions, Measure
from distortion.planning.images import change_variance, measured, sampling_variance
from distortion.planning.pairing import SEPARATOR, matched, named, pairs, with_control

Values = NDArray[np.float64]
Question = Literal["cell", "control", "ratio", "method", "model", "dataset", "class"]
QUESTIONS: Final[dict[Question, str]] = {
    "cell": "a condition against no change",
    "control": "a condition against the control arm of the same networks",
    "ratio": "a ratio against the next smaller one, same networks",
    "method": "two methods, same networks",
    "model": "two models, different networks",
    "dataset": "two data sets, different networks",
    "class": "the recall of a class against its dense network's",
}
PAIRED: Final = ("control", "ratio", "method")
INDEPENDENT: Final = ("model", "dataset")
# What the tests that are corrected together do not agree on, as in the catalogue.
SPREADS_OVER: Final[dict[Question, tuple[str, ...]]] = {
    "cell": ("ratio",),
    "control": ("ratio",),
    "ratio": ("ratio",),
    "method": ("method", "ratio"),
    "model": ("model", "method", "ratio"),
    "dataset": ("dataset", "model", "recipe", "study", "method", "ratio"),
    "class": (),
}
FEW: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """One quantity, before it is tested.

    Attributes
    ----------
    condition : the CONDITION columns, None where two compared conditions differ; empty if assumed
    comparison : which two; "" if one
    groups : values over networks of the pilot, (M,) each: one, or two of different networks
    variance : over networks; of two groups the sum; NaN where a group has fewer than two
    sampling : the part of `variance` that test images make, at most; NaN if unknown
    freedom : degrees of freedom of the test for each seed beyond the first
    known : degrees of freedom with which `variance` is known; infinite if it is assumed
    images : test images of each network; for a class, of that class; NaN if unknown
    tests : corrected together
    discordance : share of a class's images that only one of the two networks gets right
    notes : what a reader should know of it
    """

    condition: Mapping[str, Any]
    comparison: str
    groups: tuple[Values, ...]
    variance: float
    sampling: float
    freedom: float
    known: float
    images: float
    tests: int = 1
    class_id: int | None = None
    class_name: str | None = None
    discordance: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def seeds(self) -> int:
        """Networks of the pilot; of two groups, of the smaller."""
        return min((len(group) for group in self.groups), default=0)

    def about(self, name: str) -> set[Any]:
        """The values of a CONDITION column; the compared ones where it is what differs."""
        value = self.condition[name]
        return {value} if value is not None else set(self.comparison.split(SEPARATOR))


def from_log(
    log: Source, question: Question, measure: Measure, arm: str | None, split: str
) -> list[Pilot]:
    """The pilot of every test of that question in a log, in its order.

    Raises
    ------
    DesignError
        If the log has nothing to compare.
    """
    check_split(split)
    log = read_log(log)
    arm = compressed_arm(log, arm, split)
    cells = counts(log, arm=arm, split=split)
    treated = [cell for cell in cells if cell.condition["arm"] == arm]
    if question == "cell":
        found = [_pilot(cell, None, measure) for cell in treated]
    elif question == "class":
        found = [pilot for cell in treated for pilot in _classes(cell)]
    elif question == "control":
        found = [_pilot(*pair, measure) for pair in with_control(treated, cells)]
    else:
        order: dict[str, list[Any]] = {
            "ratio": sorted({cell.condition["ratio"] for cell in treated}),
            "method": methods(log),
            "model": models_by_complexity(log),
            "dataset": datasets_by_difficulty(log, split),
        }
        compare = _independent if question in INDEPENDENT else _pilot
        found = [compare(a, b, measure) for a, b in pairs(treated, question, order[question])]
    if not found:
        raise DesignError(
            f"This log has nothing to plan question {question!r} from ({QUESTIONS[question]}). "
            "Ask another question, or plan from assumptions."
        )
    return _with_families(found, SPREADS_OVER[question])


def assumed(
    assumptions: Assumptions, question: Question, measure: Measure, effect: float, tests: int
) -> Pilot:
    """The same from assumptions; `effect` is the difference that is planned for."""
    images = np.nan
    if assumptions.images is not None:
        images = float(assumptions.images * (1 if question == "class" else assumptions.classes))
    if question == "class":
        after = assumptions.seed_sd_after or assumptions.seed_sd
        sampling = 0.0
        if assumptions.images is not None:
            sampling = (assumptions.discordance - effect**2) / assumptions.images
        variance = assumptions.seed_sd**2 + after**2 + sampling
    else:
        paired = question in PAIRED
        groups = 2 if question in INDEPENDENT else 1
        variance = groups * assumptions.variance(measure, paired=paired, effect=effect)
        alone = replace(assumptions, images=None)
        sampling = variance - groups * alone.variance(measure, paired=paired, effect=effect)
    return Pilot(
        condition={},
        comparison="",
        groups=(),
        variance=variance,
        sampling=np.nan if assumptions.images is None else sampling,
        freedom=2.0 if question in INDEPENDENT else 1.0,
        known=np.inf,
        images=images,
        tests=tests,
        discordance=assumptions.discordance if question == "class" else None,
    )


def _pilot(a: Counts, b: Counts | None, measure: Measure) -> Pilot:
    """Of one condition, or of the difference between two conditions of the same networks."""
    values = measured(a, measure)
    if b is None:
        return _summary(a, None, values, sampling_variance(a, measure))
    here, there = matched(a, b)
    values = values[here] - measured(b, measure)[there]
    alone = len(a.seeds) + len(b.seeds) - 2 * len(here)
    return _summary(a, b, values, np.full(values.shape, np.nan), alone)


def _summary(
    a: Counts, b: Counts | None, values: Values, sampling: Values, alone: int = 0
) -> Pilot:
    defined = np.isfinite(values)
    values, sampling = values[defined], sampling[defined]
    condition, comparison = named(a, b)
    left_out = int((~defined).sum()) + alone
    variance = float(values.var(ddof=1)) if values.size > 1 else np.nan
    return Pilot(
        condition=condition,
        comparison=comparison,
        groups=(values,),
        variance=variance,
        sampling=float(sampling.mean()) if values.size else np.nan,
        freedom=1.0,
        known=float(values.size - 1),
        images=float(a.n.sum(axis=1).mean()) if a.n.size else np.nan,
        notes=_notes(a if b is None else None, variance, values.size, left_out),
    )


def _independent(a: Counts, b: Counts, measure: Measure) -> Pilot:
    """Of the difference between conditions of different networks (Welch's test)."""
    one, other = _pilot(a, None, measure), _pilot(b, None, measure)
    parts = np.array([one.variance, other.variance])
    total = float(parts.sum())
    sizes = np.array([one.known, other.known])
    condition, comparison = named(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = float(total**2 / (parts**2).sum())
        known = float(total**2 / (parts**2 / sizes).sum())
    return replace(
        one,
        condition=condition,
        comparison=comparison,
        groups=(*one.groups, *other.groups),
        variance=total,
        sampling=one.sampling + other.sampling,
        freedom=freedom,
        known=known,
        images=(one.images + other.images) / 2,
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
    )


def _classes(cell: Counts) -> Iterator[Pilot]:
    changes = (cell.correct - cell.dense) / cell.n
    sampling = change_variance(cell)
    for c, (number, name) in enumerate(zip(cell.class_ids, cell.class_names, strict=True)):
        discordance = None
        if cell.kept is not None:
            # Half an image more, so that a pilot without a discordant image does not promise that
            # there is none.
            only_one = (cell.dense + cell.correct - 2 * cell.kept)[:, c].sum()
            discordance = float((only_one + 0.5) / (cell.n[:, c].sum() + 1))
        yield replace(
            _summary(cell, None, changes[:, c], sampling[:, c]),
            images=float(cell.n[:, c].mean()),
            class_id=number,
            class_name=name,
            discordance=discordance,
        )


def _notes(alone: Counts | None, variance: float, networks: int, left_out: int) -> tuple[str, ...]:
    found = []
    if networks < 2:
        found.append(f"only {networks} network(s): no SD, at least 2 are needed")
    elif not variance > 0:
        found.append("the networks do not vary at all")
    elif networks < FEW:
        found.append(f"SD from only {networks} networks")
    if left_out:
        found.append(f"{left_out} cell(s) left out: no partner or undefined")
    if alone is not None and alone.kept is None:
        found.append("kept unknown: the images' part is a rougher bound")
    return tuple(found)


def _with_families(found: list[Pilot], spreads_over: tuple[str, ...]) -> list[Pilot]:
    """Count the tests that are corrected together."""
    fields = [c for c in CONDITION if c not in spreads_over]
    keys = [tuple(pilot.condition[c] for c in fields) for pilot in found]
    return [replace(pilot, tests=keys.count(key)) for pilot, key in zip(found, keys, strict=True)]
