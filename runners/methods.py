"""Pruning methods: a score per weight, and the rule that turns scores into a mask.

symbol     name here   size    meaning
theta      theta       (p,)    prunable weights, all layers in one vector
g          gradient    (p,)    gradient of the mean data loss, without weight decay
epsilon    decay       ()      coefficient of weight decay: L = T + epsilon / 2 |theta|^2
                               so the gradient of L is g + epsilon theta

Weights with the smallest scores are pruned. Sources: Good et al. (2022), section 4, for the
printed scores; their released code (shrinkbench_generate_model) for `undecayed-released`. In
PyTorch autograd gives g, not the gradient of L, so |theta grad| is the *printed* UP.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from runners.masks import largest, two_sided
from runners.registry import Registry


@dataclass(frozen=True, slots=True)
class Weights:
    """What a score may look at. `sizes` holds the number of weights of each layer, in order."""

    theta: Tensor
    gradient: Tensor
    decay: float
    sizes: tuple[int, ...]
    generator: torch.Generator


Score = Callable[..., Tensor]
Select = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """A score, the rule `select(scores, keep)` that gives the mask, and what the score needs."""

    score: Score
    select: Select = largest
    needs_gradient: bool = False


METHODS: Registry[Method] = Registry("method", "methods")


def register_method(
    name: str, score: Score, *, select: Select = largest, needs_gradient: bool = False
) -> None:
    """Make a pruning method known to study files.

    `score(weights, **options)` gets a `Weights` and returns one score per weight (p,); its
    keyword-only parameters are the options that the study file may set. Without
    `needs_gradient` no gradient is taken and `weights.gradient` is empty. The first line of its
    docstring describes the method in `distortion-run list`.
    """
    METHODS.add(name, Method(score, select, needs_gradient))


def magnitude(weights: Weights) -> Tensor:
    """|theta| (MP)."""
    return weights.theta.abs()


def gradient(weights: Weights) -> Tensor:
    """|theta (g + eps theta)|, as printed (GP)."""
    return (weights.theta * (weights.gradient + weights.decay * weights.theta)).abs()


def undecayed(weights: Weights) -> Tensor:
    """|theta g|, as printed (UP): the gradient score without weight decay."""
    return (weights.theta * weights.gradient).abs()


def released(weights: Weights) -> Tensor:
    """-theta g + eps theta^2, signed, with the two-sided mask of the authors' code."""
    return -weights.theta * weights.gradient + weights.decay * weights.theta**2


def released_abs(weights: Weights) -> Tensor:
    """|-theta g + eps theta^2|, the released score with its absolute value."""
    return released(weights).abs()


def random(weights: Weights) -> Tensor:
    """Uniform over all layers together (RP)."""
    order = torch.randperm(len(weights.theta), generator=weights.generator)
    return order.to(weights.theta.device)


def random_layerwise(weights: Weights) -> Tensor:
    """Uniform within layers, the same share of each layer."""
    ranks = [
        (torch.randperm(size, generator=weights.generator) + 0.5) / size for size in weights.sizes
    ]
    return torch.cat(ranks).to(weights.theta.device)


register_method("magnitude", magnitude)
register_method("gradient", gradient, needs_gradient=True)
register_method("undecayed", undecayed, needs_gradient=True)
register_method("undecayed-released", released, select=two_sided, needs_gradient=True)
register_method("undecayed-released-abs", released_abs, needs_gradient=True)
register_method("random", random)
register_method("random-layerwise", random_layerwise)
