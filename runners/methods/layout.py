"""Which channels of a network can be removed, and which parameters go with them.

The network is traced (torch.fx). A channel of a linear or convolutional layer can be removed if all
that its output meets, up to the next such layers, treats channels one by one: normalisation,
activation, pooling, dropout, flattening. Then go with it

* its weights and its bias in the layer itself,
* its two parameters in each batch normalisation on the way,
* the weights that read it in the layers that follow, the classifier included.

Where an output meets anything else (the sum at the end of a residual block, grouped convolutions, a
reshape written by hand), or its layer is used twice, its channels stay: of a residual network only
those within a block can go, as in Li et al. (2017).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from distortion.errors import StudyError
from runners.masks import prunable_tensors

CHANNELWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Sigmoid,
    nn.Identity, _DropoutNd, _MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd,
)  # fmt: skip
FUNCTIONS = frozenset({
    torch.relu, torch.tanh, torch.sigmoid, functional.relu, functional.leaky_relu, functional.elu,
    functional.gelu, functional.silu, functional.dropout, functional.max_pool2d,
    functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d,
})  # fmt: skip
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass(frozen=True, slots=True)
class Reader:
    """A layer that reads channels; each channel arrives as `width` inputs, more than 1 if flat."""

    layer: Layer
    width: int


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a layer that can be removed, and where else they have parameters."""

    layer: Layer
    norms: list[_BatchNorm] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)

    @property
    def n(self) -> int:
        """The number of channels."""
        return self.layer.weight.shape[0]

    def parameters(self, kept: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the parameters of channels with a mask each: false where `kept` (n,) is false."""
        for owner in (self.layer, *self.norms):
            for parameter in (owner.weight, owner.bias):
                if parameter is not None:
                    yield parameter, kept.view(-1, *(1,) * (parameter.ndim - 1))
        for reader in self.readers:
            weight = reader.layer.weight
            inputs = kept.repeat_interleave(reader.width)
            yield weight, inputs.view(1, -1, *(1,) * (weight.ndim - 2))


def removable(net: nn.Module) -> list[Channels]:
    """Return the layers whose channels can be removed, in the order of the network's parameters.

    Raises
    ------
    StudyError
        The network cannot be traced, or none of its channels can be removed.
    """
    try:
        graph = fx.symbolic_trace(net).graph
    except Exception as error:  # a user's network may do anything
        raise StudyError(
            f"channels cannot be removed: torch.fx cannot follow {type(net).__name__} ({error}). "
            f"Its forward pass must not depend on the images."
        ) from None
    prunable = {id(tensor) for tensor in prunable_tensors(net)}
    modules = dict(net.named_modules())
    calls = {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}
    uses = Counter(id(module.weight) for module in calls.values() if isinstance(module, LAYERS))
    found = {}
    for node, module in calls.items():
        if isinstance(module, LAYERS) and id(module.weight) in prunable:
            channels = Channels(module)
            if _single(module, uses) and _follow(node, channels, calls, uses):
                found[id(module.weight)] = channels
    if not found:
        raise StudyError(
            f"no channels of {type(net).__name__} can be removed: the output of each prunable "
            f"layer meets something other than normalisation, activation, pooling and further "
            f"layers."
        )
    return [found[key] for key in map(id, prunable_tensors(net)) if key in found]


def _follow(
    node: fx.Node,
    channels: Channels,
    calls: dict[fx.Node, nn.Module],
    uses: Counter[int],
    flat: bool = False,
) -> bool:
    """Collect what reads the output of a node; return whether all of it treats channels alone."""
    for user in node.users:
        module = calls.get(user)
        if isinstance(module, LAYERS):
            if not _reads(module, channels, flat) or not _single(module, uses):
                return False
            channels.readers.append(Reader(module, _inputs(module) // channels.n))
            continue
        flattens = _flattens(user, module)
        if isinstance(module, _BatchNorm) and not flat:
            channels.norms.append(module)
        elif not (flattens or isinstance(module, CHANNELWISE) or user.target in FUNCTIONS):
            return False
        if not _follow(user, channels, calls, uses, flat or flattens):
            return False
    return bool(node.users)


def _reads(layer: Layer, channels: Channels, flat: bool) -> bool:
    """Return whether a layer's inputs are the channels, in order, each as often as all others."""
    if isinstance(layer, nn.Linear):
        vector = flat or isinstance(channels.layer, nn.Linear)
        return vector and layer.in_features % channels.n == 0
    return not flat and layer.in_channels == channels.n


def _inputs(layer: Layer) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _single(layer: Layer, uses: Counter[int]) -> bool:
    """Return whether a layer is used once, and ungrouped."""
    return uses[id(layer.weight)] == 1 and getattr(layer, "groups", 1) == 1


def _flattens(node: fx.Node, module: nn.Module | None) -> bool:
    """Return whether a node flattens everything but the images."""
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    if node.target is torch.flatten or (node.op, node.target) == ("call_method", "flatten"):
        rest = [*node.args[1:], *node.kwargs.values()]
        return rest == [1]
    return False
