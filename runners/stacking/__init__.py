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

from runners.stacking.refusal import is_hooked, refusal
from runners.stacking.stack import Stack

__all__ = ["Stack", "is_hooked", "refusal"]
