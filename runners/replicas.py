"""Masked networks on their way through a schedule, and how that ended."""

from dataclasses import dataclass

from torch import Tensor, nn

from runners.seeds import Streams


@dataclass(frozen=True, eq=False)
class Replica:
    """A network to be trained in place, with the random streams that it alone draws from.

    `masks` has one 0/1 tensor per prunable tensor (`masks.prunable_tensors`): where it is 0, the
    weight is 0 before training and stays 0.
    """

    net: nn.Module
    masks: tuple[Tensor, ...]
    streams: Streams


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the training of a replica ended: mean loss of its last epoch, or why it failed.

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
        """Whether the replica can be evaluated."""
        return self.failure is None and self.error is None


def diverged(train_loss: float, epoch: int) -> Outcome:
    """Return the outcome of a replica whose loss is not finite after an epoch, counted from 0."""
    return Outcome(train_loss, f"the training loss became {train_loss} in epoch {epoch + 1}")


def ended(train_loss: float, finite: bool) -> Outcome:
    """Return the outcome after the last epoch; `finite` says whether all weights are."""
    return Outcome(train_loss, None if finite else "weights were not finite after the last epoch")
