"""A stack gives what the loop gives, and no network in it depends on the others."""

import math
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from torch import nn

from runners.backends import LOOP, Backend
from runners.datasets import Dataset, Images
from runners.evaluation import evaluate
from runners.masks import prunable_tensors
from runners.nets import build
from runners.recipe import Recipe
from runners.replicas import Replica, Training
from runners.seeds import Streams
from runners.stacking import WAYS, make_stack, refusal
from runners.train import train
from tests.runners.studies import train_replicas

SHAPES = {
    "mlp-small": (1, 8, 8),
    "lenet": (1, 16, 16),  # of which margins are cropped
    "lenet5": (1, 28, 28),
    "resnet20": (3, 8, 8),
}
SGD = Recipe(dense=((2, 0.02), (1, 0.002)), finetune=((1, 0.1),), batch_size=24)
RECIPES = {
    "nesterov": replace(SGD, flip=True, crop_padding=1),
    "momentum": replace(SGD, nesterov=False, weight_decay=0.05),
    "plain": replace(SGD, momentum=0.0, nesterov=False, weight_decay=0.0),
    "adam": replace(SGD, dense=((3, 1e-3),), optimizer="adam"),
    "best": replace(SGD, dense=((2, 0.02), (2, 0.5)), checkpoint="best-validation"),
}
GROUPED, GEMM, EACH, VMAP = (Backend(name, 8) for name in ("grouped", "gemm", "each", "vmap"))


def stacked(*backends):
    """Networks by back-ends; most of those that take long are slow tests."""
    return pytest.mark.parametrize(
        ("name", "backend"),
        [
            pytest.param(
                name,
                backend,
                marks=[pytest.mark.slow] if (name, backend) in LONG else [],
                id=f"{name}-{backend.name}",
            )
            for name in SHAPES
            for backend in backends
        ],
    )


LONG = list(product(("lenet5", "resnet20"), (GEMM, EACH, VMAP)))


class Doubles(Dataset):
    """A data set whose images are float64."""

    def normalised(self, pixels):
        return super().normalised(pixels).double()


def images(shape, n, seed):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 10
    pixels = torch.randint(0, 100, (n, *shape), generator=draw) + 15 * labels.view(-1, 1, 1, 1)
    return Images(pixels.to(torch.uint8), labels)


def dataset(shape, kind=Dataset):
    parts = [images(shape, n, seed) for seed, n in enumerate((67, 30, 40))]
    ones = torch.ones(1, shape[0], 1, 1)
    return kind("noise", *parts, tuple("0123456789"), ones / 64, -2 * ones)


def make_replica(name, seed, dtype=torch.float32):
    net = build(name, {}, SHAPES[name], 10, seed=seed).to(dtype)
    draw = torch.Generator().manual_seed(seed)
    masks = tuple(
        torch.empty_like(w).copy_(torch.rand(w.shape, generator=draw) < 0.5)
        for w in prunable_tensors(net)
    )
    with torch.no_grad():
        for weight, mask in zip(prunable_tensors(net), masks, strict=True):
            weight.mul_(mask)
    return Replica(net, masks, Streams((seed,)))


def trained(name, data, recipe, backend, seeds=(0, 1, 2), dtype=torch.float32):
    replicas = [make_replica(name, seed, dtype) for seed in seeds]
    return replicas, train_replicas(replicas, data, recipe, recipe.dense, backend)


def state(net):
    return torch.cat([t.detach().double().flatten() for t in net.state_dict().values()])


@cache
def in_the_loop(name, recipe):
    """States and losses of three networks, each trained by itself."""
    data = dataset(SHAPES[name], Doubles)
    alone, ends = trained(name, data, recipe, LOOP, dtype=torch.float64)
    return [state(one.net) for one in alone], [end.train_loss for end in ends]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@stacked(GROUPED, GEMM, EACH, VMAP)
def test_a_stack_is_the_loop_to_rounding(name, backend, recipe, cpu):
    """In float64, where rounding is 1e-16 and training magnifies it by far less than 1e6.

    Running statistics of batch normalisation are part of the state.
    """
    data = dataset(SHAPES[name], Doubles)
    alone, losses = in_the_loop(name, recipe)
    together, ends = trained(name, data, recipe, backend, dtype=torch.float64)
    for one, other, loss, end in zip(alone, together, losses, ends, strict=True):
        torch.testing.assert_close(one, state(other.net), rtol=1e-9, atol=1e-9)
        assert end.error is None
        assert end.train_loss == pytest.approx(loss, rel=1e-6)  # in float32
        assert not torch.equal(one, state(make_replica(name, 0).net))


@stacked(GROUPED, GEMM, EACH)
def test_no_bit_of_a_network_depends_on_its_company(name, backend, cpu):
    data = dataset(SHAPES[name])
    recipe = RECIPES["nesterov"]
    together, _ = trained(name, data, recipe, backend, range(5))
    sizes = {(3,): 8, (3, 4): 8, (0, 2, 3): 8, (4, 3, 2, 1, 0): 2}
    for seeds, size in sizes.items():
        others, _ = trained(name, data, recipe, replace(backend, size=size), seeds)
        for seed, replica in zip(seeds, others, strict=True):
            assert torch.equal(state(replica.net), state(together[seed].net)), (seeds, seed)


