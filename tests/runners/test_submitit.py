"""The engine for SLURM, with the processes that submitit starts on this machine in its place."""

import json
import os
import signal

import pytest

from runners.worker import Finished
from tests.runners.engines import LONGER, Recording, run, table
from tests.runners.studies import study

pytest.importorskip("submitit", reason="submitit is not installed")
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


def test_a_preempted_job_begins_again_where_it_was(tmp_path):
    parsed = study(seeds=4, recipe=LONGER)
    left = [True]

    def preempt(network, message):
        if isinstance(message, Finished) and left:
            left.clear()
            [slip] = tmp_path.rglob("*.job")
            controller = json.loads(slip.read_text())["job"]
            children = f"/proc/{controller}/task/{controller}/children"
            with open(children) as file:
                os.kill(int(file.read().split()[0]), signal.SIGUSR2)

    display = Recording(preempt)
    assert run("submitit", LOCAL, parsed, tmp_path, display, jobs=1) == []
    print(display.printed)
    ends = sorted(seed for seed, kind in display.messages if kind is Finished)
    assert ends == [0, 1, 2, 3]
    assert "its job was stopped; it begins again" in display.printed
