"""Studies on other engines, for their tests."""

import io
from pathlib import Path

from rich.console import Console

from distortion.log import read_log
from runners.engines import open_engine
from runners.progress import Display
from runners.sweep import Sweep
from runners.worker import Step

LONGER = {"batch_size": 40, "dense": [[60, 0.05]], "finetune": [[20, 0.05]]}


class Recording(Display):
    """A display that keeps the messages that end something, and acts on them."""

    def __init__(self, act=lambda network, message: None):
        super().__init__(Console(file=io.StringIO(), width=200))
        self.messages, self.act = [], act

    def update(self, network, message):
        super().update(network, message)
        if not isinstance(message, Step):
            self.messages.append((network.seed, type(message)))
        self.act(network, message)

    def of(self, seed):
        """The messages of a network, in order."""
        return [kind for other, kind in self.messages if other == seed]

    @property
    def printed(self):
        return self.console.file.getvalue()


def run(engine, options, parsed, out, display, jobs=None):
    """Run a study on the CPU; return the networks that could not be computed, with the reasons."""
    with open_engine(engine, options, parsed.plugins, display.note) as opened:
        device, jobs = opened.settle("cpu", jobs)
        return Sweep(parsed, out, Path(), device, jobs, "grouped", opened).run(display)


def table(out):
    """The table of a log, in an order that does not depend on the files."""
    log = read_log(out).table.drop("cell")
    return log.sort("model", "seed", "arm", "method", "ratio", "class_id")
