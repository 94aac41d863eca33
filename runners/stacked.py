"""Training of a stack: the plain loop, with every step taken for all networks at once."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from runners.backends import Backend, in_company
from runners.batches import training_batches
from runners.datasets import Dataset
from runners.evaluation import stacked_logits, stacked_losses
from runners.masks import other_tensors, prunable_tensors
from runners.recipe import Recipe, Schedule, learning_rates
from runners.replicas import Outcome, Replica, diverged, ended
from runners.stacking import Stack, make_stack
from runners.steps import make_step


def train_stack(
    replicas: Sequence[Replica],
    data: Dataset,
    recipe: Recipe,
    schedule: Schedule,
    backend: Backend,
    on_epoch: Callable[[Sequence[int]], None],
) -> list[Outcome]:
    """Train replicas together; they are changed when all are done, and not at all on an error.

    `on_epoch` gets the positions of those that have not diverged.
    """
    device = data.train.labels.device
    members = in_company(replicas, device)
    stack = make_stack([replica.net for replica in members], backend.name)
    step = make_step(backend.step, stack, _masked(stack, members), recipe)
    orders = [replica.streams.generator("order") for replica in members]
    augmentations = [replica.streams.generator("augmentation") for replica in members]
    steps = math.ceil(len(data.train) / recipe.batch_size)
    rates = learning_rates(schedule, steps)
    best = _Best(stack) if recipe.checkpoint == "best-validation" else None
    outcomes: dict[int, Outcome] = {}
    means: list[float] = []
    for epoch in range(len(rates) // steps):
        total = torch.zeros(stack.size, device=device)
        stack.train()
        batches = training_batches(data, recipe, orders, augmentations)
        for rate, (inputs, labels) in zip(rates[epoch * steps :], batches, strict=False):
            total += step(inputs, labels, rate) * len(inputs)
        # the only wait for the device in an epoch
        means = [mean / len(data.train) for mean in total.tolist()]
        for i, mean in enumerate(means[: len(replicas)]):
            if not math.isfinite(mean):
                outcomes.setdefault(i, diverged(mean, epoch))
        alive = [i for i in range(len(replicas)) if i not in outcomes]
        if not alive:
            break
        if best is not None:
            best.update(
                stacked_losses(stacked_logits(stack, data, data.validation), data.validation.labels)
            )
        on_epoch(alive)
    if best is not None:
        best.restore()
    finite = _finite(stack)
    stack.write_back()
    return [outcomes.get(i) or ended(means[i], finite[i]) for i in range(len(replicas))]


@torch.no_grad()  # a view with a history would tie the backward pass to another CUDA stream
def _masked(stack: Stack, members: Sequence[Replica]) -> list[tuple[Tensor, Tensor]]:
    """Return the stacked tensors of which something is masked in any network, with the masks."""
    first = members[0].net
    tensors, columns = prunable_tensors(first), [member.masks for member in members]
    if any(member.others for member in members):
        rest = other_tensors(first)
        whole = tuple(torch.ones_like(tensor) for tensor in rest)
        tensors, columns = tensors + rest, [(*m.masks, *(m.others or whole)) for m in members]
    masks = [torch.stack(parts).contiguous() for parts in zip(*columns, strict=True)]
    return [(stack[tensor], mask) for tensor, mask in zip(tensors, masks, strict=True)]


class _Best:
    """The state of each network after the epoch of its lowest validation loss."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.loss = torch.full((stack.size,), math.inf, device=stack.state[0].device)
        self.state = [tensor.detach().clone() for tensor in stack.state]

    def update(self, loss: Tensor) -> None:
        """Keep the states of the networks whose loss is lower than ever."""
        better = loss < self.loss
        self.loss = torch.where(better, loss, self.loss)
        for kept, tensor in zip(self.state, self.stack.state, strict=True):
            kept[better] = tensor.detach()[better]

    @torch.no_grad()
    def restore(self) -> None:
        """Take the networks that have a best epoch back to it."""
        found = self.loss < math.inf
        for kept, tensor in zip(self.state, self.stack.state, strict=True):
            tensor[found] = kept[found]


def _finite(stack: Stack) -> list[bool]:
    flags = [torch.isfinite(leaf).all(1) for leaf in stack.leaves]
    return torch.stack(flags).all(0).tolist()
