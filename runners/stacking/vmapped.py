"""Stacks by `torch.func.vmap`: any network without random layers, without rules for its layers.

Slower than the rules where these know all layers, and it holds to rounding only: the last bits of
a network may depend on the number of networks beside it.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call, vmap

from runners.stacking.stack import Stack


class VmappedStack(Stack):
    """A `Stack` whose layers are the network's own, mapped over all networks."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__(nets)
        self._names = dict(_named(nets[0]))
        self._net = copy.deepcopy(nets[0])  # its own, because calls with other weights may untie it

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits (m, n_classes, n) for inputs (n, m channels, h, w)."""
        net = self._net.train(self.training)
        tensors = {name: self[tensor] for name, tensor in self._names.items()}
        images = inputs.unflatten(1, (self.size, -1)).transpose(0, 1)

        def one(own: dict[str, Tensor], x: Tensor) -> Tensor:
            out: Tensor = functional_call(net, own, (x,))
            return out

        with _fallbacks_allowed():
            outputs: Tensor = vmap(one, randomness="error")(tensors, images)
        return outputs.transpose(1, 2)


def _named(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from net.named_parameters()
    yield from net.named_buffers()


@contextmanager
def _fallbacks_allowed() -> Iterator[None]:
    """Operators that vmap takes network by network are slow, not wrong."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield
