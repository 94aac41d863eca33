"""Masked networks on their way through a schedule, and how that ended."""

from dataclasses import dataclass

from torch import Tensor, nn

from runners.masks import other_tensors, prunable_tensors
from runners.recipe import Recipe, Schedule
from runners.seeds import Streams


@dataclass(frozen=True, eq=False)
class Replica:
    """A network to be trained in place, with the random streams that it alone draws from.

    `masks` has one 0/1 tensor per prunable tensor (`masks.prunable_tensors`): where it is 0, the
    weight is 0 before training and stays 0. `others` has the same for all other parameters
    (`masks.other_tensors`), where whole channels are gone; empty if these all stay.
    """

    net: nn.Module
    masks: tuple[Tensor, ...]
    streams: Streams
    others: tuple[Tensor, ...] = ()

    def masked(self) -> list[tuple[Tensor, Tensor]]:
        """Return the tensors that have a mask, with their masks."""
        pairs = list(zip(prunable_tensors(self.net), self.masks, strict=True))
        if self.others:
            pairs += zip(other_tensors(self.net), self.others, strict=True)
        return pairs


@dataclass(frozen=True, eq=False)
class Training:
    """A replica and how it is to be trained; `purpose` names it in the progress."""

    replica: Replica
    recipe: Recipe
    schedule: Schedule
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended: mean loss of its last epoch, or why it failed.

    failure   the training itself went wrong, and would again
    error     an exception ended it, for example for lack of memory
    seconds   its share of the time that its stack took
    """

    train_loss: float | None
    failure: str | None = None
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether the network can be evaluated."""
        return self.failure is None and self.error is None


def diverged(train_loss: float, epoch: int) -> Outcome:
    """Return the outcome of a replica whose loss is not finite after an epoch, counted from 0."""
    return Outcome(train_loss, f"the training loss became {train_loss} in epoch {epoch + 1}")


def ended(train_loss: float, finite: bool) -> Outcome:
    """Return the outcome after the last epoch; `finite` says whether all weights are."""
    return Outcome(train_loss, None if finite else "weights were not finite after the last epoch")
