"""Whole sweeps with worker processes: killed, interrupted, damaged, resumed."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from distortion.errors import StudyError
from distortion.log import write_shard
from runners.datasets import load
from runners.engines.local import choose_device, default_jobs
from runners.progress import Display
from runners.shards import damaged
from runners.status import status
from runners.sweep import Sweep
from tests.runners.processes import table
from tests.runners.studies import run_network, study


def run(parsed, out, jobs=1):
    """Run a study and return what was printed."""
    console = Console(file=io.StringIO(), width=200)
    problems = Sweep(parsed, out, Path(), "cpu", jobs, "grouped").run(Display(console))
    assert problems == []
    return console.file.getvalue()


def fill(parsed, out, cpu):
    """Compute all networks of a study here, without workers."""
    for network in parsed.networks:
        data = load(network.dataset, network.split_seed, Path(), cpu)
        write_shard(*run_network(network, data), network.folder(out), network.run_id)


@pytest.mark.slow
def test_provenance_says_what_ran_where(cpu, tmp_path):
    parsed = study(seeds=1)
    run(parsed, tmp_path)
    [path] = tmp_path.rglob("*.json")
    record = json.loads(path.read_text())
    [network] = parsed.networks
    assert path.stem == record["run_id"] == network.run_id
    assert record["configuration"] == network.configuration
    assert {"python", "torch", "numpy", "polars", "distortion"} <= set(record["versions"])
    assert record["threads"] == 1
    assert record["device"].startswith("cpu")
    assert set(record["seconds"]) == {"dense", "scores", "pruned", "control", "finetuned"}
    for key in ("code_hash", "data_hash", "initial_weights_hash", "dense_weights_hash"):
        assert len(record[key]) == 16
    assert record["started"] <= record["finished"]
    # a worker gives what a call in this process gives
    fill(parsed, tmp_path / "here", cpu)
    assert table(tmp_path / "here").equals(table(tmp_path / "tiny"))


@pytest.mark.slow
def test_a_damaged_shard_is_computed_again(cpu, tmp_path):
    parsed = study(seeds=2)
    fill(parsed, tmp_path, cpu)
    whole = table(tmp_path)
    first, second = parsed.networks
    path = first.folder(tmp_path) / f"{first.run_id}.parquet"
    path.write_bytes(path.read_bytes()[:300])
    assert "is damaged" in damaged(first, tmp_path)
    assert damaged(second, tmp_path) is None
    [state] = status(parsed, tmp_path)
    assert (state.done, state.missing) == (1, [0])
    assert "The next run computes it again." in state.problems[0]
    printed = run(parsed, tmp_path)
    assert f"{path} is damaged" in printed
    assert "It is computed again." in printed
    assert table(tmp_path).equals(whole)


@pytest.mark.slow
def test_damaged_provenance_counts_as_damage(cpu, tmp_path):
    parsed = study(seeds=1)
    fill(parsed, tmp_path, cpu)
    [network] = parsed.networks
    path = network.folder(tmp_path) / f"{network.run_id}.json"
    for text in ("", '{"run_id":', "{}", "[]", '{"failed": 1}'):
        path.write_text(text)
        assert ".json is damaged" in damaged(network, tmp_path)
        [state] = status(parsed, tmp_path)
        assert (state.done, state.missing, len(state.problems)) == (0, [0], 1)
    assert f"{path} is damaged" in run(parsed, tmp_path)
    assert damaged(network, tmp_path) is None


@pytest.mark.slow
def test_a_table_without_its_provenance_is_computed_again(cpu, tmp_path):
    parsed = study(seeds=1)
    fill(parsed, tmp_path, cpu)
    [network] = parsed.networks
    path = network.folder(tmp_path) / f"{network.run_id}.json"
    path.with_suffix(".parquet").write_bytes(b"PAR1")
    path.unlink()
    assert f"{path} is missing" in status(parsed, tmp_path)[0].problems[0]
    assert f"{path} is missing" in run(parsed, tmp_path)
    assert status(parsed, tmp_path)[0].problems == []


def test_two_versions_of_a_network_are_not_mixed(cpu, tmp_path):
    fill(study(seeds=2), tmp_path, cpu)
    changed = study(seeds=2, ratios=[2, 4])
    message = r"holds 2 network\(s\) .* another configuration, .* what differs: ratios\. .*-o"
    with pytest.raises(StudyError, match=message):
        run(changed, tmp_path)


def test_another_configuration_is_noticed_among_other_seeds(cpu, tmp_path):
    fill(study(seeds=[0, 1]), tmp_path, cpu)
    recipe = {"batch_size": 40, "dense": [[2, 0.001]], "finetune": [[1, 0.05]]}
    with pytest.raises(StudyError, match=r"holds 2 network\(s\) .* what differs: recipe\."):
        run(study(seeds=[5, 6], recipe=recipe), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_hash": "0" * 16}, "the images of data set digits"),
        ({"plugins": {"json": "0" * 16}}, "the source of plugin json"),
    ],
)
def test_other_images_and_plugins_are_noticed(changes, message, cpu, tmp_path):
    fill(study(seeds=[0]), tmp_path, cpu)
    [path] = tmp_path.rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StudyError, match=f"holds 1 network.* what differs: {message}"):
        run(study(seeds=[0, 1], plugins=["json"]), tmp_path)


def test_other_seeds_and_studies_may_share_a_folder(cpu, tmp_path):
    fill(study(seeds=[0, 7]), tmp_path, cpu)
    fill(study(name="other", seeds=1), tmp_path, cpu)
    assert "1 of 1 networks are done, 0 cells" in run(study(seeds=1), tmp_path)


def test_what_cannot_work_is_said_before_training(tmp_path):
    with pytest.raises(StudyError, match=r"mlp on digits: ratio 90 cannot be reached.* to 11.9"):
        run(study(ratios=[2, 90]), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "recipe": {
                    "checkpoint": "best-validation",
                    "dense": [[1, 0.1]],
                    "finetune": [[1, 0.1]],
                }
            },
            r"'digits': the checkpoint is .* split leaves none. Raise its validation_share",
        ),
        ({"count": ["test", "validation"]}, r"leaves none of 10 classes, for example '0'"),
    ],
)
def test_validation_images_that_are_not_there_are_noticed(changes, message, tmp_path):
    dataset = {"name": "digits", "test_share": 0.5, "train_limit": 40, "validation_share": 0.01}
    with pytest.raises(StudyError, match=message):
        run(study(dataset=dataset, **changes), tmp_path)


def test_failed_cells_are_in_the_status(cpu, tmp_path):
    parsed = study(seeds=1, recipe={"dense": [[1, 0.1]], "finetune": [[1, 1e9]]})
    fill(parsed, tmp_path, cpu)
    [state] = status(parsed, tmp_path)
    assert (state.done, state.missing, state.failed.total()) == (1, [], 3)
    names = "control none 1; finetuned magnitude 2; finetuned magnitude 10"
    assert f"digits mlp seed 0: 3 cell(s) failed ({names}): " in " ".join(state.problems)


def test_the_device(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(StudyError, match=r"finds no GPU.*--device cpu"):
        choose_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == "cuda"
    assert choose_device("cpu") == "cpu"


def test_one_worker_per_core_on_a_cpu_and_a_single_one_on_a_gpu():
    assert 1 <= default_jobs("cpu") <= os.cpu_count()
    assert default_jobs("cuda") == 1
