"""SNIP: connection sensitivity at initialisation (Lee, Ajanthan, Torr, ICLR 2019).

Each weight has a switch c, 1 where the weight is there; its sensitivity is |dL/dc| at c = 1, which
is |g theta| by the chain rule. The paper divides by the sum over all weights, which changes no
order. The score is taken once, at the initial weights of the dense network, on one mini-batch
(`batches` for more), and the network is trained after pruning, not before: by the recipe's `dense`
phases, from the same initial weights as the dense network.

Batch normalisation works by batch here unless `mode = "eval"`, as in the authors' code: before
training the running statistics are 0 and 1, and say nothing of the data.
"""

from torch import Tensor

from runners.gradients import GradientOptions
from runners.methods.scores import Scored, Weights, undecayed


def sensitivity(weights: Weights) -> Tensor:
    """|theta g| at the initial weights; trained after pruning (SNIP)."""
    return undecayed(weights)


SNIP = Scored(sensitivity, gradient=GradientOptions(batches=1, mode="train"), before_training=True)
