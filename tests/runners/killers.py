"""A method that kills its process for one network, told by a weight."""

from pathlib import Path

from runners import arms
from runners.datasets import load
from runners.masks import prunable_tensors
from tests.runners.studies import run_network

SOURCE = """
import os, signal
import runners

def moody(weights):
    if float(weights.theta[0]) == float("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    return weights.theta.abs()

runners.register_method("moody", moody)
"""


def first_weight(network, cpu, monkeypatch):
    """The first weight of a network when it is pruned."""
    plain, seen = arms.compress, []

    def compress(parent, methods):
        seen.append(float(prunable_tensors(parent.net)[0].detach().flatten()[0]))
        return plain(parent, methods)

    with monkeypatch.context() as patch:
        patch.setattr(arms, "compress", compress)
        run_network(network, load(network.dataset, 0, Path(), cpu))
    return seen[0]
