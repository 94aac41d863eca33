"""The plain training loop: one network, layer by layer as torch runs it. It takes any network."""

import copy
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from runners.batches import training_batches
from runners.datasets import Dataset
from runners.evaluation import mean_loss
from runners.optimizers import make_optimizer
from runners.precision import lowered
from runners.recipe import Recipe, Schedule, learning_rates
from runners.replicas import Outcome, Replica, diverged, ended


def train_alone(
    replica: Replica,
    data: Dataset,
    recipe: Recipe,
    schedule: Schedule,
    on_epoch: Callable[[], None],
) -> Outcome:
    """Train one replica in place."""
    with replica.streams.seeded("noise"):
        net = replica.net.train()
        optimizer = make_optimizer(recipe, net.parameters())
        masked = replica.masked()
        order = replica.streams.generator("order")
        augmentation = replica.streams.generator("augmentation")
        steps = math.ceil(len(data.train) / recipe.batch_size)
        rates = learning_rates(schedule, steps)
        best_loss, best_state = math.inf, None
        train_loss = math.nan
        for epoch in range(len(rates) // steps):
            total = torch.zeros((), device=data.train.labels.device)
            batches = training_batches(data, recipe, [order], [augmentation])
            for rate, (inputs, labels) in zip(rates[epoch * steps :], batches, strict=False):
                optimizer.param_groups[0]["lr"] = rate
                with lowered(recipe.precision, inputs.device):
                    loss = functional.cross_entropy(net(inputs), labels[0])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    for weight, mask in masked:
                        weight.mul_(mask)
                total += loss.detach() * len(inputs)
            train_loss = float(total) / len(data.train)  # the only wait for the device in an epoch
            if not math.isfinite(train_loss):
                return diverged(train_loss, epoch)
            if recipe.checkpoint == "best-validation":
                validation_loss = mean_loss(net, data, data.validation)
                net.train()
                if validation_loss < best_loss:
                    best_loss, best_state = validation_loss, copy.deepcopy(net.state_dict())
            on_epoch()
        if best_state is not None:
            net.load_state_dict(best_state)
        return ended(train_loss, _is_finite(net))


def _is_finite(net: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in net.parameters())
