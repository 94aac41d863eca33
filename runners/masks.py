"""Which weights may be pruned, how many stay, and which.

Weights are handled as one flat vector over all prunable tensors, in the order of the network's
parameters.

symbol   name here    meaning
N        total        all parameters of the network: weights, biases, normalisation
p        prunable     weights of linear and convolutional layers without the classifier
t        ratio        N / parameters that remain, at least 1
k        keep         prunable weights that stay: round(N / t) - (N - p)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from distortion.errors import StudyError
from runners.nets.classifier import find_classifier

Select = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class Size:
    """Parameter counts of a network: all, and those that may be pruned."""

    total: int
    prunable: int

    @property
    def largest_ratio(self) -> float:
        """The ratio at which a single prunable weight is left."""
        return self.total / (self.total - self.prunable + 1)

    def keep(self, ratio: float) -> int:
        """Return how many prunable weights stay, so that total / remaining is nearest to `ratio`.

        Raises
        ------
        StudyError
            The ratio is below 1, or larger than the parameters that are never pruned allow.
        """
        if not self.prunable:
            raise StudyError(
                "none of its parameters may be pruned: biases, normalisation layers and the "
                "classifier (the last linear layer unless `mark_classifier` says otherwise) never "
                "are. Give the network a further layer."
            )
        keep = round(self.total / ratio) - (self.total - self.prunable)
        if ratio < 1 or keep < 1:
            raise StudyError(
                f"ratio {ratio:g} cannot be reached: {self.total - self.prunable:,} of "
                f"{self.total:,} parameters (biases, normalisation, classifier) are never pruned, "
                f"so ratios run from 1 to {np.floor(self.largest_ratio * 10) / 10:g}."
            )
        return keep


def prunable_tensors(net: nn.Module) -> list[Tensor]:
    """Return the weights of linear and convolutional layers, without the classifier's.

    Biases and normalisation layers are never pruned. Shared weights appear once.
    """
    classifier = set(find_classifier(net).modules())
    layers = [m for m in net.modules() if isinstance(m, nn.Linear | _ConvNd)]
    weights = {id(m.weight): m.weight for m in layers if m not in classifier}
    return list(weights.values())


def other_tensors(net: nn.Module) -> list[Tensor]:
    """Return the parameters that are not prunable weights: biases, normalisation, classifier."""
    prunable = {id(tensor) for tensor in prunable_tensors(net)}
    return [parameter for parameter in net.parameters() if id(parameter) not in prunable]


def size_of(net: nn.Module) -> Size:
    """Return the parameter counts of a network."""
    return Size(
        total=sum(p.numel() for p in net.parameters()),
        prunable=sum(p.numel() for p in prunable_tensors(net)),
    )


def largest(scores: Tensor, keep: int) -> Tensor:
    """Return the mask (p,) of the `keep` largest scores (p,); of equal scores the first stay.

    The order does not depend on `keep`, so masks only shrink as the ratio grows.
    """
    if keep == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(len(scores) - keep + 1).values
    above, ties = scores > threshold, scores == threshold
    return above | (ties & (ties.cumsum(0) <= keep - above.sum()))


def two_sided(scores: Tensor, keep: int) -> Tensor:
    """Return the mask (p,) of the released code: weights with |score| below a quantile go.

    The threshold is the (1 - keep / p) quantile of the *signed* scores, linearly interpolated,
    and a weight is pruned only if -threshold < score < threshold. Of scores with both signs it
    thus keeps both tails, up to twice the weights asked for; a threshold of 0 or less prunes
    nothing. Source: shrinkbench_generate_model, strategies/utils.py (Good et al. 2022), where the
    scores of biases are ranked too, though biases are never pruned; here they are not.
    """
    values = scores.cpu().numpy()
    threshold = np.quantile(values, 1 - keep / len(values))
    pruned = (-threshold < values) & (values < threshold)
    return torch.from_numpy(~pruned).to(scores.device)


def layerwise(scores: Tensor, keep: int, sizes: Sequence[int], select: Select = largest) -> Tensor:
    """Return the mask (p,) that `select` makes of scores (p,) within each layer.

    Every layer keeps the same share of its weights, rounded so that it is `keep` in all, and never
    fewer weights than for a smaller `keep`. None loses its last weight while another has two.
    """
    shares = [1 - (torch.arange(size, dtype=torch.float64) + 0.5) / size for size in sizes]
    for share in shares:
        share[0] = 1
    keeps = [int(part.sum()) for part in largest(torch.cat(shares), keep).split(list(sizes))]
    parts = scores.split(list(sizes))
    return torch.cat([select(part, k) for part, k in zip(parts, keeps, strict=True)])


def unflatten(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Cut a flat vector (p,) into pieces with the shapes of `tensors`, in logical order."""
    pieces = flat.split([t.numel() for t in tensors])
    return [piece.view(t.shape) for piece, t in zip(pieces, tensors, strict=True)]
