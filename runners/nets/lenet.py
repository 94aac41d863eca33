"""LeNet of the paper's code, and LeCun's LeNet-5."""

import torch
from torch import nn


def lenet(shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """LeNet of the paper's code: 3x3 kernels, ReLU, max-pooling; 60,074 parameters on MNIST.

    Its code has ReLU before pooling. The two commute, values and gradients alike, and pooling
    first leaves a quarter of the work to ReLU.
    """
    features = nn.Sequential(
        nn.Conv2d(shape[0], 6, 3), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(
        features,
        nn.Linear(_flat_size(features, shape), 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, n_classes),
    )  # fmt: skip


def lenet5(shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """LeNet-5 (LeCun et al. 1998): 5x5 kernels, tanh, average pooling; 61,706 on MNIST."""
    padding = 2 if shape[1] == 28 else 0  # the original works on 32x32
    features = nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=padding), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(
        features,
        nn.Linear(_flat_size(features, shape), 120), nn.Tanh(),
        nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, n_classes),
    )  # fmt: skip


def _flat_size(features: nn.Module, shape: tuple[int, int, int]) -> int:
    with torch.no_grad():
        return features(torch.zeros(1, *shape)).shape[1]
