"""Networks of one shape as one: stacked weights, one pass for all.

symbol   meaning
m        networks in the stack
n        images of a batch, of each network its own
c, h, w  channels, height and width of an image or of a layer's output

array        size               in the layers of
images       (n, m c, h, w)     convolution, pooling, batch normalisation: channels side by side
features     (m, features, n)   linear layers, the output
parameters   (m, ...)           as in one network, with the network in front

Batch normalisation works channel by channel, so over m c channels it is that of m networks, in
the batch and in the running statistics.
"""

from collections.abc import Sequence

from torch import nn

from runners.stacking.convolutions import CONVOLUTIONS
from runners.stacking.refusal import is_hooked, refusal
from runners.stacking.stack import Stack
from runners.stacking.vmapped import VmappedStack

VMAP = "vmap"
WAYS = (*CONVOLUTIONS, VMAP)

__all__ = ["VMAP", "WAYS", "Stack", "is_hooked", "make_stack", "refusal"]


def make_stack(nets: Sequence[nn.Module], way: str) -> Stack:
    """Return networks as a stack; `way` is one of `WAYS`."""
    return VmappedStack(nets) if way == VMAP else Stack(nets, way)
