"""However a step is taken, it is the same step."""

import shutil
from dataclasses import replace

import pytest
import torch

from runners import stacked, steps
from runners.backends import Backend
from runners.masks import prunable_tensors
from runners.precision import lowered
from runners.stacking import make_stack
from runners.steps import GraphedStep
from runners.stopwatch import disagreement
from tests.runners.studies import train_replicas
from tests.runners.test_stacking import (
    GROUPED,
    LOOP,
    RECIPES,
    SHAPES,
    dataset,
    make_replica,
    state,
    trained,
)  # fmt: skip


def replayed(run, put_back):
    """Stands in for the capture of a graph: run to warm up, put back, and run again each time."""
    for _ in range(3):
        run()
    put_back()
    return run


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("name", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_replayed_steps_are_eager_steps(name, recipe, cpu, monkeypatch):
    """Batches of two sizes, so two captures, the second with moments that must survive it.

    The rate is a float32 number on the device, not Python's float64, and Adam divides by moments
    that may be tiny, hence the tolerance.
    """
    made = []

    def make_step(way, stack, masked, recipe):
        made.append(GraphedStep(stack, masked, recipe, replayed))
        return made[-1]

    data = dataset(SHAPES[name])
    expected, ends = trained(name, data, recipe, GROUPED)
    monkeypatch.setattr("runners.stacked.make_step", make_step)
    found, other_ends = trained(name, data, recipe, GROUPED)
    for one, other, end, other_end in zip(expected, found, ends, other_ends, strict=True):
        moved = state(one.net) - state(make_replica(name, one.streams.key[0]).net)
        assert (state(one.net) - state(other.net)).norm() < 0.01 * moved.norm()
        assert other_end.train_loss == pytest.approx(end.train_loss, rel=1e-3)
    [step] = made
    assert len(step._captured) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("way", ["graph", "compile+graph"])
@pytest.mark.parametrize("name", SHAPES)
def test_captured_steps_are_eager_steps(name, way):
    gpu = torch.device("cuda")
    data, net = dataset(SHAPES[name]).to(gpu), make_replica(name, 0).net.to(gpu)
    assert disagreement(Backend("grouped", 2, way), net, data, RECIPES["nesterov"]) is None


def test_masks_have_no_history(cpu):
    """A view that autograd knows would tie the backward pass to the stream it was made on."""
    replicas = [make_replica("lenet", seed) for seed in range(2)]
    stack = make_stack([replica.net for replica in replicas], "grouped")
    for weight, mask in stacked._masked(stack, replicas):
        assert weight.grad_fn is None
        assert weight.shape == mask.shape


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_steps_are_eager_steps_and_stacks_share_a_program(cpu):
    data, recipe = dataset(SHAPES["lenet"]), RECIPES["nesterov"]
    expected, _ = trained("lenet", data, recipe, GROUPED)
    steps._programs.clear()
    for _ in range(2):
        found, _ = trained("lenet", data, recipe, Backend("grouped", 8, "compile"))
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(state(one.net), state(other.net), rtol=1e-3, atol=1e-4)
    assert len(steps._programs) == 1


@pytest.mark.parametrize("backend", [LOOP, GROUPED], ids=str)
def test_bfloat16_is_near_float32_and_not_the_same(backend, cpu):
    """bfloat16 has 8 bits of mantissa, 0.4 %; weights move by some 0.01 in 9 steps."""
    data, recipe = dataset(SHAPES["resnet20"]), RECIPES["momentum"]
    low = replace(recipe, precision="bfloat16")
    plain, _ = trained("resnet20", data, recipe, backend)
    lowered_, ends = trained("resnet20", data, low, backend)
    assert all(end.is_sound for end in ends)
    for one, other in zip(plain, lowered_, strict=True):
        assert not torch.equal(state(one.net), state(other.net))
        assert all(p.dtype == torch.float32 for p in other.net.parameters())
        moved = torch.cat([p.detach().flatten() for p in one.net.parameters()])
        near = torch.cat([p.detach().flatten() for p in other.net.parameters()])
        assert (moved - near).norm() < 0.05 * moved.norm()


def test_a_stack_in_bfloat16_is_the_loop_to_its_rounding(cpu):
    data, low = dataset(SHAPES["lenet"]), replace(RECIPES["plain"], precision="bfloat16")
    alone, _ = trained("lenet", data, low, LOOP)
    together, _ = trained("lenet", data, low, GROUPED)
    start = make_replica("lenet", 0)
    for one, other in zip(alone, together, strict=True):
        difference = (state(one.net) - state(other.net)).norm()
        assert difference < 0.01 * state(start.net).norm()


def test_normalisation_and_loss_stay_float32(cpu):
    seen = {}

    def watch(layer, inputs, output):
        seen[type(layer)] = output.dtype

    net = make_replica("resnet20", 0).net
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.BatchNorm2d):
            layer.register_forward_hook(watch)
    with lowered("bfloat16", torch.device("cpu")):
        logits = net.train()(torch.rand(4, 3, 8, 8))
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    assert seen[torch.nn.Conv2d] == torch.bfloat16
    assert loss.dtype == torch.float32
    assert all(b.dtype != torch.bfloat16 for b in net.buffers())


def test_masks_hold_in_every_way(cpu, monkeypatch):
    data = dataset(SHAPES["lenet"])
    monkeypatch.setattr(
        "runners.stacked.make_step",
        lambda way, stack, masked, recipe: GraphedStep(stack, masked, recipe, replayed),
    )
    replica = make_replica("lenet", 0)
    [outcome] = train_replicas([replica], data, RECIPES["adam"], ((2, 0.01),), GROUPED)
    assert outcome.is_sound
    for weight, mask in zip(prunable_tensors(replica.net), replica.masks, strict=True):
        assert not weight[mask == 0].any()