@pytest.mark.parametrize("backend", [LOOP, GROUPED, GEMM, EACH, VMAP], ids=str)
def test_a_network_that_diverges_leaves_the_others_as_they_are(backend, cpu):
    data = dataset(SHAPES["lenet"])
    replicas = [make_replica("lenet", seed) for seed in range(3)]
    with torch.no_grad():
        next(replicas[1].net.parameters()).mul_(1e30)
    trainings = [Training(replica, SGD, SGD.dense) for replica in replicas]
    epochs = dict.fromkeys(trainings, 0)

    def on_epoch(training, done):
        epochs[training] += done

    outcomes = [end for _, end in train(trainings, data, backend, on_epoch)]
    assert "in epoch 1" in outcomes[1].failure
    assert not math.isfinite(outcomes[1].train_loss)
    assert list(epochs.values()) == [3, 0, 3]
    sound, _ = trained("lenet", data, SGD, backend)
    for i in (0, 2):
        assert outcomes[i].is_sound
        assert torch.equal(state(replicas[i].net), state(sound[i].net))


@pytest.mark.parametrize("name", SHAPES)
def test_evaluation_of_a_stack_is_that_of_each_network(name, cpu):
    data = dataset(SHAPES[name])
    replicas, _ = trained(name, data, SGD, LOOP)
    sets = {"test": data.test, "validation": data.validation}
    alone = list(evaluate(replicas, data, sets, LOOP))
    for backend in (GROUPED, GEMM, EACH, VMAP):
        together = list(evaluate(replicas, data, sets, backend))
        for (_, one), (_, other) in zip(alone, together, strict=True):
            for part in sets:
                # float32 logits of order 1: rounding is below 1e-5, ties are improbable
                assert torch.equal(one[part].classes, other[part].classes)
                assert other[part].loss == pytest.approx(one[part].loss, rel=1e-5)
                assert other[part].finite


def test_a_network_that_is_not_finite_is_noticed_among_others(cpu):
    data = dataset(SHAPES["lenet"])
    replicas = [make_replica("lenet", seed) for seed in range(2)]
    with torch.no_grad():
        next(replicas[0].net.parameters()).fill_(math.nan)
    found = [
        part["test"].finite for _, part in evaluate(replicas, data, {"test": data.test}, GROUPED)
    ]
    assert found == [False, True]


@pytest.mark.parametrize("name", ["mlp", *SHAPES, "resnet56"])
def test_every_network_that_ships_can_be_stacked(name, cpu):
    shape = SHAPES.get(name, (3, 8, 8))
    assert refusal(build(name, {}, shape, 10, seed=0), shape) is None


class Scaled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def flat(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (flat(nn.Linear(48, 8), nn.Dropout(), nn.Linear(8, 10)), "how to stack Dropout"),
        (flat(Scaled(48, 10)), "how to stack Scaled"),
        (flat(nn.Unflatten(1, (6, 8)), nn.LSTM(8, 10)), "how to stack LSTM, Unflatten"),
        (nn.Sequential(nn.BatchNorm2d(3, momentum=None), flat(nn.Linear(48, 10))), "BatchNorm2d"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular")), "Conv2d"),
        (nn.Sequential(nn.Linear(4, 4), flat(nn.Linear(48, 10))), "stacked, it fails"),
    ],
)
def test_what_no_rule_covers_is_refused_with_its_reason(net, words, cpu):
    assert words in refusal(net, (3, 4, 4))


def test_layers_of_all_kinds_that_rules_cover(cpu):
    """Strides, dilation, groups, shared layers, frozen weights and no bias."""
    twice = nn.Conv2d(6, 6, 3, padding="same", bias=False)
    net = nn.Sequential(
        nn.Conv2d(2, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), nn.GELU(),
        nn.BatchNorm2d(6, affine=False), twice, nn.SiLU(), twice, nn.AvgPool2d(2, 1),
        nn.BatchNorm2d(6, track_running_stats=False), nn.Conv2d(6, 4, 1, groups=2),
        nn.MaxPool2d(3, 2, padding=1), nn.LeakyReLU(), nn.AdaptiveAvgPool2d((2, 1)), nn.Flatten(),
        nn.Linear(8, 7, bias=False), nn.Sigmoid(), nn.Identity(), nn.Flatten(), nn.Linear(7, 10),
    )  # fmt: skip
    net[0].weight.requires_grad_(False)
    assert refusal(net, (2, 9, 8)) is None
    inputs = torch.rand(5, 2, 9, 8)
    wanted = net(inputs)
    for way in WAYS:
        stack = make_stack([net, net], way)
        torch.testing.assert_close(stack(inputs.repeat(1, 2, 1, 1))[1].T, wanted)
        assert not stack.leaves[0].requires_grad
