"""What one writes by hand for one network: tensors in memory, normalised once, masks."""

import time
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional

from runners.datasets import Dataset
from runners.study import NetworkSpec
from tests.benchmarks.training.work import Done, Job, all_by_one

Masks = Sequence[tuple[torch.Tensor, torch.Tensor]]


class Clean:
    """The hand-written loop for networks of one recipe."""

    def __init__(self, spec: NetworkSpec, data: Dataset) -> None:
        self.recipe = spec.recipe
        parts = (data.train, data.test)
        self.inputs, self.test = (data.normalised(part.pixels).contiguous() for part in parts)
        self.labels = data.train.labels

    def training(self, net: nn.Module, phase: str) -> Job:
        return Job(net, lambda: self._train(net, phase, []))

    def pruning(self, net: nn.Module, ratio: float) -> Job:
        weights = [p for p in net.parameters() if p.ndim > 1][:-1]
        n_params = sum(p.numel() for p in net.parameters())
        scores = torch.cat([weight.detach().abs().flatten() for weight in weights])
        pruned = n_params - round(n_params / ratio)
        threshold = scores.kthvalue(pruned).values
        masks = [(weight, (weight.detach().abs() > threshold).float()) for weight in weights]
        _apply(masks)
        return Job(net, lambda: self._train(net, "finetune", masks))

    def classes(self, net: nn.Module) -> torch.Tensor:
        net.eval()
        with torch.no_grad():
            return torch.cat([net(part).argmax(1) for part in self.test.split(1000)])

    def _train(self, net: nn.Module, phase: str, masks: Masks) -> float:
        start = time.perf_counter()
        recipe = self.recipe
        net.train()
        [(epochs, rate, *_)] = getattr(recipe, phase)
        optimizer = torch.optim.SGD(
            net.parameters(),
            lr=rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        for _ in range(epochs):
            for index in torch.randperm(len(self.labels)).split(recipe.batch_size):
                loss = functional.cross_entropy(net(self.inputs[index]), self.labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                _apply(masks)
        return time.perf_counter() - start


@torch.no_grad()
def _apply(masks: Masks) -> None:
    for weight, mask in masks:
        weight.mul_(mask)


def run(specs: Iterable[NetworkSpec], data: Dataset) -> Done:
    """Compute networks of one shape."""
    return all_by_one(lambda spec: Clean(spec, data), specs, data)
