"""The Ray engine on a real cluster of several nodes, all on this machine."""

import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from distortion.log import read_log
from runners.engines import open_engine
from runners.progress import Display
from runners.sweep import Sweep
from runners.worker import Again, Finished, Step
from tests.runners.studies import study

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of three nodes with one core each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    yield cluster
    cluster.shutdown()


class Recording(Display):
    """A display that keeps the messages, and does something with them."""

    def __init__(self, act=lambda network, message: None):
        super().__init__(Console(file=io.StringIO(), width=200))
        self.messages, self.act = [], act

    def update(self, network, message):
        super().update(network, message)
        if not isinstance(message, Step):
            self.messages.append((network.seed, type(message)))
        self.act(network, message)


def run(parsed, out, engine, display, device="cpu"):
    device, jobs = engine.settle(device, None)
    return Sweep(parsed, out, Path(), device, jobs, "grouped", engine).run(display)


def run_on(cluster, parsed, out, display):
    with open_engine("ray", [f"address={cluster.address}"], parsed.plugins, display.note) as engine:
        return run(parsed, out, engine, display)


def table(out):
    return read_log(out).table.drop("cell").sort("model", "seed", "arm", "method", "ratio", "class_id")


def test_a_lost_node_changes_nothing_in_the_table(cluster, tmp_path):
    parsed = study(seeds=8, recipe={"batch_size": 40, "dense": [[60, 0.05]], "finetune": [[20, 0.05]]})
    nodes = list(cluster.worker_nodes)

    def lose(network, message):
        if isinstance(message, Finished) and nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            del nodes[:]

    display = Recording(lose)
    assert run_on(cluster, parsed, tmp_path / "ray", display) == []
    print(display.messages, display.console.file.getvalue())
    with open_engine("local", [], (), display.note) as engine:
        assert run(parsed, tmp_path / "local", engine, Recording()) == []
    assert table(tmp_path / "ray").equals(table(tmp_path / "local"))
