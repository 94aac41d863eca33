"""Counts per class from the predictions of one network."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Counts per class (n_classes,): support, hits, predictions, hits shared with the parent."""

    n: Tensor
    correct: Tensor
    predicted: Tensor
    kept: Tensor


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
