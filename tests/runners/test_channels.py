"""Channel pruning: which channels, how many parameters, and the smaller network that is left."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

import runners
from distortion.errors import StudyError
from runners.masks import other_tensors, prunable_tensors, size_of
from runners.methods import METHODS
from runners.methods.channels import n_remaining
from runners.methods.layout import removable
from runners.nets import build
from runners.nets.classifier import mark_classifier
from tests.runners.studies import compressed, mask, network, parent, train_replicas

SHAPES = {
    "mlp": (1, 8, 8),
    "lenet": (1, 28, 28),
    "lenet5": (1, 28, 28),
    "resnet20": (3, 16, 16),
    "normed": (1, 8, 8),
}


def normed(shape, n_classes):
    """Batch normalisation, tanh and grouped convolutions."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.Sigmoid(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, n_classes),
    )  # fmt: skip


runners.register_network("normed", normed)


def net_of(name, seed=0):
    """Return a network whose biases and normalisation are not at their special first values."""
    net = build(name, {"widths": (24, 12)} if name == "mlp" else {}, SHAPES[name], 10, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.ndim == 1:
            tensor.data.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
    return net


def channels(**options):
    return network(method=[{"name": "channels", **options}], ratios=[1.5, 3])


def cut(layers, net, kept):
    """Cut the channels out of a copy of a network: a physically smaller one."""
    net = copy.deepcopy(net)
    for layer, channels in zip(layers(net), kept, strict=True):
        for owner in (layer.layer, *layer.norms):
            for name in ("weight", "bias"):
                if getattr(owner, name) is not None:
                    setattr(owner, name, nn.Parameter(getattr(owner, name)[channels]))
        for norm in layer.norms:
            norm.running_mean, norm.running_var = (
                t[channels] for t in (norm.running_mean, norm.running_var)
            )
            norm.num_features = int(channels.sum())
        for reader in layer.readers:
            inputs = channels.repeat_interleave(reader.width)
            reader.layer.weight = nn.Parameter(reader.layer.weight[:, inputs])
    return net


def kept_channels(net, layers, replica):
    """Return which channels a replica keeps, from its masks: whole rows."""
    masks = dict(zip(map(id, prunable_tensors(net)), replica.masks, strict=True))
    rows = [masks[id(layer.layer.weight)].flatten(1).any(1) for layer in layers]
    return [row.bool() for row in rows]


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_outputs_are_those_of_the_smaller_network_that_is_left(name, scope, digits):
    net = net_of(name)
    spec = channels(scope=scope)
    inputs = torch.randn(4, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    for made in compressed(spec, digits, net=net).values():
        masked, replica = made.pruned.eval(), made.finetune.replica
        kept = kept_channels(masked, removable(masked), replica)
        assert all(k.any() for k in kept)
        assert not all(k.all() for k in kept)
        smaller = cut(removable, masked, kept).eval()
        assert sum(p.numel() for p in smaller.parameters()) == made.n_remaining
        torch.testing.assert_close(smaller(inputs), masked(inputs), rtol=1e-5, atol=1e-5)
        removed = sum(int((m == 0).sum()) for m in (*replica.masks, *replica.others))
        assert size_of(net).total - removed == made.n_remaining


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_removed_stays_removed_in_training(optimizer, digits):
    """The tanh network: zero is not a resting point of its biases."""
    spec = channels()
    recipe = replace(spec.recipe, optimizer=optimizer)
    made = compressed(spec, digits, net=net_of("normed"))["channels", 1.5]
    replica, net = made.finetune.replica, made.pruned
    kept = kept_channels(net, removable(net), replica)
    before = [tensor.detach().clone() for tensor in other_tensors(net)]
    [outcome] = train_replicas([replica], digits, recipe, ((2, 0.01),))
    assert outcome.failure is None
    for tensor, keep, old in zip(other_tensors(net), replica.others, before, strict=True):
        assert not tensor[keep == 0].any()
        assert (tensor != old)[keep == 1].float().mean() > 0.5
    smaller = cut(removable, net, kept).eval()
    inputs = digits.normalised(digits.test.pixels[:9])
    torch.testing.assert_close(smaller(inputs), net.eval()(inputs), rtol=1e-4, atol=1e-5)


def three_layers():
    """1 channel -> 3 -> 4 -> 2 classes; L1 norms 9, 18, 27 of the first layer, 12 of the second."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([2.0, -1.0, 3.0]).view(3, 1, 1, 1).expand(3, 1, 3, 3))
        net[3].weight.fill_(1.0)
    return net


def test_by_hand(digits):
    # 30 + 52 + 10 = 92 parameters. Of the shares of both layers kept (1/6, 1/2, 5/6 and
    # 1/8, 3/8, 5/8, 7/8 below 1) the smallest goes first: the last channel of the linear layer
    # (ties: first stays; 12 + 1 + 2 parameters), 77 are left; then the convolution's second
    # (9 + 1 + 4 * 3 = 22), 55; then a linear one (8 + 1 + 2 = 11), 44
    net = three_layers()
    spec = replace(channels(), ratios=(92 / 77, 92 / 55, 92 / 44))
    made = [m for _, m in sorted(compressed(spec, digits, net=net).items())]
    assert [m.n_remaining for m in made] == [77, 55, 44]
    rows = [[part.flatten(1).any(1).int().tolist() for part in _masks(m)] for m in made]
    assert rows == [
        [[1, 1, 1], [1, 1, 1, 0]],
        [[1, 0, 1], [1, 1, 1, 0]],
        [[1, 0, 1], [1, 1, 0, 0]],
    ]
    linear = made[1].finetune.replica.masks[1]
    assert linear[:3].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]] * 3


def _masks(made):
    return made.finetune.replica.masks


def test_global_scope_compares_norms_as_they_are(digits):
    # of 9, 18, 27 and four times 12 the convolution's 9 goes first
    spec = replace(channels(scope="global"), ratios=(92 / 70,))
    [made] = compressed(spec, digits, net=three_layers()).values()
    assert made.n_remaining == 92 - 10 - 16
    assert _masks(made)[0].flatten(1).any(1).tolist() == [True, False, True]


def test_scaling_a_layer_changes_no_layerwise_choice(digits):
    net = net_of("lenet")
    before = compressed(channels(), digits, net=net)
    with torch.no_grad():
        net[0][3].weight.mul_(7)
    after = compressed(channels(), digits, net=net)
    for key, made in before.items():
        assert torch.equal(mask(made), mask(after[key]))


def test_masks_only_shrink_and_come_nearest_to_the_ratio(digits):
    net = net_of("lenet")
    spec = replace(channels(), ratios=(1.2, 1.5, 2.0, 3.0, 5.0, 10.0))
    made = [m for _, m in sorted(compressed(spec, digits, net=net).items())]
    total = size_of(net).total
    for more, fewer in pairwise(made):
        assert not (mask(fewer) & ~mask(more)).any()
    for copied in made:
        assert total / copied.n_remaining == pytest.approx(copied.ratio, rel=0.02)


def test_within_residual_blocks_only():
    net = build("resnet20", {}, (3, 16, 16), 10, seed=0)
    inner = [block.conv1 for block in net if hasattr(block, "conv1")]
    layers = removable(net)
    assert [layer.layer for layer in layers] == inner
    assert [(len(layer.norms), len(layer.readers)) for layer in layers] == [(1, 1)] * 9


def test_grouped_convolutions_lose_no_channels():
    layers = removable(build("normed", {}, SHAPES["normed"], 10, seed=0))
    assert [layer.n for layer in layers] == [6, 5]  # not the 8 before the groups, nor the groups'


def test_a_matched_method_reaches_what_the_channels_reached(digits):
    methods = [{"name": "channels"}, {"name": "magnitude", "match": "channels"}]
    made = compressed(network(method=methods, ratios=[1.5, 3]), digits)
    for ratio in (1.5, 3):
        assert made["magnitude-matched", ratio].n_remaining == made["channels", ratio].n_remaining


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(64, 64), mark_classifier(nn.Linear(64, 10))

    def forward(self, x):
        return self.out(functional.relu(self.layer(self.layer(x.flatten(1)))))


class Branching(Shared):
    def forward(self, x):
        return self.out(self.layer(x.flatten(1))) if x.sum() > 0 else self.out(x.flatten(1))


def test_networks_without_removable_channels_are_refused():
    with pytest.raises(StudyError, match="no channels of Shared can be removed"):
        removable(Shared())
    with pytest.raises(StudyError, match=r"torch\.fx cannot follow Branching"):
        removable(Branching())


def test_a_ratio_out_of_reach_is_refused_before_training(digits):
    spec = channels()
    net = parent(spec, digits).net
    # one channel each: 64 + 1, 1 + 1, 10 + 10 parameters
    layers = removable(net)
    ones = [torch.arange(layer.n) == 0 for layer in layers]
    assert n_remaining(net, layers, ones) == 87
    with pytest.raises(StudyError, match=r"87 of 1,990 parameters remain, so ratios run to 22.9"):
        METHODS["channels"].check(net, spec.methods[0], (2.0, 24.0), spec.recipe)
    METHODS["channels"].check(net, spec.methods[0], (2.0, 22.8), spec.recipe)


def test_channels_cannot_match_others():
    with pytest.raises(StudyError, match="channels does not keep the number of weights"):
        network(method=[{"name": "magnitude"}, {"name": "channels", "match": "magnitude"}])
