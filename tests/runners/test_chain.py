"""Which stacks are differentiated by hand, and that it gives what automatic differentiation does.

That whole trainings agree with the loop is in `test_stacking`.
"""

import gc
import weakref
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from runners.evaluation import stacked_losses
from runners.masks import other_tensors
from runners.nets import build
from runners.stacking import Stack
from runners.stacking.chain import Chain
from runners.steps import ChainedStep, Step, make_step
from tests.runners.studies import train_replicas
from tests.runners.test_stacking import (
    GROUPED,
    LOOP,
    RECIPES,
    SHAPES,
    dataset,
    make_replica,
)


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
    draw = torch.Generator().manual_seed(m)
    for n in sizes:  # memory of one size of batch is not that of another
        images = torch.rand(n, m * 3, 2, 2, dtype=torch.float64, generator=draw)
        labels = torch.randint(5, (m, n), generator=draw)
        losses = stacked_losses(stack(images), labels)
        wanted = torch.autograd.grad(losses.sum(), stack.leaves)
        torch.testing.assert_close(chain(images, labels), losses.detach())
        parts = chain.gradient.split([leaf.numel() for leaf in stack.leaves])
        for part, leaf in zip(parts, wanted, strict=True):
            torch.testing.assert_close(part, leaf.flatten())


def frozen(net):
    net[1].weight.requires_grad_(False)
    return net


def tied(net):
    net[5].weight = net[3].weight
    return net


def with_a_weight_that_no_layer_uses(net):
    net.register_parameter("scale", nn.Parameter(torch.ones(3, dtype=torch.float64)))
    return net


def of_two_types(net):
    net[1].float()
    return net


shared = nn.Linear(12, 12)


@pytest.mark.parametrize(
    "net",
    [
        build("lenet", {}, (3, 10, 10), 5, seed=0),
        frozen(perceptron([12, 4, 5])),
        tied(perceptron([12, 5, 5, 5])),
        with_a_weight_that_no_layer_uses(perceptron([12, 4, 5])),
        of_two_types(perceptron([12, 4, 5])),
        nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 5)),
        nn.Sequential(nn.Flatten(), shared, nn.ReLU(), shared),
        nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(12, 5)),
        nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU()),
    ],
)
def test_other_networks_are_left_to_automatic_differentiation(net):
    assert not Chain.fits(Stack([net, net]))


@pytest.mark.parametrize("backend", [LOOP, GROUPED], ids=str)
def test_masks_of_biases_hold(backend, cpu):
    """As where whole channels are gone; decay and momentum must not bring them back."""
    replicas = [make_replica("mlp-small", seed) for seed in range(2)]
    draw = torch.Generator().manual_seed(0)
    others = tuple(
        (torch.rand(tensor.shape, generator=draw) < 0.5).float()
        for tensor in other_tensors(replicas[0].net)
    )
    replicas = [replace(replica, others=others) for replica in replicas]
    for replica in replicas:
        for tensor, mask in zip(other_tensors(replica.net), others, strict=True):
            tensor.data.mul_(mask)
    recipe = RECIPES["momentum"]
    train_replicas(replicas, dataset(SHAPES["mlp-small"]), recipe, recipe.dense, backend)
    for replica in replicas:
        for tensor, mask in replica.masked():
            assert not tensor[mask == 0].any()
            assert tensor[mask == 1].all()


@pytest.mark.parametrize(
    ("way", "name", "precision", "kind"),
    [
        ("eager", "mlp-small", "float32", ChainedStep),
        ("eager", "mlp-small", "bfloat16", Step),
        ("eager", "lenet", "float32", Step),
        ("compile", "mlp-small", "float32", Step),
    ],
)
def test_perceptrons_in_float32_are_differentiated_by_hand(way, name, precision, kind, cpu):
    stack = Stack([make_replica(name, 0).net])
    recipe = replace(RECIPES["plain"], precision=precision)
    assert type(make_step(way, stack, [], recipe)) is kind


def test_a_plan_keeps_no_weights(cpu):
    stack = Stack([make_replica("mlp-small", 0).net])
    weights = weakref.ref(stack.flat)
    plan = stack.plan()
    del stack
    gc.collect()
    assert weights() is None
    assert plan.size == 1
