"""What no output depends on may be cut off: outputs and gradients stay as they are."""

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

from runners.nets import build
from runners.stacking import Stack
from runners.stacking.margins import looked_at

layers = st.one_of(
    st.builds(
        lambda kernel, stride, dilation: nn.Conv2d(2, 2, kernel, stride, dilation=dilation),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.integers(1, 2),
        st.integers(1, 2),
    ),
    st.builds(nn.MaxPool2d, st.integers(1, 3), st.integers(1, 3)),
    st.builds(nn.ReLU),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(layers, min_size=1, max_size=4), st.integers(20, 30), st.integers(20, 30))
def test_the_part_that_is_looked_at_is_enough_and_no_larger_than_needed(parts, height, width):
    net = nn.Sequential(*parts).double()
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(1, 2, height, width, dtype=torch.float64, generator=draw)
    images.requires_grad_()
    try:
        outputs = net(images)
    except RuntimeError:  # the images are too small for the layers
        reject()
    h, w = looked_at(net, (height, width))
    torch.testing.assert_close(net(images[:, :, :h, :w]), outputs)
    # the last row and column are looked at: not a number goes through all these layers
    for row, column in ((h - 1, slice(None)), (slice(None), w - 1)):
        spoilt = images.detach().clone()
        spoilt[:, :, row, column] = torch.nan
        assert net(spoilt).isnan().any()
    (gradient,) = torch.autograd.grad(outputs.sum(), images)
    assert not gradient[:, :, h:].any()
    assert not gradient[:, :, :, w:].any()


def test_lenet_looks_at_26_of_28_rows_and_columns(cpu):
    net = build("lenet", {}, (1, 28, 28), 10, seed=0)
    assert looked_at(net, (28, 28)) == (26, 26)
    stack = Stack([net, net])
    images = torch.rand(3, 2, 28, 28, generator=torch.Generator().manual_seed(0))
    outputs = stack(images)
    images[:, :, 26:] = torch.nan
    images[:, :, :, 26:] = torch.nan
    spoilt = stack(images)
    assert torch.equal(spoilt, outputs)
    spoilt.sum().backward()  # in which zeros times what is no number would be none
    assert all(leaf.grad.isfinite().all() for leaf in stack.leaves)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.BatchNorm2d(1),
     nn.MaxPool2d(3, padding=1), nn.AdaptiveAvgPool2d(2)],
)  # fmt: skip
def test_layers_that_may_look_at_everything_do(layer):
    assert looked_at(nn.Sequential(layer, nn.MaxPool2d(2)), (7, 9)) == (7, 9)
