"""Multilayer perceptrons. A narrow last hidden layer keeps the unprunable classifier small."""

from itertools import pairwise

from torch import nn


def mlp(
    shape: tuple[int, int, int], n_classes: int, *, widths: tuple[int, ...] = (256, 128, 16)
) -> nn.Module:
    """Multilayer perceptron with ReLU; `widths` of its hidden layers."""
    channels, height, width = shape
    sizes = (channels * height * width, *widths)
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))


def mlp_small(shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """MLP 256-128-16: 51,770 parameters on digits."""
    return mlp(shape, n_classes, widths=(256, 128, 16))


def mlp_large(shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """MLP 512-256-16: 168,890 parameters on digits."""
    return mlp(shape, n_classes, widths=(512, 256, 16))
