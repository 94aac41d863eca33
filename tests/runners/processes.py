"""Sweeps as real processes, to be killed, interrupted and starved, and what they left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from distortion.log import read_log

ROOT = Path(__file__).parents[2]
STUDY = """
name = "small"
seeds = 4
ratios = [2, 10]
plugins = ["logged_plugin"]
dataset = {name = "digits", test_share = 0.5, train_limit = 200}
model = {name = "mlp", widths = [24, 12]}
recipe = {batch_size = 40, dense = [[60, 0.05]], finetune = [[20, 0.05]]}
[[method]]
name = "logged"
[[method]]
name = "random"
"""
# A method that notes the network on which it is asked for a score, told by a weight.
PLUGIN = """
import os
import runners

def logged(weights):
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{float(weights.theta[0])}\\n")
    return weights.theta.abs()

runners.register_method("logged", logged)
"""


class Folder:
    """A folder with a study file, its plugin, and the sweeps that run there."""

    def __init__(self, path, study=STUDY, plugin=PLUGIN):
        self.out, self.study, self.calls = path / "out", path / "small.toml", path / "calls"
        self.study.write_text(study)
        (path / "logged_plugin.py").write_text(plugin)
        self.path = path

    def start(self, *options, out=None, before=lambda: None, within=(), stderr=subprocess.PIPE):
        """Start a sweep; `before` is called in the new process, `within` a command around it."""
        folder = self.out if out is None else out
        command = [sys.executable, "-m", "runners", "run", str(self.study), "-o", str(folder)]

        def prepare():
            # a shell that runs these tests in the background has children ignore Ctrl-C
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            before()

        calls = {"CALLS": str(self.calls), "PYTHONPATH": f"{ROOT}:{self.path}"}
        return subprocess.Popen(
            [*within, *command, *(options or ("--jobs", "1"))],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | calls,
            start_new_session=True,  # so that a signal reaches its workers and not these tests
            preexec_fn=prepare,
        )

    def run(self, *options, **more):
        """Run a sweep to its end; return exit code, stdout and stderr."""
        process = self.start(*options, **more)
        out, err = process.communicate()
        return process.returncode, out, err

    @property
    def shards(self):
        """The shards, with times and content."""
        found = sorted(self.out.rglob("*.parquet"))
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    @property
    def table(self):
        """The log, in one order."""
        return table(self.out)

    @property
    def computed(self):
        """The networks that were compressed, as often as they were."""
        return self.calls.read_text().split() if self.calls.exists() else []

    def left(self, *patterns):
        """What lies about."""
        return [path for pattern in patterns for path in self.out.rglob(pattern)]


def table(out):
    return read_log(out).table.drop("cell").sort(pl.all())


def wait_until(holds, process):
    """Wait until something holds while a process runs."""
    deadline = time.monotonic() + 300
    while not holds():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers(process):
    """The ids of the worker processes of a sweep."""
    found = []
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            found.append(int(child))
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
