"""Evaluation: predictions of a network, and counts per class. Rates are derived elsewhere."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from runners.datasets import Dataset, Images

BATCH = 500  # images at a time; counts do not depend on it


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Counts per class (n_classes,): support, hits, predictions, hits shared with the parent."""

    n: Tensor
    correct: Tensor
    predicted: Tensor
    kept: Tensor


@torch.no_grad()
def logits(net: nn.Module, data: Dataset, images: Images, batch: int = BATCH) -> Tensor:
    """Return the logits (n, n_classes) of a network in evaluation mode."""
    net.eval()
    return torch.cat([net(data.normalised(part.pixels)) for part in images.batches(batch)])


def mean_loss(net: nn.Module, data: Dataset, images: Images) -> float:
    """Return the mean cross-entropy of a network in evaluation mode."""
    return float(functional.cross_entropy(logits(net, data, images), images.labels))


def class_counts(predictions: Tensor, labels: Tensor, dense: Tensor, n_classes: int) -> ClassCounts:
    """Count per class.

    Parameters
    ----------
    predictions, labels, dense
        Classes (n,) predicted by this network, true, and predicted by its dense parent.
    n_classes
        Number of classes.
    """
    correct = predictions == labels

    def per_class(classes: Tensor) -> Tensor:
        return torch.bincount(classes, minlength=n_classes)

    return ClassCounts(
        n=per_class(labels),
        correct=per_class(labels[correct]),
        predicted=per_class(predictions),
        kept=per_class(labels[correct & (dense == labels)]),
    )
