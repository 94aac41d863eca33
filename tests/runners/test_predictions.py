"""Studies that store predictions: the counts follow from them, and damage to them is noticed."""

import io
import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

import distortion as ds
from distortion import log as logs
from distortion.log import PREDICTIONS, is_complete, write_shard
from distortion.schema import CELL, COUNTS
from runners.datasets import load
from runners.progress import Display
from runners.shards import damaged, remove
from runners.status import status
from runners.sweep import Sweep
from tests.runners.studies import left_by, network, study

KEY = [*CELL, "class_id"]
DIGITS = {"name": "digits", "test_share": 0.5, "validation_share": 0.2, "train_limit": 300}


def write(spec, out, cpu):
    """Compute a network and write its files; return what it leaves."""
    left = left_by(spec, load(spec.dataset, spec.split_seed, Path(), cpu))
    write_shard(*left[:2], spec.folder(out), spec.run_id, left.predictions)
    return left


def test_every_count_follows_from_the_predictions(cpu, tmp_path):
    methods = [{"name": "magnitude"}, {"name": "round-to-nearest"}]
    both = ["test", "validation"]
    parsed = study(predictions=True, dataset=DIGITS, count=both, method=methods)
    for spec in parsed.networks:
        write(spec, tmp_path, cpu)
        assert damaged(spec, tmp_path) is None
    counted = ds.read_log(tmp_path).table.select(*KEY, *COUNTS)
    recounted = ds.recount(tmp_path)
    assert_frame_equal(recounted.sort(KEY), counted.sort(KEY))
    cells = ds.read_log(tmp_path).cells.height
    assert cells == 2 * sum(spec.n_cells for spec in parsed.networks)
    stored = pl.concat(map(pl.read_parquet, tmp_path.rglob(f"*{PREDICTIONS}")))
    assert stored.height == cells
    assert stored.schema["labels"] == stored.schema["predicted"] == pl.List(pl.UInt8)
    # Storing them changes nothing else.
    plain = left_by(study(dataset=DIGITS, count=both, method=methods).networks[0], *data(cpu))
    assert plain.predictions is None
    assert_frame_equal(plain.table.select(*KEY, *COUNTS), counted[: plain.table.height])


def data(cpu):
    spec = study(dataset=DIGITS).networks[0]
    return (load(spec.dataset, spec.split_seed, Path(), cpu),)


def test_only_a_study_that_stores_predictions_has_another_id():
    assert network(predictions=False).run_id == network().run_id
    assert network(predictions=True).run_id != network().run_id


def test_a_cell_that_fails_leaves_no_predictions(cpu, tmp_path):
    recipe = {"dense": [[2, 0.1]], "finetune": [[1, 1e9]]}
    left = write(network(predictions=True, recipe=recipe), tmp_path, cpu)
    assert left.predictions["arm"].unique().sort().to_list() == ["dense", "pruned"]
    failing = network(predictions=True, recipe={"dense": [[1, 1e9]], "finetune": [[1, 0.1]]})
    left = write(failing, tmp_path, cpu)
    assert left.predictions.height == 0
    assert damaged(failing, tmp_path) is None


def test_damage_to_predictions_is_noticed(cpu, tmp_path):
    parsed = study(predictions=True, seeds=1)
    [spec] = parsed.networks
    left = write(spec, tmp_path, cpu)
    path = spec.folder(tmp_path) / f"{spec.run_id}{PREDICTIONS}"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    assert f"{path} is damaged" in damaged(spec, tmp_path)
    left.predictions[1:].write_parquet(path)
    assert "its cells are not those of" in damaged(spec, tmp_path)
    path.unlink()
    assert f"{path} is missing" in damaged(spec, tmp_path)
    [state] = status(parsed, tmp_path)
    assert (state.done, state.missing) == (0, [0])
    assert "The next run computes it again." in state.problems[0]
    path.write_bytes(whole)
    assert damaged(spec, tmp_path) is None
    remove(spec, tmp_path)
    assert not path.exists()


@pytest.mark.slow
def test_damaged_predictions_are_computed_again(cpu, tmp_path):
    parsed = study(predictions=True, seeds=1)
    [spec] = parsed.networks
    write(spec, tmp_path, cpu)
    path = spec.folder(tmp_path) / f"{spec.run_id}{PREDICTIONS}"
    whole = path.read_bytes()
    path.unlink()
    console = Console(file=io.StringIO(), width=300)
    again = Sweep(parsed, tmp_path, Path(), "cpu", 1, "grouped").run(Display(console))
    assert again == []
    assert f"{path} is missing. It is computed again." in console.file.getvalue()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_network_that_is_killed_while_it_writes_is_not_there(
    survives, cpu, tmp_path, monkeypatch
):
    spec = network(predictions=True)
    left = left_by(spec, load(spec.dataset, spec.split_seed, Path(), cpu))
    replace, renamed = Path.replace, []

    def killed(path, target):
        if len(renamed) == survives:
            raise KeyboardInterrupt
        renamed.append(target)
        return replace(path, target)

    monkeypatch.setattr(logs.Path, "replace", killed)
    folder = spec.folder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_shard(*left[:2], folder, spec.run_id, left.predictions)
    assert not is_complete(folder, spec.run_id)
    assert sum(not name.startswith(".") for name in os.listdir(folder)) == survives
    with pytest.raises(ds.errors.LogError, match="of a finished network"):
        ds.read_predictions(tmp_path)
