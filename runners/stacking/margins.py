"""Pixels at the right and lower margin that no output depends on.

Pooling leaves over what does not fill a window. LeNet on 28x28 images looks at 26x26 of them: the
last row of each pooling is dropped by the next. What is never looked at need not be computed, and
neither outputs nor gradients change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from runners.stacking.layers import POINTWISE

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """What a layer looks at: windows of `span` pixels, `stride` apart, from the first pixel on."""

    span: Size
    stride: Size

    def n_outputs(self, size: Size) -> Size:
        """Return how many windows fit into an image."""
        h, w = ((size[i] - self.span[i]) // self.stride[i] + 1 for i in (0, 1))
        return h, w

    def n_inputs(self, size: Size) -> Size:
        """Return how many pixels that many windows cover."""
        h, w = ((size[i] - 1) * self.stride[i] + self.span[i] for i in (0, 1))
        return h, w


def looked_at(net: nn.Module, size: Size) -> Size:
    """Return the height and width of the part of images that the outputs of a network depend on.

    Only layers without padding before the first of another kind are considered; that one is taken
    to look at all that it gets.
    """
    windows = []
    for layer in _in_order(net):
        window = _window(layer)
        if window is None:
            break
        windows.append(window)
        size = window.n_outputs(size)
    for window in reversed(windows):
        size = window.n_inputs(size)
    return size


def _in_order(layer: nn.Module) -> Iterator[nn.Module]:
    if type(layer) is not nn.Sequential:
        yield layer
        return
    for part in layer:
        yield from _in_order(part)


def _window(layer: nn.Module) -> Window | None:
    """Return the windows of a layer; None if it is of another kind."""
    if type(layer) in POINTWISE:
        return Window((1, 1), (1, 1))
    if type(layer) is nn.Conv2d and layer.padding in ("valid", (0, 0)):
        (height, width), (down, across) = _pair(layer.kernel_size), _pair(layer.dilation)
        return Window((down * (height - 1) + 1, across * (width - 1) + 1), _pair(layer.stride))
    plain = type(layer) is nn.MaxPool2d and not layer.ceil_mode and not layer.return_indices
    if plain and (_pair(layer.padding), _pair(layer.dilation)) == ((0, 0), (1, 1)):
        return Window(_pair(layer.kernel_size), _pair(layer.stride))
    return None


def _pair(value: Any) -> Size:
    """Return height and width of what torch takes as one number or as two."""
    return (value, value) if isinstance(value, int) else tuple(value)
