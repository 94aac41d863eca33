"""A GPU that fails ends its process; the networks are computed again in another."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from runners import arms, methods, networkrun, pool, train, worker
from runners.bench import Bench
from runners.engines.errands import messages
from runners.groups import Group
from runners.progress import Display
from runners.recorder import Recorder
from runners.sweep import Sweep
from runners.worker import Setup, Worker, serve
from tests.runners.studies import STACKED, study

LOST = RuntimeError("CUDA error: unspecified launch failure")


def lose(*_):
    raise LOST


def lose_copies(bench, candidates, plain=Bench.evaluate):
    """The first cells after the dense one."""
    return lose() if candidates[0].training is None else plain(bench, candidates)


def lose_finetuned(recorder, cell, *rest, plain=Recorder.count):
    return lose() if cell.arm == "finetuned" else plain(recorder, cell, *rest)


PLACES = {
    "initial weights": (Bench, "initial", lose),
    "training": (train, "train_stack", lose),
    "dense cell": (networkrun, "settle", lose),
    "copies": (Bench, "evaluate", lose_copies),
    "fine-tuned cell": (Recorder, "count", lose_finetuned),
    "checkpoint": (worker, "keep_in", lambda out: lose),
    "scores": (arms, "_advance", lose),
    "method": (methods.Scored, "compress", lose),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_lost_device_ends_all_networks_of_a_group(place, cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(*PLACES[place])
    working = Worker(Setup(tmp_path, Path(), "cpu", (), checkpoints=True))
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        working.compute(Group(study(seeds=2).networks, STACKED), lambda *_: None)
    assert not list(tmp_path.rglob("*.json"))


def test_a_worker_that_has_lost_its_device_says_so_and_ends(cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "train_stack", lose)
    ours, theirs = pool.SPAWN.Pipe()
    ours.send(Group(study(seeds=2).networks, STACKED))
    with pytest.raises(SystemExit):
        serve(theirs, Setup(tmp_path, Path(), "cpu", ()), 0)
    position, message = ours.recv()
    assert position is None
    assert "unspecified launch failure" in message.reason


def test_an_engine_hears_of_a_lost_device(cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "train_stack", lose)
    group = Group(study(seeds=2).networks, STACKED)
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        list(messages(group, Setup(tmp_path, Path(), "cpu", ())))


LOSER = """
import runners

def moody(weights):
    raise RuntimeError("CUDA error: unspecified launch failure")

runners.register_method("moody", moody)
"""


@pytest.mark.slow
def test_networks_of_a_lost_device_are_computed_by_themselves_in_other_processes(
    tmp_path, monkeypatch
):
    (tmp_path / "loser.py").write_text(LOSER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    both = [{"name": "magnitude"}, {"name": "moody"}]
    parsed, out = study(method=both, plugins=["loser"]), tmp_path / "out"
    console = Console(file=io.StringIO(), width=200)
    problems = Sweep(parsed, out, Path(), "cpu", 1, "grouped").run(Display(console))
    printed = console.file.getvalue()
    assert [network.seed for network, _ in problems] == [0, 1]
    assert all("unspecified launch failure" in problem.reason for _, problem in problems)
    assert printed.count("its process was ended; computed by itself later") == 2
    assert not list(out.rglob("*.parquet"))
