"""What `distortion-run status` says of a study, however far it is."""

import json
import os

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from distortion.log import write_shard
from distortion.schema import ARMS
from runners.claims import Claims
from runners.cli import main
from runners.shards import damaged
from runners.status import failure_matrix, ranges, status, time_left
from tests.runners.studies import run_network, study, table

RECORD = {"seconds": {"dense": 40.0, "finetuned": 60.0}, "workers": 2, "finished": "2026-01-01"}


def finish(network, digits, out, **changes):
    rows, provenance = run_network(network, digits)
    write_shard(rows, provenance | RECORD | changes, network.folder(out), network.run_id)


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_every_number_once(numbers):
    named = []
    for part in ranges(sorted(numbers)).split(", ") if numbers else []:
        first, _, last = part.partition("-")
        named += range(int(first), int(last or first) + 1)
    assert named == sorted(numbers)


def test_what_is_done_and_missing(digits, tmp_path):
    parsed = study(seeds=5, method=[{"name": "magnitude"}, {"name": "snip"}])
    finish(parsed.networks[1], digits, tmp_path)
    [state] = status(parsed, tmp_path)
    assert (state.done, state.missing) == (1, [0, 2, 3, 4])
    assert [state.counted[arm] for arm in ARMS] == [1, 1, 2, 4]
    assert [state.expected[arm] for arm in ARMS] == [5, 5, 10, 20]  # SNIP has no arm `pruned`
    assert state.row[3:] == ("1/5", "1/5", "1/5", "2/10", "4/20", "", "", "0, 2-4")


def test_the_time_left_is_that_of_networks_like_the_missing_ones(digits, tmp_path):
    parsed = study(seeds=5)
    assert "unknown" in time_left(parsed, status(parsed, tmp_path), tmp_path)
    for network, workers in zip(parsed.networks, (4, 2), strict=False):
        finished = f"2026-01-0{6 - workers}"
        finish(network, digits, tmp_path, workers=workers, finished=finished)
    left = time_left(parsed, status(parsed, tmp_path), tmp_path)
    assert left == "time left: about 0:02:30 with 2 worker(s), as in the last run"
    two = study(seeds=5, model=[*table()["model"], {"name": "mlp", "label": "other"}])
    assert "time left: at least 0:02:30" in time_left(two, status(two, tmp_path), tmp_path)
    done = study(seeds=2)
    assert time_left(done, status(done, tmp_path), tmp_path) == "complete"


def test_no_more_workers_than_networks_are_counted_on(digits, tmp_path):
    parsed = study(seeds=2)
    finish(parsed.networks[0], digits, tmp_path, workers=8)
    left = time_left(parsed, status(parsed, tmp_path), tmp_path)
    assert left == "time left: about 0:01:40 with 1 worker(s), as in the last run"


def test_networks_that_a_sweep_computes_are_running(tmp_path):
    parsed = study(seeds=3)
    parsed.networks[0].folder(tmp_path).mkdir(parents=True)
    with Claims(tmp_path) as claims:
        claims.take(parsed.networks[1])
        assert status(parsed, tmp_path)[0].running == 1
    assert status(parsed, tmp_path)[0].running == 0


def test_failures_are_counted_where_they_are_and_named_with_their_reason(digits, tmp_path):
    wild = {"dense": [[1, 0.1]], "finetune": [[1, 1e9]], "batch_size": 40}
    parsed = study(seeds=2, recipe=wild, count=["test", "validation"])
    for network in parsed.networks:
        finish(network, digits, tmp_path)
    states = status(parsed, tmp_path)
    assert failure_matrix(states) == [
        ("failed", "method", "1", "2", "10"),
        ("control", "none", "2", "", ""),
        ("finetuned", "magnitude", "", "2", "2"),
    ]
    assert states[0].row[8] == "6"  # of two splits, but cells are counted once
    assert failure_matrix([]) == []


@pytest.mark.parametrize("terminal", [False, True])
def test_the_command(terminal, digits, tmp_path, monkeypatch):
    path = tmp_path / "tiny.toml"
    path.write_text(
        'seeds = 3\nratios = [2, 10]\ndataset = {name = "digits", label = "a [b]", '
        'test_share = 0.5, train_limit = 200}\nmodel = {name = "mlp", widths = [24, 12]}\n'
        'method = {name = "magnitude"}\n'
        "recipe = {batch_size = 40, dense = [[2, 0.1]], finetune = [[1, 0.05]]}\n"
    )
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "160")
    result = CliRunner().invoke(main, ["status", str(path), "-o", str(tmp_path)])
    assert result.exit_code == 0
    assert "a [b]" in result.stdout
    assert ("\x1b[" in result.stdout) == terminal
    assert "0/3" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("time left: unknown")


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
@pytest.mark.parametrize("damage", [cut, flipped, lambda _: b"", lambda _: b"\0" * 4096])
def test_every_damage_is_seen(damage, suffix, digits, tmp_path):
    """Half written, a flipped bit, empty, or zeros after a crash of the machine."""
    [network] = study(seeds=1).networks
    finish(network, digits, tmp_path)
    assert damaged(network, tmp_path) is None
    path = network.folder(tmp_path) / f"{network.run_id}{suffix}"
    before = path.read_bytes()
    if (damage, suffix) == (flipped, ".json"):  # in the text, wherever that leaves it JSON
        path.write_text(
            json.dumps(json.loads(before) | {"hashes": {path.stem + ".parquet": "0" * 16}})
        )
    else:
        path.write_bytes(damage(before))
    assert "is damaged" in damaged(network, tmp_path)


def test_a_shard_of_an_earlier_version_has_no_hash(digits, tmp_path):
    [network] = study(seeds=1).networks
    finish(network, digits, tmp_path)
    path = network.folder(tmp_path) / f"{network.run_id}.json"
    record = json.loads(path.read_text())
    del record["hashes"]
    path.write_text(json.dumps(record))
    assert damaged(network, tmp_path) is None


def test_a_full_disk_in_the_middle_of_a_file_leaves_nothing(digits, tmp_path, monkeypatch):
    [network] = study(seeds=1).networks
    rows, provenance = run_network(network, digits)
    folder, plain = network.folder(tmp_path), os.fsync
    left = [0]  # files that still fit

    def fsync(file):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        plain(file)

    monkeypatch.setattr(os, "fsync", fsync)
    for n_fit in (0, 1):  # not even the provenance, not the rows
        left[0] = n_fit
        with pytest.raises(OSError, match="No space left"):
            write_shard(rows, provenance, folder, network.run_id)
        assert not list(folder.glob(".*"))
        assert not list(folder.glob("*.parquet"))
        assert status(study(seeds=1), tmp_path)[0].missing == [0]
    left[0] = 2
    write_shard(rows, provenance, folder, network.run_id)
    assert damaged(network, tmp_path) is None
