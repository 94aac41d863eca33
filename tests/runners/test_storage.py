"""Studies in an object store, of which fsspec's memory:// is one."""

import json
import uuid

import pytest
from click.testing import CliRunner

from distortion.log import read_log, write_shard
from distortion.places import place
from distortion.predictions import read_predictions
from runners.checkpoints import dense_checkpoint, load_checkpoint
from runners.cli import main
from runners.datasets import load
from runners.groups import Group
from runners.provenance import weights_hash
from runners.shards import damaged, read_failure, record_failure, remove, remove_old_failures
from runners.status import status
from runners.sweep import check_writable
from runners.worker import Setup, Worker
from tests.runners.studies import STACKED, run_network, study


@pytest.fixture
def out():
    pytest.importorskip("upath", reason="universal-pathlib is not installed")
    return place(f"memory://{uuid.uuid4().hex}/logs")


def test_a_study_in_an_object_store_is_followed_like_one_on_disk(cpu, out, tmp_path):
    parsed = study(seeds=3)
    first, second, third = parsed.networks
    check_writable(first.folder(out))
    assert not list(first.folder(out).iterdir())
    for network in (first, second):
        data = load(network.dataset, network.split_seed, tmp_path, cpu)
        write_shard(*run_network(network, data), network.folder(out), network.run_id)
    record_failure(third, out, "no memory", "")
    [state] = status(parsed, out)
    assert (state.done, state.missing) == (2, [2])
    assert "seed 2: not computed, no memory" in state.problems[0]
    assert read_log(str(parsed.folder(out))).table["seed"].unique().to_list() == [0, 1]
    shard = second.folder(out) / f"{second.run_id}.parquet"
    shard.write_bytes(shard.read_bytes()[:300])
    assert f"{shard} is damaged" in damaged(second, out)
    remove(second, out)
    assert damaged(second, out) is None
    remove_old_failures(parsed, out)
    assert read_failure(third, out) is not None


def test_what_would_be_lost_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["run", "digits", "-o", "memory://logs"])
    assert result.exit_code == 2
    assert "memory:// would be lost" in result.stderr
    result = CliRunner().invoke(main, ["status", "digits", "-o", "nowhere://logs"])
    assert result.exit_code == 2
    assert "nowhere://logs cannot be reached" in result.stderr


def test_predictions_and_checkpoints_are_read_where_they_were_written(cpu, out, tmp_path):
    parsed = study(seeds=1, predictions=True)
    [spec] = parsed.networks
    Worker(Setup(out, tmp_path, "cpu", (), checkpoints=True)).compute(
        Group((spec,), STACKED), lambda *_: None
    )
    cells = read_predictions(str(parsed.folder(out))).log.cells
    assert set(cells["arm"]) == {"dense", "control", "pruned", "finetuned"}
    net = load_checkpoint(str(dense_checkpoint(spec, out)))
    record = json.loads((spec.folder(out) / f"{spec.run_id}.json").read_bytes())
    assert weights_hash(net) == record["dense_weights_hash"]
