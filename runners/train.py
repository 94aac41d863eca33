"""The training loop. One function serves dense training and fine-tuning.

`train` takes any number of masked networks ("replicas") of one recipe and yields their outcomes
in order. Here they are trained one after the other; a trainer that stacks them can take its place
because each replica brings its own random streams.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from runners.batches import training_batches
from runners.counts import mean_loss
from runners.datasets import Dataset
from runners.masks import other_tensors, prunable_tensors
from runners.recipe import Recipe, Schedule, learning_rates
from runners.seeds import Streams


@dataclass(frozen=True, slots=True)
class Replica:
    """A network on its way through a schedule; it is trained in place.

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the training of a replica ended: mean loss of its last epoch, or why it failed."""

    train_loss: float
    failure: str | None = None


def train(
    replicas: Iterable[Replica],
    data: Dataset,
    recipe: Recipe,
    schedule: Schedule,
    on_epoch: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Train every replica in place and yield its outcome; replicas are taken one by one."""
    for replica in replicas:
        with replica.streams.seeded("noise"):
            outcome = _train_one(replica, data, recipe, schedule, on_epoch)
        yield outcome


def _train_one(
    replica: Replica,
    data: Dataset,
    recipe: Recipe,
    schedule: Schedule,
    on_epoch: Callable[[], None],
) -> Outcome:
    net = replica.net.train()
    optimizer = make_optimizer(recipe, net)
    masked = replica.masked()
    order = replica.streams.generator("order")
    augmentation = replica.streams.generator("augmentation")
    steps = math.ceil(len(data.train) / recipe.batch_size)
    rates = learning_rates(schedule, steps)
    best_loss, best_state = math.inf, None
    train_loss = math.nan
    for epoch in range(len(rates) // steps):
        total = torch.zeros((), device=data.train.labels.device)
        batches = training_batches(data, recipe, order, augmentation)
        for rate, (inputs, labels) in zip(rates[epoch * steps :], batches, strict=False):
            optimizer.param_groups[0]["lr"] = rate
            loss = functional.cross_entropy(net(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for weight, mask in masked:
                    weight.mul_(mask)
            total += loss.detach() * len(labels)
        train_loss = float(total) / len(data.train)  # the only wait for the device in an epoch
        if not math.isfinite(train_loss):
            return Outcome(
                train_loss, f"the training loss became {train_loss} in epoch {epoch + 1}"
            )
        if recipe.checkpoint == "best-validation":
            validation_loss = mean_loss(net, data, data.validation)
            net.train()
            if validation_loss < best_loss:
                best_loss, best_state = validation_loss, copy.deepcopy(net.state_dict())
        on_epoch()
    if best_state is not None:
        net.load_state_dict(best_state)
    if not all(bool(torch.isfinite(parameter).all()) for parameter in net.parameters()):
        return Outcome(train_loss, "weights were not finite after the last epoch")
    return Outcome(train_loss)


def make_optimizer(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe; its learning rate is set before every step."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(
        net.parameters(),
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
