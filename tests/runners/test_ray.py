"""The Ray engine on a real cluster of several nodes, all on this machine."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from distortion.log import read_log
from distortion.places import place
from runners.shards import read_failure
from runners.studyfile import template
from runners.worker import Again, Finished, Raised
from tests.runners.engines import LONGER, Recording, run, table
from tests.runners.studies import study

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster():
    """A cluster of three nodes with one core each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    for _ in range(2):
        cluster.add_node(**node)
    yield cluster
    cluster.shutdown()


def test_a_lost_node_changes_nothing_in_the_table(cluster, tmp_path):
    """The log is in an object store, which nodes do not need to reach."""
    parsed, out = study(seeds=8, recipe=LONGER), place(f"memory://{uuid.uuid4().hex}/logs")
    nodes = list(cluster.worker_nodes)

    def lose(network, message):
        if isinstance(message, Finished) and nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.clear()

    display = Recording(lose)
    assert run("ray", [f"address={cluster.address}"], parsed, out, display) == []
    assert {kind for _, kind in display.messages} == {Again, Finished}
    assert "its node was lost; computed again later" in display.printed
    ends = [seed for seed, kind in display.messages if kind is Finished]
    assert sorted(ends) == list(range(8))
    run("local", [], parsed, tmp_path / "local", Recording())
    assert table(str(out)).equals(table(tmp_path / "local"))


def test_a_network_that_kills_its_worker_twice_is_given_up(cluster, tmp_path, killer):
    """Its plugin is not on the path of the nodes: the source travels with the study."""
    parsed, out = killer(seeds=3, killed=1), tmp_path / "out"
    display = Recording()
    [(network, raised)] = run("ray", [f"address={cluster.address}"], parsed, out, display, jobs=1)
    assert (network.seed, display.of(1)) == (1, [Again, Raised])
    assert raised.reason == "its worker process died, 2 times"
    assert sorted(table(out)["seed"].unique()) == [0, 2]
    assert "died" in read_failure(network, out)["reason"]


def test_the_command_starts_ray_where_asked_and_prints_the_folder_only(tmp_path):
    (tmp_path / "small.toml").write_text(template())
    command = [sys.executable, "-m", "runners", "run", str(tmp_path / "small.toml")]
    options = ["-o", str(tmp_path / "out"), "--engine", "ray", "-E", "address=local", "--jobs", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out' / 'small'}\n"
    assert read_log(tmp_path / "out").table.height > 0
    assert "Traceback" not in done.stderr
