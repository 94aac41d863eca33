"""What each kind of layer does to a stack. Any other kind is refused, and trains in the loop."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional

from runners.nets.resnet import Block
from runners.stacking.convolutions import multiply

if TYPE_CHECKING:
    from runners.stacking.stack import Stack

POINTWISE = (nn.Identity, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.LeakyReLU)
Rule = Callable[["Stack", Any, Tensor], Tensor]


def _sequential(stack: "Stack", layers: nn.Sequential, x: Tensor) -> Tensor:
    for layer in layers:
        x = stack.apply(layer, x)
    return x


def _as_it_is(_: "Stack", layer: nn.Module, x: Tensor) -> Tensor:
    """Layers that treat every number, or every channel, alike and have no weights."""
    return layer(x)


def _linear(stack: "Stack", layer: nn.Linear, x: Tensor) -> Tensor:
    return multiply(stack[layer.weight], x, stack.get(layer.bias))


def _convolution(stack: "Stack", layer: nn.Conv2d, x: Tensor) -> Tensor:
    return stack.convolution(layer, x, stack[layer.weight], stack.get(layer.bias))


def _batch_norm(stack: "Stack", layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if stack.training and layer.num_batches_tracked is not None:
        stack[layer.num_batches_tracked].add_(1)
    tensors = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    mean, var, weight, bias = (None if t is None else stack[t].flatten() for t in tensors)
    assert layer.momentum is not None  # see `refusal`
    training = stack.training or mean is None
    return functional.batch_norm(x, mean, var, weight, bias, training, layer.momentum, layer.eps)


def _flatten(stack: "Stack", _: nn.Flatten, x: Tensor) -> Tensor:
    if x.ndim == 3:
        return x
    features = x.unflatten(1, (stack.size, -1)).permute(1, 2, 3, 4, 0).flatten(1, 3)
    return features.contiguous()  # otherwise the first product is taken network by network


def _residual(stack: "Stack", block: Block, x: Tensor) -> Tensor:
    out = functional.relu(stack.apply(block.bn1, stack.apply(block.conv1, x)))
    out = stack.apply(block.bn2, stack.apply(block.conv2, out))
    shortcut = block.shortcut(x.unflatten(1, (stack.size, -1))).flatten(1, 2)
    return functional.relu(out + shortcut)


RULES: dict[type[nn.Module], Rule] = {
    nn.Sequential: _sequential,
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.Flatten: _flatten,
    Block: _residual,
}
RULES |= dict.fromkeys(POINTWISE, _as_it_is)
RULES |= dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), _as_it_is)
