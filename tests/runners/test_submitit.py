"""The engine for SLURM, with the processes that submitit starts on this machine in its place."""

import json
import os
import signal
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from distortion.errors import StudyError
from runners.backends import LOOP
from runners.groups import Group
from runners.shards import read_failure
from runners.worker import Again, Finished, Raised, Setup, Step
from tests.runners.engines import LONGER, Recording, run, table
from tests.runners.studies import study

pytest.importorskip("submitit", reason="submitit is not installed")
from runners.engines.slurm import Submitit

pytestmark = pytest.mark.slow
LOCAL = ["cluster=local", "poll=0.1"]


def test_jobs_give_the_table_of_the_local_engine(tmp_path):
    parsed = study(seeds=3)
    display = Recording()
    assert run("submitit", LOCAL, parsed, tmp_path / "jobs", display, jobs=2) == []
    assert sorted(display.messages) == [(seed, Finished) for seed in range(3)]
    assert "They go on if this command is stopped" in display.printed
    run("local", [], parsed, tmp_path / "local", Recording())
    assert table(tmp_path / "jobs").equals(table(tmp_path / "local"))
    assert not list(tmp_path.rglob("*.letters")) + list(tmp_path.rglob("*.job"))


# submitit's process of the job outlives the object that stands for it, as it should
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_jobs_go_on_without_the_process_that_submitted_them_and_are_followed_again(tmp_path):
    parsed = study(seeds=2, recipe=LONGER)

    class Stopping(Recording):
        def update(self, network, message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("submitit", LOCAL, parsed, tmp_path, Stopping(), jobs=2)
    slips = list(tmp_path.rglob("*.job"))
    jobs = {json.loads(slip.read_text())["job"] for slip in slips}
    display = Recording()
    assert run("submitit", LOCAL, parsed, tmp_path, display, jobs=2) == []
    assert "Following" in display.printed
    assert "Submitted" not in display.printed
    assert sorted(display.messages) == [(0, Finished), (1, Finished)]
    assert len(jobs) == 2


@pytest.mark.parametrize("content", [b'{"job": "12", "netw', b"", b"[]", b'{"job": "12"}', b"\xff"])
def test_damaged_slips_are_put_away(content, tmp_path):
    slip, letters = tmp_path / "one.job", tmp_path / "one.letters"
    slip.write_bytes(content)
    letters.write_bytes(b"")
    group = Group(study(seeds=2).networks, LOOP)
    followed, left = Submitit({"cluster": "local"}, print)._adopt(tmp_path, [group])
    assert (followed, list(left)) == ([], [group])
    assert not list(tmp_path.iterdir())


def test_a_slip_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", full_disk)
    engine = Submitit({"cluster": "local"}, print)
    setup = Setup(tmp_path, Path(), "cpu", ())
    with pytest.raises(OSError, match="full"):
        engine._submit(FakeExecutor(tmp_path), [Group(study().networks, LOOP)], setup)
    assert not list(tmp_path.iterdir())


def full_disk(_):
    raise OSError("full")


class FakeExecutor:
    """Takes jobs and starts none."""

    def __init__(self, folder):
        self.folder = folder

    def batch(self):
        return nullcontext()

    def submit(self, order):
        return SimpleNamespace(job_id="1")


def test_a_preempted_job_begins_again(tmp_path):
    # seconds of training, because messages are looked for once in a while only
    parsed = study(seeds=1, recipe=LONGER | {"dense": [[2000, 0.01]]})
    preempted = []

    def preempt(network, message):
        if isinstance(message, Step) and not preempted:
            [slip] = tmp_path.rglob("*.job")
            controller = json.loads(slip.read_text())["job"]
            [child] = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
            os.kill(int(child), signal.SIGUSR2)  # as SLURM does before it ends a job
            preempted.append(child)

    display = Recording(preempt)
    assert run("submitit", LOCAL, parsed, tmp_path, display, jobs=1) == []
    assert display.of(0) == [Again, Finished]
    assert "its job was stopped; it begins again" in display.printed


def test_a_network_that_ends_its_job_twice_is_given_up(cpu, tmp_path, killer):
    parsed, out = killer(seeds=3, killed=1), tmp_path / "out"
    display = Recording()
    [(network, raised)] = run("submitit", LOCAL, parsed, out, display, jobs=1)
    assert (network.seed, display.of(1)) == (1, [Again, Raised])
    assert "ended early" in raised.reason
    assert "2 times" in raised.reason
    assert sorted(table(out)["seed"].unique()) == [0, 2]
    assert "ended early" in read_failure(network, out)["reason"]


def test_an_option_that_submitit_does_not_know_is_an_error(tmp_path):
    with pytest.raises(StudyError, match=r"--engine submitit: .*slurm_partitionn"):
        run("submitit", [*LOCAL, "slurm_partitionn=gpu"], study(seeds=1), tmp_path, Recording())
