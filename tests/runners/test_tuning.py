"""Choosing a back-end: measured once, remembered, overridden, never beyond memory."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from distortion.errors import StudyError
from runners import memory, stopwatch, tuning
from runners.backends import LOOP, Backend, named
from runners.memory import bytes_per_network, stack_limit
from runners.nets import build
from runners.recipe import Recipe
from runners.tuning import AUTO, choose

RECIPE = Recipe(dense=((1, 0.1),), finetune=((1, 0.1),), batch_size=40)
TIMES = {
    "vmap": {2: 8.0, 4: 5.0, 8: 6.0, 16: 7.0},
    "loop": {1: 9.0},
    "grouped": {2: 8.0, 4: 5.0, 8: 4.9, 16: 3.0, 32: 2.99, 64: 4.0, 128: 5.0},
}


GROUPED = Backend("grouped", 2)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """What was measured; times are those of the table, and the cache is empty."""
    asked = []

    def seconds(backend, *_):
        asked.append(backend)
        return TIMES[backend.name][backend.size]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "step_seconds", seconds)
    return asked


def chosen(data, cpu, wanted=AUTO, net=None):
    return choose(wanted, net or build("mlp", {}, (1, 8, 8), 10, seed=0), data, RECIPE, cpu, 1)


def test_the_fastest_is_measured_once_and_remembered(digits, cpu, measured, tmp_path):
    assert chosen(digits, cpu) == (Backend("grouped", 16), ())
    assert [backend.size for backend in measured] == [1, 2, 4, 8, 16, 32, 64]
    measured.clear()
    assert chosen(digits, cpu) == (Backend("grouped", 16), ())
    assert measured == []
    other = build("mlp", {"widths": (8, 8)}, (1, 8, 8), 10, seed=0)
    chosen(digits, cpu, net=other)
    assert measured
    [path] = tmp_path.rglob("*.json")
    assert len(json.loads(path.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[", "[]", '{"x": 1}', '{"x": {"name": "abacus"}}'])
def test_a_damaged_memory_is_measured_again(content, digits, cpu, measured, tmp_path):
    chosen(digits, cpu)
    [path] = tmp_path.rglob("*.json")
    path.write_text(content)
    measured.clear()
    assert chosen(digits, cpu)[0] == Backend("grouped", 16)
    assert measured


def test_a_memory_that_cannot_be_written_is_no_error(digits, cpu, measured, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert chosen(digits, cpu)[0] == Backend("grouped", 16)


def test_a_back_end_that_is_asked_for_is_not_measured(digits, cpu, measured):
    assert chosen(digits, cpu, "loop") == (LOOP, ())
    assert chosen(digits, cpu, "each+compile")[0] == Backend("each", 8, "compile")
    assert chosen(digits, cpu, "gemm")[0].name == "gemm"
    assert measured == []


@pytest.mark.parametrize("wanted", [AUTO, "grouped"])
def test_a_network_that_cannot_be_stacked_trains_in_the_loop(wanted, digits, cpu, measured):
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))
    backend, [note] = chosen(digits, cpu, wanted, net)
    assert backend == LOOP
    assert "Dropout" in note
    assert measured == []


def test_no_more_networks_than_memory_has_room_for(digits, cpu, measured, monkeypatch):
    net = build("mlp", {}, (1, 8, 8), 10, seed=0)
    need = bytes_per_network(net, (1, 8, 8), 40)
    weights = sum(p.numel() for p in net.parameters())
    assert 4 * memory.PER_WEIGHT * weights < need < 8 * memory.PER_WEIGHT * weights
    monkeypatch.setattr(memory, "free_memory", lambda device: 10 * need)
    assert stack_limit(net, (1, 8, 8), 40, cpu, 1) == 7
    assert stack_limit(net, (1, 8, 8), 40, cpu, 2) == 3
    assert chosen(digits, cpu)[0] == Backend("grouped", 4)
    assert chosen(digits, cpu, "gemm")[0] == Backend("gemm", 7)
    monkeypatch.setattr(memory, "free_memory", lambda device: need)
    note = "is trained one by one: two of it do not fit into memory"
    assert chosen(digits, cpu) == (LOOP, (note,))


def test_a_network_that_only_vmap_can_stack_is_stacked_by_it(digits, cpu, measured):
    net = nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 10))
    for wanted in ("grouped", "vmap"):
        backend, notes = chosen(digits, cpu, wanted, net)
        assert backend == Backend("vmap", 8)
        assert [note.startswith("is stacked by vmap: no rule") for note in notes] == (
            [True] if wanted == "grouped" else []
        )
    assert chosen(digits, cpu, net=net)[0] == Backend("vmap", 4)


def test_what_precision_changes_is_measured_again(digits, cpu, measured):
    net = build("mlp", {}, (1, 8, 8), 10, seed=0)
    choose(AUTO, net, digits, RECIPE, cpu, 1)
    measured.clear()
    choose(AUTO, net, digits, replace(RECIPE, precision="bfloat16"), cpu, 1)
    assert measured


@pytest.mark.parametrize("text", ["", "abacus", "grouped+abacus", "grouped:many", "grouped:0"])
def test_labels_are_checked(text):
    with pytest.raises(ValueError, match=r"is not one of|networks at once"):
        named(text)


def test_labels_name_ways_steps_and_sizes():
    assert named("gemm+compile+graph:32") == Backend("gemm", 32, "compile+graph")
    assert named("each").label == "each"
    assert named("loop:") == LOOP


class Odd(nn.Module):
    """A constant that is no buffer, and a layer that returns two tensors."""

    def __init__(self):
        super().__init__()
        self.mean = torch.rand(1, 1, 8, 8)
        self.recurrent = nn.LSTM(8, 10, batch_first=True)

    def forward(self, x):
        return self.recurrent((x - self.mean).squeeze(1))[0][:, -1]


def test_memory_is_estimated_for_networks_of_any_kind(cpu):
    net = Odd()
    weights = sum(p.numel() for p in net.parameters())
    assert bytes_per_network(net, (1, 8, 8), 40) > 4 * memory.PER_WEIGHT * weights


def test_free_memory_is_what_programs_can_have(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "GROUPS", ())
    free = memory.free_memory(torch.device("cpu"))
    for name, content in (("most", "5000"), ("used", "2000"), ("none", "max")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(memory, "GROUPS", ((tmp_path, "none", "used"), (tmp_path, "most", "used")))
    assert memory.free_memory(torch.device("cpu")) == 3000 < free


def test_graphs_need_a_gpu(digits, cpu):
    with pytest.raises(StudyError, match="need a GPU"):
        chosen(digits, cpu, "gemm+graph")


@pytest.mark.parametrize("wrong", [RuntimeError("no such kernel\nat line 3"), 2.0])
def test_a_back_end_that_fails_or_computes_something_else_is_passed_over(
    wrong, digits, cpu, measured, monkeypatch
):
    plain = stopwatch.train_stack

    def train_stack(*arguments):
        if isinstance(wrong, Exception):
            raise wrong
        return [replace(end, train_loss=wrong * end.train_loss) for end in plain(*arguments)]

    monkeypatch.setattr(stopwatch, "train_stack", train_stack)
    backend, [note] = chosen(digits, cpu)
    assert backend == LOOP
    assert note.startswith("cannot use grouped: ")
    assert note.endswith("no such kernel") or "where that of the loop is" in note


def test_real_measurements_are_times(digits, cpu):
    net = build("mlp", {}, (1, 8, 8), 10, seed=0)
    before = [p.clone() for p in net.parameters()]
    for backend in (LOOP, Backend("grouped", 2)):
        assert 0 < stopwatch.step_seconds(backend, net, digits, RECIPE) < math.inf
    assert all(map(torch.equal, net.parameters(), before))


def test_memory_that_runs_out_while_measuring_is_no_choice(digits, cpu, monkeypatch):
    def train_stack(*_):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(stopwatch, "train_stack", train_stack)
    net = build("mlp", {}, (1, 8, 8), 10, seed=0)
    assert stopwatch.step_seconds(GROUPED, net, digits, RECIPE) == math.inf
