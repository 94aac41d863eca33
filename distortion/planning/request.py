"""What a plan is asked for, checked before anything is computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distortion.errors import DesignError, did_you_mean
from distortion.planning.assumptions import Assumptions, Measure
from distortion.planning.pilot import QUESTIONS, Question
from distortion.planning.power import FEWEST_SEEDS, MOST_SEEDS, Kind
from distortion.resampling.intervals import check_level

# The ratios of Good et al. (2022), which they correct for.
FAMILY: Final = 5
SEEDS: Final = (5, 10, 30)
EFFECT: Final = 0.1
CLASS_EFFECT: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `plan`, by the same names.

    Raises
    ------
    DesignError
        If one is out of its range, or does not go with another.
    """

    question: Question
    effect: float | Sequence[float] | None
    margin: float | None
    power: float
    level: float
    family: int | None
    one_sided: bool
    measure: Measure
    seeds: int | Sequence[int] | None
    caution: float

    def __post_init__(self) -> None:
        for name, known in (("question", QUESTIONS), ("measure", get_args(Measure))):
            if (value := getattr(self, name)) not in known:
                raise DesignError(f"No {name} {value!r}. {did_you_mean(str(value), known)}")
        for name, low in (("power", 0.5), ("caution", 0.5)):
            if not (_number(value := getattr(self, name)) and low < value < 1):
                raise DesignError(f"{name} is {value!r}: give a number between {low} and 1.")
        check_level(self.level, above=0.5)
        if self.family is not None and not (_whole(self.family) and self.family >= 1):
            raise DesignError(f"family is {self.family!r}: give a whole number of tests from 1 on.")
        for n in self.sizes:
            if not (_whole(n) and FEWEST_SEEDS <= n <= MOST_SEEDS):
                raise DesignError(
                    f"seeds is {n!r}: give a whole number from {FEWEST_SEEDS} to {MOST_SEEDS:,}."
                )
        if self.question == "class" and self.measure != "alpha":
            raise DesignError("A question about a class has no measure: leave `measure` out.")
        if self.margin is None:
            self._check_differences()
        else:
            self._check_margin(self.margin)

    def _check_differences(self) -> None:
        for effect in self.effects:
            if not (_number(effect) and effect > 0):
                raise DesignError(
                    f"effect is {effect!r}: give a difference above 0, or a margin, to plan for "
                    "showing that there is none."
                )
            if self.question == "class" and effect >= 1:
                raise DesignError(f"effect is {effect!r}: recall changes by shares below 1.")

    def _check_margin(self, margin: float) -> None:
        if self.one_sided:
            raise DesignError("A test with a margin is one-sided already: leave one of them out.")
        if not (_number(margin) and margin > 0):
            raise DesignError(f"margin is {margin!r}: give a difference above 0.")
        for effect in self.effects:
            if not (_number(effect) and 0 <= effect < margin):
                raise DesignError(
                    f"effect is {effect!r}: with a margin of {margin!r} it is the true difference, "
                    "from 0 to below that margin."
                )

    @property
    def kind(self) -> Kind:
        """What is to be shown."""
        if self.margin is None:
            return "difference"
        return "non-inferiority" if self.question == "class" else "equivalence"

    @property
    def effects(self) -> tuple[float, ...]:
        """Every effect asked for, by default one."""
        if self.effect is None:
            detect = CLASS_EFFECT if self.question == "class" else EFFECT
            return (detect if self.margin is None else 0.0,)
        return several(self.effect)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every number of seeds asked for; none: those of the pilot."""
        return () if self.seeds is None else several(self.seeds)

    @property
    def sides(self) -> int:
        """Of a test for a difference."""
        return 1 if self.one_sided else 2

    def scaled(self, values: ArrayLike) -> NDArray[np.float64]:
        """Effects or margins on the scale on which they are tested: of κ, logarithms."""
        values = np.asarray(values, dtype=np.float64)
        return np.asarray(np.log1p(values) if self.measure == "kappa" else values)

    def unscaled(self, values: ArrayLike) -> NDArray[np.float64]:
        """The inverse of `scaled`."""
        values = np.asarray(values, dtype=np.float64)
        return np.asarray(np.expm1(values) if self.measure == "kappa" else values)


def check_class(request: Request, assumptions: Assumptions) -> None:
    """Refuse a change of recall that is larger than the share of images that change."""
    if request.question == "class" and max(request.effects) > assumptions.discordance:
        raise DesignError(
            f"A class cannot change by {max(request.effects):g} if only "
            f"{assumptions.discordance:g} of its images change: assume a larger discordance."
        )


def several(value: Any) -> tuple[Any, ...]:
    """What is asked for: the elements of a sequence, or the one value."""
    many = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return tuple(value) if many else (value,)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
