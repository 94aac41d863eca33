"""The Ray engine on a real cluster of several nodes, all on this machine."""

import pytest

from runners.worker import Again, Finished
from tests.runners.engines import LONGER, Recording, run, table
from tests.runners.studies import study

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.slow


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
    parsed = study(seeds=8, recipe=LONGER)
    nodes = list(cluster.worker_nodes)

    def lose(network, message):
        if isinstance(message, Finished) and nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.clear()

    display = Recording(lose)
    assert run("ray", [f"address={cluster.address}"], parsed, tmp_path / "ray", display) == []
    assert {kind for _, kind in display.messages} == {Again, Finished}
    assert "its node was lost; computed again later" in display.printed
    ends = [seed for seed, kind in display.messages if kind is Finished]
    assert sorted(ends) == list(range(8))
    run("local", [], parsed, tmp_path / "local", Recording())
    assert table(tmp_path / "ray").equals(table(tmp_path / "local"))
