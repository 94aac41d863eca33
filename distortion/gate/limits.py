"""What may be lost: the limits of a gate, checked once."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from distortion.errors import DesignError

Name = Literal["class drop", "accuracy drop", "worst recall", "kappa", "alpha"]
Target = Literal["network", "recipe"]
Verdict = Literal["pass", "fail", "not enough data"]
PASS: Final = "pass"
FAIL: Final = "fail"
OPEN: Final = "not enough data"
DEFAULT_CLASS_DROP: Final = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits asked for; None is not asked.

    Attributes
    ----------
    max_class_drop : recall that any class may lose, as a share (0.02: two points)
    max_accuracy_drop : accuracy over all images that may be lost, as a share
    max_kappa, max_alpha : spread ratio κ and slope α of normalized recall balance
    min_worst_recall : recall that every class must have afterwards, as a share
    """

    max_class_drop: float | None = DEFAULT_CLASS_DROP
    max_accuracy_drop: float | None = None
    max_kappa: float | None = None
    max_alpha: float | None = None
    min_worst_recall: float | None = None

    def __post_init__(self) -> None:
        """Raise DesignError for a limit outside its range, or where there is none."""
        for name in ("max_class_drop", "max_accuracy_drop", "min_worst_recall"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 <= value < 1):
                raise DesignError(
                    f"{name} is a share from 0 to below 1 (0.02 is two points), not {value!r}."
                )
        for name in ("max_kappa", "max_alpha"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 < value < math.inf):
                raise DesignError(f"{name} is a number above 0, such as 1.2, not {value!r}.")
        if not list(self.asked()):
            raise DesignError("A gate needs at least one limit, such as max_class_drop=0.02.")

    def asked(self) -> Iterator[tuple[Name, float]]:
        """The criteria asked for, with their limits."""
        values: dict[Name, float | None] = {
            "class drop": self.max_class_drop,
            "accuracy drop": self.max_accuracy_drop,
            "worst recall": self.min_worst_recall,
            "kappa": self.max_kappa,
            "alpha": self.max_alpha,
        }
        yield from ((name, value) for name, value in values.items() if value is not None)


def is_number(value: Any) -> bool:
    """Whether a limit, or a ratio, is a number at all; True and False are none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
