"""From a dense network to the masks of all methods and ratios of its study."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from distortion.errors import StudyError
from runners.datasets import Dataset
from runners.gradients import GradientOptions, data_gradient
from runners.masks import prunable_tensors, size_of
from runners.methods import METHODS, Weights
from runners.study import MethodSpec, NetworkSpec


@dataclass(frozen=True, slots=True)
class Pruning:
    """A mask (p,) over the prunable weights of a network, and the sizes behind its score.

    mean_theta_grad   mean of |theta g| over the prunable weights before pruning
    mean_decay_term   mean of epsilon theta^2; both None where no gradient was taken
    """

    method: str
    ratio: float
    mask: Tensor
    mean_theta_grad: float | None
    mean_decay_term: float | None


def prunings(net: nn.Module, data: Dataset, spec: NetworkSpec) -> list[Pruning]:
    """Return the prunings of a dense network, methods and ratios in the order of the study.

    All are one-shot, from the dense weights. A gradient is taken once per set of options, so
    methods with the same options see the same images.
    """
    tensors = prunable_tensors(net)
    theta = torch.cat([tensor.detach().flatten() for tensor in tensors])
    sizes = tuple(tensor.numel() for tensor in tensors)
    size = size_of(net)

    @cache
    def gradient_for(options: GradientOptions | None) -> Tensor:
        if options is None:
            return torch.empty(0)
        return data_gradient(net, data, spec.recipe, options, spec.streams)

    masks: dict[str, list[Tensor]] = {}

    def prune(method: MethodSpec) -> list[Pruning]:
        decay = spec.recipe.weight_decay if method.decay is None else method.decay
        gradient = gradient_for(method.gradient)
        generator = spec.streams.child(method.label).generator("scores")
        scores = _scores(method, Weights(theta, gradient, decay, sizes, generator))
        if method.match is None:
            keeps = [size.keep(ratio) for ratio in spec.ratios]
        else:
            keeps = [int(mask.sum()) for mask in masks[method.match]]
        select = METHODS[method.name].select
        masks[method.label] = [select(scores, keep) for keep in keeps]
        takes_gradient = method.gradient is not None
        theta_grad = float((theta * gradient).abs().mean()) if takes_gradient else None
        decay_term = float((decay * theta**2).mean()) if takes_gradient else None
        return [
            Pruning(method.label, ratio, mask, theta_grad, decay_term)
            for ratio, mask in zip(spec.ratios, masks[method.label], strict=True)
        ]

    matched_last = sorted(spec.methods, key=lambda method: method.match is not None)
    made = {method.label: prune(method) for method in matched_last}
    return [pruning for method in spec.methods for pruning in made[method.label]]


def _scores(method: MethodSpec, weights: Weights) -> Tensor:
    scores = METHODS[method.name].score(weights, **method.options)
    if scores.shape != weights.theta.shape:
        raise StudyError(
            f"Method {method.name!r} returned scores of shape {tuple(scores.shape)}; it must "
            f"return one score per prunable weight, {tuple(weights.theta.shape)}."
        )
    if not torch.isfinite(scores).all():
        raise StudyError(
            f"Method {method.name!r} returned scores that are not finite, so they cannot be "
            f"ranked. The dense network may be close to divergence: lower its learning rate."
        )
    return scores
