"""Claims: who computes what, and when a claim no longer holds."""

import json
import os
import subprocess
import time

import pytest

from distortion.log import write_shard
from runners import claims
from runners.backends import LOOP
from runners.claims import EXPIRY, Claims, drop_claim, is_claimed
from runners.groups import Group
from runners.worklist import Worklist
from tests.runners.studies import study


@pytest.fixture
def networks(tmp_path):
    networks = study(seeds=4).networks
    networks[0].folder(tmp_path).mkdir(parents=True)
    return networks


@pytest.fixture
def now(monkeypatch):
    """Our monotonic clock, to be set."""
    now = [1000.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    return now


def path_of(network, out):
    return claims._path(network, out)


def claim_of(network, out, **changes):
    """Write the claim of another process, that of this test unless changes say otherwise."""
    path = path_of(network, out)
    path.write_text(json.dumps(claims._process() | {"token": "theirs"} | changes))
    return path


def test_one_sweep_has_a_claim_until_it_gives_it_up(networks, tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take(networks[0])
    assert first.take(networks[0])  # it is ours already
    assert not second.take(networks[0])
    assert is_claimed(networks[0], tmp_path)
    second.release(networks[0])  # not its own
    assert not second.take(networks[0])
    first.release(networks[0])
    assert not is_claimed(networks[0], tmp_path)
    assert second.take(networks[0])


def test_claims_are_given_up_at_the_end(networks, tmp_path):
    with Claims(tmp_path) as ours:
        assert all(map(ours.take, networks))
        assert len(list(tmp_path.rglob(".*.claim"))) == 4
    assert not list(tmp_path.rglob(".*"))


def test_the_claim_of_a_killed_process_is_free_at_once(networks, tmp_path):
    process = subprocess.Popen(["sleep", "600"])
    claim_of(networks[0], tmp_path, pid=process.pid, start=claims._start(process.pid))
    ours = Claims(tmp_path)
    assert not ours.take(networks[0])
    process.kill()
    while not claims._is_gone(path_of(networks[0], tmp_path).read_bytes()):
        time.sleep(0.01)
    assert ours.take(networks[0])  # though nobody has waited for it yet
    process.wait()


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"start": "1"}, True),  # its id is that of another process now
        ({"boot": "0" * 36}, True),  # before this machine was started again
        ({"host": "elsewhere", "pid": 1}, False),
        ({"pid": None}, False),
    ],
)
def test_whose_claim_is_free_at_once(changes, free, networks, tmp_path):
    claim_of(networks[0], tmp_path, **changes)
    assert Claims(tmp_path).take(networks[0]) == free
    assert is_claimed(networks[0], tmp_path)  # theirs or ours


def test_a_claim_in_another_container_is_not_judged_by_its_process(networks, tmp_path):
    boot = str(claims._process()["boot"])
    claim_of(networks[0], tmp_path, boot=f"{boot[:36]}pid:[1]", pid=2**22 + 1)
    assert not Claims(tmp_path).take(networks[0])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"host": 1}'])
@pytest.mark.parametrize("clock", [0, 1e9, 4e9])
def test_any_claim_expires_when_nothing_touches_it(content, clock, networks, tmp_path, now):
    """By our monotonic clock; the times of files may be of any clock, and jump."""
    path = claim_of(networks[0], tmp_path, host="elsewhere")
    if content:
        path.write_text(content)
    os.utime(path, (clock, clock))
    ours = Claims(tmp_path)
    assert not ours.take(networks[0])
    now[0] += EXPIRY - 1
    assert not ours.take(networks[0])
    os.utime(path, (clock + 7, clock - 7))  # a sign of life
    assert not ours.take(networks[0])
    now[0] += EXPIRY - 1
    assert not ours.take(networks[0])
    now[0] += 1
    assert ours.take(networks[0])
    assert not list(tmp_path.rglob("*.part"))


def test_a_claim_made_while_a_stale_one_is_removed_is_put_back(networks, tmp_path, monkeypatch):
    path = claim_of(networks[0], tmp_path, start="1")
    ours, plain = Claims(tmp_path), claims._is_gone

    def is_gone(mark):
        gone = plain(mark)
        claim_of(networks[0], tmp_path)  # another sweep was faster
        return gone

    monkeypatch.setattr(claims, "_is_gone", is_gone)
    assert not ours.take(networks[0])
    assert json.loads(path.read_text())["token"] == "theirs"


def test_claims_are_touched_as_long_as_they_are_ours(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with Claims(tmp_path) as ours:
        ours.take(networks[0])
        ours.take(networks[1])
        lost = claim_of(networks[1], tmp_path)  # taken over while this process was suspended
        for path in (path_of(networks[0], tmp_path), lost):
            os.utime(path, (0, 0))
        while path_of(networks[0], tmp_path).stat().st_mtime == 0:
            time.sleep(0.01)
    assert lost.stat().st_mtime == 0
    assert lost.exists()


def test_a_claim_that_outlived_its_network_is_removed(networks, tmp_path):
    claim_of(networks[0], tmp_path)
    drop_claim(networks[0], tmp_path)
    drop_claim(networks[0], tmp_path)
    assert not list(tmp_path.rglob(".*.claim"))


def test_where_no_claims_can_be_made_the_work_is_done(networks, tmp_path):
    assert Claims(tmp_path / "nowhere").take(networks[0])


def finish(network, out):
    write_shard(study_table(), {"run_id": network.run_id}, network.folder(out), network.run_id)


def study_table():
    import polars as pl

    return pl.DataFrame({"n": [1]})


def test_what_another_sweep_claims_comes_last_and_is_found_when_it_is_done(networks, tmp_path):
    theirs, ours = Claims(tmp_path), Claims(tmp_path)
    theirs.take(networks[0])
    theirs.take(networks[2])
    groups = [Group(networks[:2], LOOP), Group(networks[2:], LOOP)]
    work = Worklist(groups, tmp_path, ours)
    assert work.take() == ([], Group((networks[1],), LOOP))
    assert work.take() == ([], Group((networks[3],), LOOP))
    assert work.take() == ([], None)
    assert work.networks == [networks[0], networks[2]]
    finish(networks[0], tmp_path)  # found even before the claim is given up
    assert work.take() == ([networks[0]], None)
    theirs.release(networks[2])  # it could not be computed there
    assert work.take() == ([], Group((networks[2],), LOOP))
    assert not work
    assert work.take() == ([], None)


def test_what_is_done_keeps_no_claim(networks, tmp_path):
    finish(networks[0], tmp_path)
    work = Worklist([Group(networks[:1], LOOP)], tmp_path, Claims(tmp_path))
    assert work.take() == ([networks[0]], None)
    assert not list(tmp_path.rglob(".*.claim"))
