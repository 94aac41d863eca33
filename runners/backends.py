"""How networks are run: one after the other, or stacked, and then how a step of all is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import torch

from runners.stacking import WAYS

Item = TypeVar("Item")

STEPS = ("eager", "compile", "graph", "compile+graph")  # see `steps`
SIZE = 8  # networks of a stack where nothing was measured


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run networks, up to how many at a time, and how a training step is taken."""

    name: str
    size: int
    step: str = STEPS[0]

    @property
    def label(self) -> str:
        """How users name it: "loop", "grouped", "grouped+compile"."""
        return self.name if self.step == STEPS[0] else f"{self.name}+{self.step}"

    def __str__(self) -> str:
        return self.label if self.name == "loop" else f"{self.label}, {self.size} at once"


LOOP = Backend("loop", 1)
LABELS = (LOOP.label, *(Backend(way, SIZE, step).label for step, way in product(STEPS, WAYS)))


def named(text: str) -> Backend:
    """Return the back-end of a label, perhaps with a size: "grouped+graph:32".

    Raises ValueError if there is none of that label, or the size is not a number from 1 on.
    """
    label, _, size = text.partition(":")
    if label not in LABELS:
        raise ValueError(f"{label!r} is not one of {', '.join(LABELS)}")
    if size and not (size.isdecimal() and int(size)):
        raise ValueError(f"{size!r} networks at once cannot be; give a number from 1 on")
    name, _, step = label.partition("+")
    return LOOP if name == LOOP.name else Backend(name, int(size or SIZE), step or STEPS[0])


def in_company(items: Sequence[Item], device: torch.device) -> Sequence[Item]:
    """Return the members of a stack; on a CPU a lone one stands beside itself.

    A CPU computes a stack of one in other steps than a larger one. With this, no bit of a
    network depends on what it is stacked with.
    """
    return [*items, *items] if len(items) == 1 and device.type == "cpu" else items
