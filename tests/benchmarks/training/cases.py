"""What every way computes: networks of a case, and their images.

Learning rates are constant within a phase, because ShrinkBench has no schedules. Ratios stop at
8, because ShrinkBench prunes biases too and so keeps other weights than we do: at ratio 50 that
is no longer the same network.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from runners.datasets import Dataset, load
from runners.recipe import Recipe
from runners.study import NetworkSpec
from runners.studyfile import read_study

RATIOS = (2.0, 3.0, 4.0, 6.0, 8.0)
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Case:
    """Networks by shape, as a shipped study has them, with the recipe and sizes of the benchmark.

    stacks     networks at once in our stacks
    n_test     test images: the share of ten thousand that the training images are of their set
    """

    title: str
    study: str
    seeds: int
    recipe: Recipe
    train_limit: int
    n_test: int | None
    stacks: tuple[int, ...]

    def networks(self, seeds: int | None = None) -> list[NetworkSpec]:
        """The networks of the case, magnitude pruning only."""
        found = read_study(self.study).networks
        chosen = [network for network in found if network.seed < (seeds or self.seeds)]
        return [
            replace(
                network,
                recipe=self.recipe,
                ratios=RATIOS,
                methods=tuple(m for m in network.methods if m.name == "magnitude"),
                dataset=replace(
                    network.dataset, train_limit=self.train_limit, validation_share=0.0
                ),
            )
            for network in chosen
        ]

    def images(self, spec: NetworkSpec, root: Path) -> Dataset:
        """The images of a network."""
        data = load(spec.dataset, spec.split_seed, root, CPU)
        if self.n_test is None:
            return data
        every = len(data.test) // self.n_test
        return replace(data, test=data.test.take(torch.arange(0, len(data.test), every)))

    def short(self, spec: NetworkSpec, data: Dataset) -> tuple[list[NetworkSpec], Dataset]:
        """Return a network and images for warming up: all kinds of work, two batches of each."""
        recipe = replace(self.recipe, dense=((1, 0.01),), finetune=((1, 0.01),))
        few = data.train.take(torch.arange(2 * recipe.batch_size))
        return [replace(spec, recipe=recipe, ratios=(2.0,))], replace(data, train=few, test=few)


def by_shape(networks: list[NetworkSpec], wanted: Callable[[NetworkSpec], bool]) -> list:
    """The wanted networks, those of one shape together."""
    mine = [network for network in networks if wanted(network)]
    labels = sorted({network.model.label for network in mine})
    return [[network for network in mine if network.model.label == label] for label in labels]


CASES = {
    "digits": Case(
        "digits study, mlp-small and mlp-large",
        "digits",
        seeds=8,
        recipe=Recipe(dense=((12, 0.05),), finetune=((25, 0.02),), batch_size=32),
        train_limit=400,
        n_test=None,
        stacks=(16, 32),
    ),
    "mnist": Case(
        "MNIST @ LeNet",
        "mnist-quick",
        seeds=4,
        recipe=Recipe(dense=((2, 0.05),), finetune=((1, 0.02),), batch_size=128),
        train_limit=30_000,
        n_test=5_000,
        stacks=(4,),
    ),
}
