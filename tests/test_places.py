"""Logs in folders and in object stores, of which fsspec's memory:// is one."""

import pickle
import sys
import uuid
from pathlib import Path

import polars as pl
import pytest

from distortion import batches
from distortion.designs import slopes
from distortion.errors import LogError
from distortion.log import is_complete, read_log, write_failure, write_log, write_shard
from distortion.places import place, put
from tests.logs import cell, worked_example


@pytest.fixture(params=["folder", "file://", "memory://"])
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder for logs that does not exist yet."""
    if request.param == "memory://":
        pytest.importorskip("upath", reason="universal-pathlib is not installed")
        return place(f"memory://{uuid.uuid4().hex}/logs")
    return place(f"file://{tmp_path}/my%20logs") if request.param == "file://" else tmp_path / "a"


def test_a_study_is_written_and_read_anywhere(logs: Path) -> None:
    lost = {"dataset": "toy", "model": "net", "seed": 1, "arm": "dense", "reason": "no memory"}
    assert not is_complete(logs / "study", "run")
    path = write_shard(worked_example(), {"failed": [], "seed": 0}, logs / "study", "run")
    write_failure({"failed": [lost]}, logs / "study", "lost")
    assert is_complete(logs / "study", "run")
    assert not is_complete(logs / "study", "lost")
    log = read_log(str(logs / "study"))
    assert log.table.drop("cell").select(worked_example().columns).equals(worked_example())
    assert log.failed["reason"].to_list() == ["no memory"]
    [record] = read_log(str(path)).provenance
    assert record == {"failed": [], "seed": 0, "hashes": record["hashes"]}
    assert sorted(file.name for file in (logs / "study").iterdir()) == [
        "lost.failed.json", "run.json", "run.parquet",
    ]  # fmt: skip


def test_slopes_are_read_in_batches_anywhere(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 4)
    for seed, correct in enumerate([(9, 7), (8, 7), (9, 6)]):
        table = pl.concat([cell(correct), cell([7, 5], method="m", ratio=2.0, arm="pruned")])
        table = table.with_columns(seed=pl.lit(seed, pl.Int64))
        write_shard(table, {}, logs / f"study=s{seed}", "run")
    assert slopes(str(logs)).equals(slopes(read_log(str(logs))))


def test_a_packed_log_keeps_its_provenance_anywhere(logs: Path) -> None:
    write_shard(worked_example(), {"failed": [], "seed": 0}, logs, "run")
    packed = write_log(str(logs), str(logs / "packed.parquet"))
    assert read_log(str(packed)).provenance == read_log(str(logs / "run.parquet")).provenance


def test_csv_is_read_anywhere(logs: Path) -> None:
    logs.mkdir(parents=True)
    put(logs / "log.csv", worked_example().write_csv().encode())
    assert read_log(str(logs / "log.csv")).table.height == worked_example().height


def test_what_is_not_there_is_named_anywhere(logs: Path) -> None:
    with pytest.raises(LogError, match=r"There is no file or folder .*nothing"):
        read_log(str(logs / "nothing"))


def test_places_travel_to_other_processes(logs: Path) -> None:
    assert pickle.loads(pickle.dumps(logs / "a")) == logs / "a"


def test_a_file_url_is_a_path() -> None:
    assert place("file:///tmp/my%20logs") == Path("/tmp/my logs")


def test_an_unknown_kind_of_url_is_named() -> None:
    pytest.importorskip("upath", reason="universal-pathlib is not installed")
    with pytest.raises(LogError, match=r"nowhere://logs cannot be reached: .*for example s3fs"):
        read_log("nowhere://logs")


def test_without_fsspec_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(LogError, match=r"s3://logs cannot be reached.*distortion\[storage\]"):
        place("s3://logs")
