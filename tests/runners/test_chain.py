"""Which stacks are differentiated by hand, and that it gives what automatic differentiation does.

That whole trainings agree with the loop is in `test_stacking`.
"""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from runners.evaluation import stacked_losses
from runners.nets import build
from runners.stacking import Stack
from runners.stacking.chain import Chain


def perceptron(widths, bias=True, relu=True):
    layers = [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out, bias=bias), *([nn.ReLU()] if relu else [])]
    return nn.Sequential(*layers[: len(layers) - relu]).double()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_losses_and_gradients_are_those_of_automatic_differentiation(widths, bias, relu, m, sizes):
    stack = Stack([perceptron([12, *widths, 5], bias, relu) for _ in range(m)])
    assert Chain.fits(stack)
    chain = Chain(stack)
    for n in sizes:  # memory of one size of batch is not that of another
        images = torch.rand(n, m * 3, 2, 2, dtype=torch.float64)
        labels = torch.randint(5, (m, n))
        losses = stacked_losses(stack(images), labels)
        wanted = torch.autograd.grad(losses.sum(), stack.leaves)
        torch.testing.assert_close(chain(images, labels), losses.detach())
        parts = chain.gradient.split([leaf.numel() for leaf in stack.leaves])
        for part, leaf in zip(parts, wanted, strict=True):
            torch.testing.assert_close(part, leaf.flatten())


def frozen(net):
    net[1].weight.requires_grad_(False)
    return net


shared = nn.Linear(12, 12)


@pytest.mark.parametrize(
    "net",
    [
        build("lenet", {}, (3, 10, 10), 5, seed=0),
        frozen(perceptron([12, 4, 5])),
        nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 5)),
        nn.Sequential(nn.Flatten(), shared, nn.ReLU(), shared),
        nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(12, 5)),
        nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU()),
    ],
)
def test_other_networks_are_left_to_automatic_differentiation(net):
    assert not Chain.fits(Stack([net, net]))
