"""Losses and gradients of stacked perceptrons by hand, in memory that is allocated once.

A step of small networks is so short that automatic differentiation, which makes nodes and new
tensors at every step, takes as long as the products. What is computed is the same.

array       size
features    (m, n_in, n)         of a layer: what goes in, images last
losses      (m,)                 mean cross-entropy over the n images of each network
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from runners.stacking.stack import Stack


@dataclass(frozen=True, slots=True)
class _Linear:
    """A linear layer of all networks, whether ReLU follows, and where its gradients belong."""

    weight: Tensor
    bias: Tensor | None
    relu: bool
    of_weight: Tensor
    of_bias: Tensor | None


class Chain:
    """Losses of a stack of perceptrons; a call leaves their gradients in `gradient`.

    gradient   (size,) as `flat` of the stack
    """

    def __init__(self, stack: Stack) -> None:
        flatten, *layers = _layers(stack.nets[0])
        self.stack, self.flatten = stack, flatten
        assert stack.flat is not None  # see `fits`
        self.gradient = torch.zeros_like(stack.flat)
        self.layers = [
            self._linear(layer, type(behind) is nn.ReLU)
            for layer, behind in zip(layers, [*layers[1:], None], strict=True)
            if isinstance(layer, nn.Linear)
        ]
        self._memory: dict[tuple[int, torch.dtype], list[Tensor]] = {}

    @staticmethod
    def fits(stack: Stack) -> bool:
        """Return whether a stack is a flattening, linear layers and ReLU between them, on a CPU.

        Every parameter must be that of one linear layer: a gradient is written, not added up, and
        what no layer uses must be left alone.
        """
        flatten, *layers = _layers(stack.nets[0])
        kinds = [type(layer) for layer in layers]
        alternate = all(
            kind is nn.Linear or (kind is nn.ReLU and before is nn.Linear)
            for before, kind in zip([None, *kinds], kinds, strict=False)
        )
        leaves = stack.leaves
        return (
            type(stack) is Stack
            and type(flatten) is nn.Flatten
            and alternate
            and kinds[-1:] == [nn.Linear]
            and [id(p) for p in _weights(layers)] == [id(p) for p in stack.nets[0].parameters()]
            and stack.flat is not None
            and all(leaf.requires_grad and not leaf.is_cuda for leaf in leaves)
        )

    @torch.no_grad()
    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the losses for inputs (n, m c, h, w) and labels (m, n)."""
        features = [self.stack.apply(self.flatten, inputs)]
        outputs, gradients = self._room(features[0])
        for layer, out in zip(self.layers, outputs, strict=True):
            _multiply(layer, features[-1], out)
            features.append(out)
        losses, gradient = _loss(features.pop(), labels)
        for i in reversed(range(len(self.layers))):
            layer = self.layers[i]
            if layer.relu:
                torch.ops.aten.threshold_backward(gradient, outputs[i], 0, grad_input=gradient)
            if layer.of_bias is not None:
                torch.sum(gradient, 2, out=layer.of_bias)
            torch.bmm(gradient, features[i].mT, out=layer.of_weight)
            if i:
                gradient = torch.bmm(layer.weight.mT, gradient, out=gradients[i - 1])
        return losses

    def _linear(self, layer: nn.Linear, relu: bool) -> _Linear:
        views = []
        for tensor in (layer.weight, layer.bias):
            if tensor is None:
                views += [None, None]
                continue
            leaf = self.stack.row(tensor).detach()
            of_leaf = at(leaf, self.gradient)
            views += [row[:, : tensor.numel()].view(-1, *tensor.shape) for row in (leaf, of_leaf)]
        weight, of_weight, bias, of_bias = views
        return _Linear(weight, bias, relu, of_weight, of_bias)

    def _room(self, features: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return memory for outputs of layers, and for gradients of all of them but the last."""
        key = features.shape[2], features.dtype
        if key not in self._memory:
            sizes = [(*layer.weight.shape[:2], features.shape[2]) for layer in self.layers]
            self._memory[key] = [features.new_empty(size) for size in [*sizes, *sizes[:-1]]]
        n = len(self.layers)
        return self._memory[key][:n], self._memory[key][n:]


def at(part: Tensor, vector: Tensor) -> Tensor:
    """Return the view of a vector that stands where a part of another vector stands in that."""
    return vector.as_strided(part.shape, part.stride(), part.storage_offset())


def _multiply(layer: _Linear, features: Tensor, out: Tensor) -> None:
    if layer.bias is None:
        torch.bmm(layer.weight, features, out=out)
    else:
        torch.baddbmm(layer.bias.unsqueeze(-1), layer.weight, features, out=out)
    if layer.relu:
        out.relu_()


def _loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return losses (m,) and the gradient (m, n_classes, n) of their sum."""
    log_p = torch.log_softmax(logits, 1)
    index = labels.unsqueeze(1)
    losses = -log_p.gather(1, index).mean((1, 2))
    of_log_p = torch.zeros_like(log_p).scatter_(1, index, -1 / labels.shape[1])
    return losses, torch.ops.aten._log_softmax_backward_data(of_log_p, log_p, 1, log_p.dtype)


def _weights(layers: Sequence[nn.Module]) -> list[nn.Parameter]:
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return [parameter for layer in linear for parameter in layer.parameters()]


def _layers(layer: nn.Module) -> Sequence[nn.Module]:
    if type(layer) is not nn.Sequential:
        return [layer]
    return [part for child in layer for part in _layers(child)]
