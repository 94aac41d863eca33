"""Nothing finished is lost or computed twice, nothing half is taken for whole.

Real sweeps in processes of their own: killed, interrupted, without disk or memory, two at once.
"""

import os
import pty
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.runners.processes import PLUGIN, ROOT, STUDY, Folder, is_running, wait_until, workers

pytestmark = pytest.mark.slow
if not sys.platform.startswith("linux"):
    pytest.skip("processes are found in /proc", allow_module_level=True)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The table of a sweep that nothing disturbed, in two processes."""
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    assert folder.run("--jobs", "2")[0] == 0
    assert len(folder.computed) == 4
    return folder.table


def test_kill_9_of_all_processes(folder, undisturbed):
    process = folder.start()
    wait_until(lambda: folder.shards, process)
    wait_until(lambda: folder.left(".*.claim"), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = folder.shards
    assert 1 <= len(kept) < 4
    code, _, err = folder.run()
    assert code == 0
    assert f"{len(kept)} of 4 networks are done, " in err
    assert {path: folder.shards[path] for path in kept} == kept
    assert folder.table.equals(undisturbed)
    again = Counter(folder.computed)
    assert sum(n > 1 for n in again.values()) <= 4 - len(kept)  # of what was not finished
    assert not folder.left(".*.claim", ".*.part")


def test_kill_9_of_a_worker(folder, undisturbed):
    """The networks of its group are computed by themselves; the sweep goes on to its end."""
    process = folder.start()
    wait_until(lambda: folder.left(".*.claim") and workers(process), process)
    [worker] = workers(process)
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0
    assert err.count("its process was ended; computed by itself later") == 4
    assert folder.table.equals(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_sweep_and_says_how_to_go_on(number, folder, undisturbed):
    process = folder.start()
    wait_until(lambda: folder.shards and workers(process), process)
    children = workers(process)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    for _ in range(3):  # impatience
        time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (128 + number, "")
    assert f"Stopped by {number.name}. Finished networks are kept; to go on:" in err
    assert "Traceback" not in err
    assert not any(map(is_running, children))
    assert not folder.left(".*.claim", ".*.part")
    kept = folder.shards
    command = shlex.split(err.splitlines()[-1])
    environment = os.environ | {
        "CALLS": str(folder.calls),
        "PYTHONPATH": f"{ROOT}:{folder.path}",
    }
    subprocess.run(command, check=True, cwd=folder.path, env=environment, capture_output=True)
    assert {path: folder.shards[path] for path in kept} == kept
    assert folder.table.equals(undisturbed)


def test_ctrl_c_gives_the_terminal_back(folder):
    """The bars hide the cursor while they run."""
    ours, theirs = pty.openpty()
    process = folder.start(stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"\x1b[?25l" not in shown:
        shown += os.read(ours, 10_000)
    os.killpg(process.pid, signal.SIGINT)
    with suppress(OSError):  # how a terminal ends
        while more := os.read(ours, 10_000):
            shown += more
    process.communicate()
    assert process.returncode == 130
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"Stopped by SIGINT" in shown[shown.rindex(b"\x1b[?25h") :]


def test_a_signal_during_the_start(folder):
    process = folder.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert not folder.shards


def test_two_sweeps_on_one_folder_share_the_work(folder, undisturbed):
    sweeps = [folder.start("--jobs", "2") for _ in range(2)]
    for sweep in sweeps:
        _, err = sweep.communicate()
        assert sweep.returncode == 0, err
    assert len(folder.computed) == len(set(folder.computed)) == 4
    assert folder.table.equals(undisturbed)
    assert not folder.left(".*.claim", ".*.part", "*.failed.json")


def test_a_sweep_takes_over_what_a_killed_one_had_claimed(folder, undisturbed):
    first = folder.start()
    wait_until(lambda: folder.left(".*.claim"), first)
    second = folder.start()
    time.sleep(5)  # or less, if the second is not there yet: it then finds a dead claim at once
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    _, err = second.communicate()
    assert second.returncode == 0, err
    assert folder.table.equals(undisturbed)
    assert not folder.left(".*.claim")


def test_a_disk_that_is_full(tmp_path, folder, undisturbed):
    """On a file system of 48 kB in a namespace of its own, where users may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=48k none {disk}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    # what the sweep leaves on the small disk is copied out before that is gone
    script = f'{mount} && "$@"; code=$?; df {disk} >&2; cp -r {disk} {folder.out}; exit $code'
    within = ("unshare", "-rm", "sh", "-c", script, "sh")
    code, _, err = folder.run(out=disk, within=within)
    assert code == 1
    assert "No space left on device" in err
    assert not folder.left(".*.part")
    kept = folder.left("*/small/*/*/*.parquet")
    assert len(kept) < 4
    code, _, err = folder.run()
    assert code == 0, err
    assert folder.table.equals(undisturbed)


def test_files_that_may_not_grow(folder, undisturbed):
    """A quota: writing breaks off in the middle of every file."""
    limit = (1000, 1000)
    code, _, err = folder.run(
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert code == 1
    assert "File too large" in err
    assert not folder.left("*.parquet", "*.json", ".*.part")
    assert folder.run()[0] == 0
    assert folder.table.equals(undisturbed)


MEMORY = """
import resource
from multiprocessing import parent_process
from runners.nets.mlp import mlp

def huge(shape, n_classes):
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if parent_process() is not None:  # in a worker
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, limits[1]))
    try:
        return mlp(shape, n_classes, widths=(6000, 6000))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)

runners.register_network("huge", huge)
"""


def test_memory_that_runs_out(tmp_path):
    """A network that does not fit is named, the others are computed."""
    models = '[[model]]\nname = "huge"\n[[model]]\nname = "mlp"\nwidths = [24, 12]\n'
    text = STUDY.replace('model = {name = "mlp", widths = [24, 12]}\n', "")
    text = text.replace("seeds = 4", "seeds = 1").replace("[[60,", "[[2,").replace("[[20,", "[[2,")
    folder = Folder(tmp_path, text + models, PLUGIN + MEMORY)
    code, _, err = folder.run("--jobs", "1", "--backend", "loop")
    assert code == 1
    assert "1 of 2 networks could not be computed: digits huge seed 0" in err
    assert "can't allocate memory" in err
    assert [path.parent.name for path in folder.shards] == ["mlp"]
