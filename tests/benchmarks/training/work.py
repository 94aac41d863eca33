"""The work of a network, and how a program that trains one at a time is taken through it."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from runners.datasets import Dataset
from runners.nets import build
from runners.study import NetworkSpec


@dataclass(frozen=True, slots=True)
class Count:
    """Correct test images (per class) of a cell of a network, of `n` test images."""

    model: str
    seed: int
    arm: str
    ratio: float
    correct: tuple[int, ...]
    n: int

    @property
    def accuracy(self) -> float:
        """Share of the test images that are correct."""
        return sum(self.correct) / self.n


@dataclass(frozen=True, slots=True)
class Done:
    """What a way has counted, and the seconds that its training epochs alone took."""

    counts: list[Count]
    training: float


@dataclass(frozen=True, slots=True)
class Job:
    """A network as it is now; `run` trains it and returns the seconds of the epochs alone."""

    net: nn.Module
    run: Callable[[], float]


class Program(Protocol):
    """A program that trains and prunes one network at a time."""

    def training(self, net: nn.Module, phase: str) -> Job:
        """Training of all weights by the phase `dense` or `finetune`."""

    def pruning(self, net: nn.Module, ratio: float) -> Job:
        """A network pruned by magnitude, and its fine-tuning."""

    def classes(self, net: nn.Module) -> torch.Tensor:
        """Predicted classes (n,) of the test images."""


def one_by_one(
    program: Program, spec: NetworkSpec, data: Dataset, counts: list[Count]
) -> Iterator[float]:
    """Take a network through all its cells; yield the training seconds of each."""
    labels, model = data.test.labels, spec.model

    def count(net: nn.Module, arm: str, ratio: float = 1.0) -> None:
        hits = torch.bincount(labels[program.classes(net) == labels], minlength=data.n_classes)
        cell = (model.label, spec.seed, arm, ratio)
        counts.append(Count(*cell, tuple(hits.tolist()), len(labels)))

    seed = spec.streams.seed("weights")  # the same initial weights in every way
    net = build(model.name, model.options, data.train.shape, data.n_classes, seed=seed)
    dense = program.training(net.to(memory_format=torch.contiguous_format), "dense")
    yield dense.run()
    count(dense.net, DENSE)
    control = program.training(copy.deepcopy(dense.net), "finetune")
    yield control.run()
    count(control.net, CONTROL)
    for ratio in spec.ratios:
        pruned = program.pruning(copy.deepcopy(dense.net), ratio)
        count(pruned.net, PRUNED, ratio)
        yield pruned.run()
        count(pruned.net, FINETUNED, ratio)


def all_by_one(
    program_of: Callable[[NetworkSpec], Program], specs: Iterable[NetworkSpec], data: Dataset
) -> Done:
    """Take networks through all their cells, one after the other."""
    counts: list[Count] = []
    training = sum(
        seconds for spec in specs for seconds in one_by_one(program_of(spec), spec, data, counts)
    )
    return Done(counts, training)
