"""Gradients of the data loss with respect to the prunable weights, for the scores."""

import copy
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from runners.batches import training_batches
from runners.datasets import Dataset
from runners.masks import prunable_tensors
from runners.recipe import Recipe
from runners.seeds import Streams


@dataclass(frozen=True, slots=True)
class GradientOptions:
    """On what the gradient is taken.

    batches     "all" training images, or that many random batches of the recipe's size
    mode        "eval", or "train" (batch normalisation by batch, as in the authors' code)
    augmented   whether the images are augmented as in training
    """

    batches: Literal["all"] | int = "all"
    mode: Literal["eval", "train"] = "eval"
    augmented: bool = False


def data_gradient(
    net: nn.Module, data: Dataset, recipe: Recipe, options: GradientOptions, streams: Streams
) -> Tensor:
    """Return the gradient (p,) of the mean cross-entropy over the images, without weight decay.

    The network itself is left untouched: in train mode the running statistics of batch
    normalisation move in a copy only. (In the authors' code that one update stays.) Equal options
    give equal gradients, so all methods and ratios of a network share them.
    """
    net = copy.deepcopy(net).train(options.mode == "train")
    tensors = prunable_tensors(net)
    orders = [streams.generator("gradient")]
    augmentations = [streams.generator("gradient-augmentation")] if options.augmented else None
    batches = training_batches(data, recipe, orders, augmentations)
    if options.batches != "all":
        batches = islice(batches, options.batches)
    total = [torch.zeros_like(tensor) for tensor in tensors]
    n_images = 0
    with streams.seeded("gradient-noise"):
        for inputs, labels in batches:
            loss = functional.cross_entropy(net(inputs), labels[0], reduction="sum")
            for part, gradient in zip(total, torch.autograd.grad(loss, tensors), strict=True):
                part += gradient
            n_images += len(inputs)
    return torch.cat([part.flatten() for part in total]) / n_images
