"""What goes wrong around a network: folders, pipes, other sweeps, remains of killed processes."""

import io
import json
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from distortion.errors import StudyError
from distortion.log import is_complete, read_log, write_shard
from runners import methods, pool, train
from runners.backends import LOOP
from runners.cli import main
from runners.datasets import load
from runners.groups import Group
from runners.masks import size_of
from runners.progress import Display
from runners.recorder import Recorder
from runners.shards import read_failure, record_failure
from runners.status import failures, status
from runners.sweep import Sweep
from runners.worker import Again, Found, Raised, Setup
from tests.runners.studies import network, run_network, study

TWO = [{"name": "magnitude"}, {"name": "random"}]
DIVERGING = """
name = "wild"
seeds = 1
ratios = [2]
dataset = {name = "digits", test_share = 0.5, train_limit = 200}
model = {name = "mlp", widths = [24, 12]}
method = {name = "magnitude"}
recipe = {dense = [[1, 1e9]], finetune = [[1, 0.1]]}
"""


def run(parsed, out):
    console = Console(file=io.StringIO(), width=200)
    return Sweep(parsed, out, Path(), "cpu", 1, "grouped").run(
        Display(console)
    ), console.file.getvalue()


def fill(spec, out, cpu):
    data = load(spec.dataset, spec.split_seed, Path(), cpu)
    write_shard(*run_network(spec, data), spec.folder(out), spec.run_id)


def no_workers(*_):
    raise AssertionError("a worker was started")


def test_a_failure_is_recorded_counted_and_forgotten_when_it_is_computed(cpu, tmp_path):
    parsed = study(seeds=1)
    [spec] = parsed.networks
    for _ in range(2):
        record_failure(spec, tmp_path, "no memory", "Traceback: …")
    record = read_failure(spec, tmp_path)
    assert (record["attempts"], record["traceback"]) == (2, "Traceback: …")
    assert record["configuration"] == spec.configuration
    assert "seed 0: not computed, no memory (attempt 2, " in status(parsed, tmp_path)[0].problems[0]
    fill(spec, tmp_path, cpu)
    assert read_failure(spec, tmp_path) is None
    record_failure(spec, tmp_path, "another sweep was faster", "")
    assert read_failure(spec, tmp_path) is None


def test_a_damaged_failure_record_is_a_problem_and_no_error(tmp_path):
    parsed = study(seeds=1)
    [spec] = parsed.networks
    record_failure(spec, tmp_path, "no memory", "")
    [path] = tmp_path.rglob("*.failed.json")
    path.write_text("[")
    [state] = status(parsed, tmp_path)
    assert f"its record {path} is damaged" in state.problems[0]


@pytest.mark.slow
def test_failures_of_another_configuration_are_removed(tmp_path):
    old = network(ratios=[3])
    record_failure(old, tmp_path, "no memory", "")
    assert run(study(seeds=1), tmp_path)[0] == []
    assert not list(tmp_path.rglob("*.failed.json"))


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "compute", no_workers)
    (tmp_path / "tiny").write_text("a file where the folder should be")
    with pytest.raises(StudyError, match=r"The log cannot be written to .*tiny: .* with -o"):
        run(study(seeds=1), tmp_path)


