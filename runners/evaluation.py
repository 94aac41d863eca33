"""What networks predict on images, one network or a whole stack in one pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from runners.backends import Backend, in_company
from runners.datasets import Dataset, Images
from runners.halving import in_stacks
from runners.stacking import Stack, is_hooked, make_stack

BATCH = 250  # images at a time; predictions do not depend on it


class HasNet(Protocol):
    """Anything that carries a network."""

    @property
    def net(self) -> nn.Module:
        """The network."""


Item = TypeVar("Item", bound=HasNet)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Classes (n,) that a network predicts, on the CPU, and its mean cross-entropy.

    finite   whether all logits are; if not, the classes mean nothing
    """

    classes: Tensor
    loss: float
    finite: bool


Evaluation = Mapping[str, Predictions]


def evaluate(
    items: Iterable[Item], data: Dataset, sets: Mapping[str, Images], backend: Backend
) -> Iterator[tuple[Item, Evaluation | Exception]]:
    """Yield each item with the predictions of its network on every set, or what it raised."""
    work = partial(_evaluate, data=data, sets=sets, backend=backend)
    return in_stacks(items, backend.size, work, lambda item: is_hooked(item.net))


def _evaluate(
    items: Sequence[HasNet], data: Dataset, sets: Mapping[str, Images], backend: Backend
) -> list[Evaluation]:
    nets = [item.net for item in items]
    if backend.name == "loop" or is_hooked(nets[0]):
        outputs = {
            name: torch.stack([logits(net, data, images).T for net in nets])
            for name, images in sets.items()
        }
    else:
        stack = make_stack(in_company(nets, data.scale.device), backend.name)
        outputs = {name: stacked_logits(stack, data, images) for name, images in sets.items()}
    columns = {name: _predictions(output, sets[name].labels) for name, output in outputs.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(nets))]


def _predictions(outputs: Tensor, labels: Tensor) -> list[Predictions]:
    """Return the predictions of each network from logits (m, n_classes, n)."""
    classes = outputs.argmax(1).cpu()
    finite = torch.isfinite(outputs).flatten(1).all(1).tolist()
    return list(map(Predictions, classes, stacked_losses(outputs, labels).tolist(), finite))


def stacked_losses(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy (m,) of logits (m, n_classes, n) for labels (n,) or (m, n)."""
    wanted = labels.expand(len(outputs), -1)
    return functional.cross_entropy(outputs, wanted, reduction="none").mean(1)


@torch.no_grad()
def logits(net: nn.Module, data: Dataset, images: Images, batch: int = BATCH) -> Tensor:
    """Return the logits (n, n_classes) of a network in evaluation mode."""
    net.eval()
    return torch.cat([net(data.normalised(part.pixels)) for part in images.batches(batch)])


@torch.no_grad()
def stacked_logits(stack: Stack, data: Dataset, images: Images, batch: int = BATCH) -> Tensor:
    """Return the logits (m, n_classes, n) of a stack in evaluation mode."""
    stack.train(False)
    each = (1, stack.size, 1, 1)
    parts = [stack(data.normalised(part.pixels.repeat(each))) for part in images.batches(batch)]
    return torch.cat(parts, 2)


def mean_loss(net: nn.Module, data: Dataset, images: Images) -> float:
    """Return the mean cross-entropy of a network in evaluation mode."""
    return float(functional.cross_entropy(logits(net, data, images), images.labels))
