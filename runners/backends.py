"""How networks are run: one after the other, or stacked, and then how they are convolved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from runners.stacking.convolutions import CONVOLUTIONS

Item = TypeVar("Item")

NAMES = ("loop", *CONVOLUTIONS)
SIZE = 8  # networks of a stack where nothing was measured


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to run networks, and up to how many at a time."""

    name: str
    size: int

    def __str__(self) -> str:
        return self.name if self.name == "loop" else f"{self.name}, {self.size} at once"


LOOP = Backend("loop", 1)


def in_company(items: Sequence[Item], device: torch.device) -> Sequence[Item]:
    """Return the members of a stack; on a CPU a lone one stands beside itself.

    A CPU computes a stack of one in other steps than a larger one. With this, no bit of a
    network depends on what it is stacked with.
    """
    return [*items, *items] if len(items) == 1 and device.type == "cpu" else items
