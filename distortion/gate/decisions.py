"""From intervals to verdicts, with an error rate for each; and how much more data would decide.

A limit divides what is true into two hypotheses, and each verdict rejects one of them:

pass  every estimate is within its limit. All of them must be shown, an intersection–union test:
      each at the full error rate gives the claim about all of them that same error rate (Berger
      1982, Technometrics 24, 295–300, theorem 1). No correction.
fail  some limit is exceeded. One of many is enough, so chance has many occasions: the error rate
      is divided among all estimates of all limits (Bonferroni).

One exception makes a recipe stricter: it does not pass where a single network certainly exceeds the
limit by its own test images (at the error rate of a fail, divided among networks), since a mean
hides that. The verdict is then not a fail, which would
say that the mean is beyond, but not enough data: what is missing is whether it is rare.

The bound on which a pass is decided is therefore closer to the estimate than the other one.
Among several conditions the same holds one level up: if all must pass, the fail side is divided
once more; if one is enough, the pass side.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.gate.criteria import Criterion
from distortion.gate.limits import FAIL, OPEN, PASS, Target, Verdict
from distortion.gate.proportions import Tails

Values = NDArray[np.float64]
MOST: Final[dict[Target, float]] = {"network": 1e6, "recipe": 1e3}


@dataclass(frozen=True, slots=True)
class Errors:
    """The error probability of the bound that decides a pass, and of that which decides a fail."""

    passing: float
    failing: float

    def tails(self, criterion: Criterion) -> Tails:
        """The same as errors of the lower and the upper bound."""
        both = self.failing, self.passing
        return both if criterion.at_most else both[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A criterion decided: bounds, verdicts and data needed, (m,) each.

    `needed` is the number of images or networks at which an open verdict would be decided if the
    estimates stayed as they are; NaN where it is decided, or beyond `MOST`, or where a network
    beyond the limit holds up a pass. `foreseen` is the verdict that it would then be. `beyond`
    (M, m) are the networks of a recipe that certainly exceed the limit, each by itself.
    """

    criterion: Criterion
    low: Values
    high: Values
    verdicts: tuple[Verdict, ...]
    needed: Values
    foreseen: tuple[Verdict, ...]
    beyond: NDArray[np.bool_]

    @property
    def verdict(self) -> Verdict:
        """Of the criterion: fail if one estimate fails, pass if all pass."""
        return together(self.verdicts)


def errors(level: float, found: list[Criterion], conditions: int, *, enough: bool) -> Errors:
    """The error rates of one of several conditions; `enough`: one that passes is enough."""
    alpha = 1 - level
    estimates = sum(len(criterion.estimate) for criterion in found)
    return Errors(
        passing=alpha / (conditions if enough else 1),
        failing=alpha / estimates / (1 if enough else conditions),
    )


def decide(criterion: Criterion, rates: Errors, target: Target) -> Decision:
    """Compare the interval of every estimate with the limit."""
    m = len(criterion.estimate)
    tails = rates.tails(criterion)
    low, high = criterion.interval(np.ones(m), tails)
    beyond = _beyond(criterion)
    single = criterion.beyond(rates.failing)
    held = np.asarray(single.any(axis=0))
    found = _verdicts(criterion, low, high)
    verdicts = tuple(OPEN if h and v == PASS else v for h, v in zip(held, found, strict=True))
    # More networks would not make the one that is beyond undone.
    foreseen: list[Verdict] = [
        FAIL if b else OPEN if h else PASS for b, h in zip(beyond, held, strict=True)
    ]
    reachable = np.array([v == OPEN for v in verdicts]) & (beyond | ~held)
    needed = np.where(reachable, _needed(criterion, tails, MOST[target]), np.nan)
    return Decision(criterion, low, high, verdicts, needed, tuple(foreseen), single)


def together(verdicts: tuple[Verdict, ...], *, enough: bool = False) -> Verdict:
    """Fail if one fails and pass if all pass; with `enough`, the other way round."""
    one: Verdict = PASS if enough else FAIL
    all_: Verdict = FAIL if enough else PASS
    if one in verdicts:
        return one
    return all_ if set(verdicts) == {all_} else OPEN


def _verdicts(criterion: Criterion, low: Values, high: Values) -> list[Verdict]:
    within, outside = _sides(criterion, low, high)
    return [PASS if w else FAIL if o else OPEN for w, o in zip(within, outside, strict=True)]


def _sides(
    criterion: Criterion, low: Values, high: Values
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the interval lies within the limit, and whether beyond it; NaN is neither."""
    if criterion.at_most:
        return high <= criterion.limit, low > criterion.limit
    return low >= criterion.limit, high < criterion.limit


def _beyond(criterion: Criterion) -> NDArray[np.bool_]:
    if criterion.at_most:
        return criterion.estimate > criterion.limit
    return criterion.estimate < criterion.limit


def _needed(criterion: Criterion, tails: Tails, most: float) -> Values:
    """The smallest size (m,) that decides, by bisection; NaN beyond `most`, or most per class."""
    size = criterion.size

    def decided(wanted: Values) -> NDArray[np.bool_]:
        within, outside = _sides(criterion, *criterion.interval(wanted / size, tails))
        return np.where(_beyond(criterion), outside, within)

    low, high = size.copy(), np.full_like(size, most)
    possible = (high > size) & decided(np.maximum(high, size))
    while possible.any() and (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = decided(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(possible, high, np.nan)
