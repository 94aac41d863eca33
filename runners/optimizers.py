"""The optimizer of a recipe. It works number by number, so stacked weights need no other."""

from collections.abc import Iterable

import torch
from torch import Tensor

from runners.recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe; its learning rate is set before every step."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
