"""Methods that are a score: a number per weight, and the rule that turns numbers into a mask.

symbol     name here   size    meaning
theta      theta       (p,)    prunable weights, all layers in one vector
g          gradient    (p,)    gradient of the mean data loss, without weight decay
epsilon    decay       ()      coefficient of weight decay: L = T + epsilon / 2 |theta|^2
                               so the gradient of L is g + epsilon theta

Weights with the smallest scores are pruned. Sources: Good et al. (2022), section 4, for the
printed scores; their released code (shrinkbench_generate_model) for `undecayed-released`. In
PyTorch autograd gives g, not the gradient of L, so |theta grad| is the *printed* UP.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distortion.errors import StudyError
from distortion.schema import FINETUNED
from runners.gradients import GradientOptions
from runners.masking import pruned
from runners.masks import Select, largest, layerwise, prunable_tensors, size_of
from runners.methods.method import Compressed, Method, MethodSpec, Parent
from runners.options import Field, function_fields
from runners.recipe import Recipe, n_epochs
from runners.replicas import Training


@dataclass(frozen=True, slots=True)
class Weights:
    """What a score may look at. `sizes` holds the number of weights of each layer, in order."""

    theta: Tensor
    gradient: Tensor
    decay: float
    sizes: tuple[int, ...]
    generator: torch.Generator


Score = Callable[..., Tensor]


class Scored(Method):
    """A method that is a score and the rule `select(scores, keep)` that gives the mask.

    Where `before_training`, the score is that of the initial weights, and the pruned network is
    trained as a dense one is. It has no arm `pruned`: an untrained network recalls nothing.
    """

    def __init__(
        self,
        score: Score,
        select: Select = largest,
        gradient: GradientOptions | None = None,
        before_training: bool = False,
    ) -> None:
        self.score = score
        self.select = select
        self.gradient = gradient
        self.before_training = before_training
        self.exact = select is largest
        if before_training:
            self.arms = (FINETUNED,)

    @property
    def described(self) -> object:
        """Whose docstring describes the method."""
        return self.score

    def fields(self) -> dict[str, Field]:
        """Return the keyword-only parameters of the score."""
        return function_fields(self.score)

    def n_epochs(self, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe) -> int:
        """Return the epochs of training for all ratios of the study together."""
        schedule = recipe.dense if self.before_training else recipe.finetune
        return len(ratios) * n_epochs(schedule)

    def compress(self, parent: Parent, spec: MethodSpec) -> Iterator[Compressed]:
        """Prune a copy per ratio, all from the same scores."""
        recipe = parent.recipe
        net = parent.initial() if self.before_training else parent.net
        tensors = prunable_tensors(net)
        theta = torch.cat([tensor.detach().flatten() for tensor in tensors])
        sizes = tuple(tensor.numel() for tensor in tensors)
        decay = recipe.weight_decay if spec.decay is None else spec.decay
        gradient, theta_grad, decay_term = torch.empty(0), None, None
        if spec.gradient is not None:
            gradient = parent.gradient(spec.gradient, net if self.before_training else None)
            theta_grad = float((theta * gradient).abs().mean())
            decay_term = float((decay * theta**2).mean())
        generator = parent.streams.child(spec.label).generator("scores")
        scores = self._scores(spec, Weights(theta, gradient, decay, sizes, generator))
        total = size_of(net).total
        keeps = {ratio: parent.keep(ratio) for ratio in parent.ratios}
        for ratio, keep in keeps.items():
            mask = (
                layerwise(scores, keep, sizes, self.select)
                if spec.scope == "layerwise"
                else self.select(scores, keep)
            )
            streams = parent.streams.child(spec.label, ratio)
            replica = pruned(copy.deepcopy(net), mask, streams)
            schedule = recipe.dense if self.before_training else recipe.finetune
            yield Compressed(
                ratio,
                total - int((~mask).sum()),
                None if self.before_training else replica.net,
                Training(replica, recipe, schedule),
                theta_grad,
                decay_term,
            )

    def _scores(self, spec: MethodSpec, weights: Weights) -> Tensor:
        scores = self.score(weights, **spec.options)
        if scores.shape != weights.theta.shape:
            raise StudyError(
                f"Method {spec.name!r} returned scores of shape {tuple(scores.shape)}; it must "
                f"return one score per prunable weight, {tuple(weights.theta.shape)}."
            )
        if not torch.isfinite(scores).all():
            raise StudyError(
                f"Method {spec.name!r} returned scores that are not finite, so they cannot be "
                f"ranked. The dense network may be close to divergence: lower its learning rate."
            )
        return scores


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