def test_a_network_that_another_sweep_has_done_is_not_computed(cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_start", no_workers)
    parsed = study(seeds=2)
    for spec in parsed.networks:
        fill(spec, tmp_path, cpu)
    setup = Setup(tmp_path, Path(), "cpu", ())
    found = list(pool.compute([Group(parsed.networks, LOOP)], 1, setup))
    assert found == [(spec, Found()) for spec in parsed.networks]


@pytest.mark.parametrize("error", [OSError("lost"), UnpicklingError("cut"), EOFError()])
def test_a_message_that_breaks_off_ends_the_network_only(error):
    process = pool.SPAWN.Process(target=print)
    process.start()
    process.join()

    class Broken:
        def recv(self):
            raise error

    raised = Raised("its process ended with exit code 0")
    assert received(process, Broken(), {1}) == [(1, raised)]
    assert received(process, Broken(), {0, 1}) == [(0, Again()), (1, Again())]


def received(process, pipe, missing):
    group = Group(study(seeds=2).networks, LOOP)
    return pool._receive(pool.Member(process, pipe, group, missing))


@pytest.mark.slow
def test_remains_of_a_killed_process_are_removed(tmp_path):
    parsed = study(seeds=1)
    [spec] = parsed.networks
    folder = spec.folder(tmp_path)
    folder.mkdir(parents=True)
    mine = folder / f".{spec.run_id}.parquet.123.part"
    other = folder / ".0123456789abcdef.parquet.123.part"
    for path in (mine, other):
        path.write_bytes(b"half")
    assert run(parsed, tmp_path)[0] == []
    assert is_complete(folder, spec.run_id)
    assert (mine.exists(), other.exists()) == (False, True)


def cells(provenance, key="failed"):
    return [(cell["arm"], cell["method"], cell["ratio"]) for cell in provenance[key]]


def run_alone(spec, cpu):
    return run_network(spec, load(spec.dataset, spec.split_seed, Path(), cpu))


def without(table, method):
    return table.filter(table["method"] != method)


def test_a_method_that_raises_leaves_the_others(cpu, monkeypatch):
    spec = network(method=TWO)
    whole, _ = run_alone(spec, cpu)
    broken = methods.Scored(lambda weights: weights.no_such_thing)
    monkeypatch.setitem(methods.METHODS._entries, "random", broken)
    table, provenance = run_alone(spec, cpu)
    assert table.equals(without(whole, "random"))
    expected = [(arm, "random", ratio) for arm in ("pruned", "finetuned") for ratio in (2.0, 10.0)]
    assert cells(provenance) == expected
    assert "no_such_thing" in provenance["failed"][0]["reason"]
    read_log(table)


@pytest.mark.parametrize("error", [RuntimeError("bad"), torch.cuda.OutOfMemoryError("full")])
def test_a_cell_that_cannot_be_counted_leaves_the_others(error, cpu, monkeypatch):
    whole, _ = run_alone(network(), cpu)
    plain = Recorder.count

    def count(self, cell, evaluation, train_loss):
        if str(cell) == "pruned magnitude 2":
            raise error
        return plain(self, cell, evaluation, train_loss)

    monkeypatch.setattr(Recorder, "count", count)
    table, provenance = run_alone(network(), cpu)
    assert cells(provenance) == [("pruned", "magnitude", 2.0)]
    lost = (whole["arm"] == "pruned") & (whole["ratio"] == 2)
    assert table.equals(whole.filter(~lost))


@pytest.mark.parametrize("error", [RuntimeError("bad"), torch.OutOfMemoryError("full")])
def test_fine_tuning_that_raises_leaves_the_other_cells(error, cpu, monkeypatch):
    whole, _ = run_alone(network(), cpu)
    plain = train.train_stack

    def train_stack(stack, *arguments):
        kept = [sum(int(mask.sum()) for mask in replica.masks) for replica in stack]
        if size_of(stack[0].net).keep(2) in kept:  # of finetuned magnitude 2
            raise error
        return plain(stack, *arguments)

    monkeypatch.setattr(train, "train_stack", train_stack)
    table, provenance = run_alone(network(), cpu)
    assert cells(provenance) == [("finetuned", "magnitude", 2.0)]
    lost = (whole["arm"] == "finetuned") & (whole["ratio"] == 2)
    assert table.equals(whole.filter(~lost))


@pytest.mark.slow
def test_a_dense_network_that_failed_is_an_error_now_and_later(tmp_path):
    path = tmp_path / "wild.toml"
    path.write_text(DIVERGING)
    arguments = ["run", str(path), "-o", str(tmp_path / "out"), "--jobs", "1", "--quiet"]
    for first in (True, False):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert ("[1/1] digits mlp seed 0: dense network failed" in result.stderr) == first
        assert "1 cell(s) of 1 of 1 networks failed, earlier runs included" in result.stderr
        assert "Error: The dense network failed in 1 of 1 networks" in result.stderr
        assert "the outputs of the network are not finite" in result.stderr


def test_failures_tell_dense_cells_from_others(cpu, tmp_path):
    parsed = study(seeds=1, recipe={"dense": [[1, 0.1]], "finetune": [[1, 1e9]]})
    fill(parsed.networks[0], tmp_path, cpu)
    counted = failures(parsed, tmp_path)
    assert (counted.cells, counted.networks, counted.dense) == (3, 1, ())


def test_status_reads_each_record_once(cpu, tmp_path, monkeypatch):
    parsed = study(seeds=3)
    for spec in parsed.networks:
        fill(spec, tmp_path, cpu)
    read, plain = [], json.loads
    monkeypatch.setattr("json.loads", lambda text, **more: read.append(text) or plain(text, **more))
    status(parsed, tmp_path)
    from_disk = [text for text in read if "data_hash" in text]
    assert len(from_disk) <= 2 * len(parsed.networks)
