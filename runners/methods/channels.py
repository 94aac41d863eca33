"""Structured pruning: whole output channels by the L1 norm of their weights.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets" (ICLR 2017): the score
of channel c of a layer is sum |W_c|, and the channels with the smallest scores go. By default every
layer gives up the same share of its channels, as there; with `scope = "global"` the norms of all
layers are compared as they are. Every layer keeps its largest channel.

What goes with a channel, and which channels can go at all, is said in `layout`. All of it is zero
and stays zero in fine-tuning, so the outputs are those of the smaller network that is left when the
channels are cut out, and `n_remaining` is the number of parameters of that network. The number of
channels is chosen so that this comes nearest to the ratio asked for; one channel is many
parameters, so the ratio reached differs from it, most in small networks.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from distortion.errors import StudyError
from runners.masking import apply, as_factor
from runners.masks import largest, other_tensors, prunable_tensors, size_of
from runners.methods.layout import Channels, removable
from runners.methods.method import Compressed, Method, MethodSpec, Parent, Scope
from runners.recipe import Recipe
from runners.replicas import Replica, Training


class ChannelPruning(Method):
    """Whole output channels by the L1 norm of their weights, the same share of every layer."""

    exact = False
    scope: Scope = "layerwise"

    def check(
        self, net: nn.Module, spec: MethodSpec, ratios: tuple[float, ...], recipe: Recipe
    ) -> None:
        """Raise StudyError if a network cannot be compressed so; called before any training."""
        layers, total = removable(net), size_of(net).total
        least = n_remaining(net, layers, _kept(layers, self._scores(layers, spec), len(layers)))
        for ratio in ratios:
            if round(total / ratio) < least:
                raise StudyError(
                    f"ratio {ratio:g} cannot be reached by removing channels: with one channel "
                    f"left in each of the {len(layers)} layers that can lose some, {least:,} of "
                    f"{total:,} parameters remain, so ratios run to {total / least:.3g}."
                )

    def compress(self, parent: Parent, spec: MethodSpec) -> Iterator[Compressed]:
        """Remove channels from a copy per ratio."""
        layers = removable(parent.net)
        scores = self._scores(layers, spec)
        for ratio in parent.ratios:
            net = copy.deepcopy(parent.net)
            own = removable(net)
            kept = _kept(own, scores, _nearest(net, own, scores, parent.remaining(ratio)))
            masks = parameter_masks(net, own, kept)
            replica = Replica(
                net,
                tuple(as_factor(masks[id(tensor)], tensor) for tensor in prunable_tensors(net)),
                parent.streams.child(spec.label, ratio),
                tuple(as_factor(masks[id(tensor)], tensor) for tensor in other_tensors(net)),
            )
            training = Training(apply(replica), parent.recipe, parent.recipe.finetune)
            yield Compressed(ratio, n_remaining(net, own, kept), net, training)

    def _scores(self, layers: list[Channels], spec: MethodSpec) -> Tensor:
        """Return a score per channel, all layers in one vector; the largest of each is infinite."""
        scores = []
        for layer in layers:
            norms = layer.layer.weight.detach().flatten(1).abs().sum(1).cpu()
            order = torch.argsort(norms, descending=True, stable=True)
            if (spec.scope or self.scope) == "layerwise":
                shares = 1 - (torch.arange(layer.n, dtype=torch.float64) + 0.5) / layer.n
                norms = torch.empty_like(shares).index_copy_(0, order, shares)
            norms[order[0]] = torch.inf
            scores.append(norms)
        return torch.cat(scores)


def parameter_masks(
    net: nn.Module, layers: list[Channels], kept: list[Tensor]
) -> dict[int, Tensor]:
    """Return a mask for every parameter, by its id: false where it goes with a channel."""
    masks = {id(p): torch.ones(p.shape, dtype=torch.bool) for p in net.parameters()}
    for layer, channels in zip(layers, kept, strict=True):
        for parameter, mask in layer.parameters(channels):
            masks[id(parameter)] &= mask
    return masks


def n_remaining(net: nn.Module, layers: list[Channels], kept: list[Tensor]) -> int:
    """Return the number of parameters of a network without the channels that are not kept."""
    return sum(int(mask.sum()) for mask in parameter_masks(net, layers, kept).values())


def _kept(layers: list[Channels], scores: Tensor, n: int) -> list[Tensor]:
    """Return a mask of channels per layer, `n` of all channels kept."""
    return list(largest(scores, n).split([layer.n for layer in layers]))


def _nearest(net: nn.Module, layers: list[Channels], scores: Tensor, target: int) -> int:
    """Return how many channels to keep so that the parameters left come nearest to `target`."""

    def left(n: int) -> int:
        return n_remaining(net, layers, _kept(layers, scores, n))

    low, high = len(layers), len(scores)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if left(middle) < target else (low, middle)
    fewer = max(low - 1, len(layers))
    return fewer if target - left(fewer) < left(low) - target else low
