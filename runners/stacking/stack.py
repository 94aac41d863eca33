"""The networks of a stack: their weights side by side, run and written back together."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from runners.stacking.convolutions import CONVOLUTIONS
from runners.stacking.layers import RULES
from runners.stacking.margins import looked_at

VECTOR = 16  # numbers in the longest vector of a processor


class Stack:
    """Networks of one architecture as one function; `refusal` says which can be stacked.

    The weights are copies. `write_back` brings them to the networks. Each network has a row in
    every leaf; those of parameters are filled up with zeros to full vectors of the processor,
    because what is left over after the last full vector is rounded in another way, and would
    depend on the number of networks.

    flat   all parameters of all networks (size,), leaf after leaf, of which leaves are views; None
           where their types differ
    """

    def __init__(self, nets: Sequence[nn.Module], convolution: str = "grouped") -> None:
        self.nets = nets
        self.size = len(nets)
        self.convolution = CONVOLUTIONS[convolution]
        self.training = True
        self._leaves = {id(tensors[0]): _rows(tensors) for tensors in self._columns()}
        self.flat = self._lay_out()

    def __getitem__(self, tensor: Tensor) -> Tensor:
        """Return the stacked tensor for a parameter or buffer of the first network."""
        leaf = self.row(tensor)
        row = leaf if leaf.shape[1] == tensor.numel() else leaf[:, : tensor.numel()]
        return row.view(self.size, *tensor.shape)

    def row(self, tensor: Tensor) -> Tensor:
        """Return the leaf (m, at least its size) of a parameter or buffer of the first network."""
        return self._leaves[id(tensor)]

    def get(self, tensor: Tensor | None) -> Tensor | None:
        """Return the stacked tensor, or None for a parameter that the layer does not have."""
        return None if tensor is None else self[tensor]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits (m, n_classes, n) for inputs (n, m channels, h, w)."""
        height, width = looked_at(self.nets[0], (inputs.shape[2], inputs.shape[3]))
        if (height, width) != inputs.shape[2:]:
            inputs = inputs[:, :, :height, :width].contiguous(memory_format=torch.channels_last)
        return self.apply(self.nets[0], inputs)

    def apply(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Return the output of a layer of all networks."""
        return RULES[type(layer)](self, layer, x)

    def train(self, training: bool = True) -> "Stack":
        """Choose between statistics of the batch and running statistics; return the stack."""
        self.training = training
        return self

    @property
    def state(self) -> list[Tensor]:
        """All stacked parameters and buffers, as rows (m, size)."""
        return list(self._leaves.values())

    @property
    def leaves(self) -> list[Tensor]:
        """The stacked parameters as rows, in the order of the network's: what is optimised."""
        return [self._leaves[id(parameter)] for parameter in self.nets[0].parameters()]

    def plan(self) -> "Stack":
        """Return this stack without its weights, to be bound to others."""
        other = copy.copy(self)
        other.nets = self.nets[:1]
        other._leaves = dict.fromkeys(self._leaves, torch.empty(0))
        other.flat = None
        return other

    def bound(self, state: Sequence[Tensor]) -> "Stack":
        """Return this stack with other tensors in place of its `state`."""
        other = copy.copy(self)
        other._leaves = dict(zip(self._leaves, state, strict=True))
        return other

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy weights and buffers into the networks."""
        for tensors in self._columns():
            for tensor, part in zip(tensors, self[tensors[0]], strict=True):
                tensor.copy_(part)

    @torch.no_grad()
    def _lay_out(self) -> Tensor | None:
        """Lay all parameters out one after the other, so that they can be updated as one."""
        parameters = list(self.nets[0].parameters())
        rows = [self._leaves[id(parameter)] for parameter in parameters]
        flat, pieces = None, rows
        if len({row.dtype for row in rows}) == 1:
            flat = torch.cat([row.flatten() for row in rows])
            pieces = list(flat.split([row.numel() for row in rows]))
        for parameter, row, piece in zip(parameters, rows, pieces, strict=True):
            leaf = piece.view(row.shape).detach().requires_grad_(parameter.requires_grad)
            self._leaves[id(parameter)] = leaf
        return flat

    def _columns(self) -> Iterator[tuple[Tensor, ...]]:
        for kind in (nn.Module.parameters, nn.Module.buffers):
            yield from zip(*(kind(net) for net in self.nets), strict=True)


@torch.no_grad()
def _rows(tensors: tuple[Tensor, ...]) -> Tensor:
    rows = torch.stack(tensors).reshape(len(tensors), -1)
    if not isinstance(tensors[0], nn.Parameter):
        return rows
    return functional.pad(rows, (0, -rows.shape[1] % VECTOR))
