"""Groups of networks, from the sweep through the workers to the display."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from distortion.log import is_complete, read_log
from runners import worker
from runners.backends import LOOP, Backend
from runners.groups import Group, make_groups, shape_of
from runners.pool import compute
from runners.progress import Display, Tally
from runners.sweep import Sweep
from runners.worker import Again, Finished, Raised, Setup, Step, Worker, device_of
from tests.runners.studies import STACKED, study

MODELS = [{"name": "mlp", "widths": [24, 12]}, {"name": "mlp", "label": "b", "widths": [20, 12]}]


def seeds(groups):
    return [(group.networks[0].model.label, [n.seed for n in group.networks]) for group in groups]


def test_groups_hold_networks_of_one_shape_in_the_order_of_the_study():
    networks = study(seeds=9, model=MODELS).networks
    backends = {shape_of(networks[0]): Backend("grouped", 4), shape_of(networks[1]): LOOP}
    groups = make_groups(networks, backends, 1)
    assert seeds(groups)[:2] == [("mlp", [0, 1, 2, 3]), ("b", [0])]
    assert [size for label, size in seeds(groups) if label == "mlp"] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8],
    ]  # fmt: skip
    assert sum(len(group.networks) for group in groups) == 18


def test_groups_leave_work_for_every_worker():
    networks = study(seeds=6).networks
    backends = {shape_of(networks[0]): Backend("grouped", 32)}
    assert [len(group.networks) for group in make_groups(networks, backends, 1)] == [6]
    assert [len(group.networks) for group in make_groups(networks, backends, 2)] == [2, 2, 2]
    assert [len(group.networks) for group in make_groups(networks, backends, 8)] == [1] * 6


def test_a_network_that_cannot_be_written_leaves_the_others_of_its_group(tmp_path, monkeypatch):
    networks = study(seeds=3).networks
    plain, sent = worker.write_shard, []

    def write_shard(table, provenance, folder, run_id, predictions):
        if run_id == networks[1].run_id:
            raise OSError("No space left on device")
        return plain(table, provenance, folder, run_id, predictions)

    monkeypatch.setattr(worker, "write_shard", write_shard)
    ours = Worker(Setup(tmp_path, Path(), "cpu", ()))
    ours.compute(Group(networks, STACKED), lambda *message: sent.append(message))
    last = {position: message for position, message in sent if not isinstance(message, Step)}
    assert isinstance(last[0], Finished)
    assert "No space left" in last[1].reason
    assert isinstance(last[2], Finished)
    assert len(read_log(tmp_path).table["seed"].unique()) == 2


def test_what_ends_a_whole_group_is_the_reason_of_each_of_its_networks(tmp_path, monkeypatch):
    sent = []

    def data(self, spec):
        raise RuntimeError("images are gone")

    monkeypatch.setattr(Worker, "data", data)
    ours = Worker(Setup(tmp_path, Path(), "cpu", ()))
    group = Group(study(seeds=2).networks, STACKED)
    ours.compute(group, lambda *message: sent.append(message))
    assert [position for position, _ in sent] == [0, 1]
    assert all("images are gone" in message.reason for _, message in sent)


@pytest.mark.slow
def test_a_killed_process_costs_only_the_network_that_killed_it(tmp_path, killer):
    """The others of its group are computed by themselves, and the progress stays true."""
    parsed = killer(seeds=3, killed=1)
    setup = Setup(tmp_path / "out", Path(), "cpu", parsed.plugins)
    tally, last = Tally(parsed.networks, 3), {}
    for network, message in compute([Group(parsed.networks, STACKED)], 1, setup):
        tally.add(network, message)
        if not isinstance(message, Step):
            last.setdefault(network.seed, []).append(type(message))
    assert last == {0: [Again, Finished], 1: [Again, Raised], 2: [Again, Finished]}
    assert (tally.networks, tally.cells, tally.epochs) == (3, tally.n_cells, tally.n_epochs)
    done = [is_complete(n.folder(tmp_path / "out"), n.run_id) for n in parsed.networks]
    assert done == [True, False, True]


@pytest.mark.slow
def test_a_sweep_says_which_networks_cannot_be_stacked(tmp_path, monkeypatch):
    (tmp_path / "dropping.py").write_text(
        "import runners\nfrom torch import nn\n"
        "runners.register_network('dropping', lambda shape, n: nn.Sequential(\n"
        "    nn.Flatten(), nn.Linear(64, 12), nn.Dropout(), nn.Linear(12, n)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parsed = study(model={"name": "dropping"}, ratios=[2], plugins=["dropping"])
    console = Console(file=io.StringIO(), width=200)
    sweep = Sweep(parsed, tmp_path / "out", Path(), "cpu", 1, "grouped")
    assert sweep.run(Display(console)) == []
    printed = console.file.getvalue()
    note = "dropping on digits is trained one by one: no rule says how to stack Dropout."
    assert printed.count(note) == 1
    assert read_log(tmp_path / "out").table["seed"].n_unique() == 2


@pytest.mark.parametrize(
    ("device", "n_gpus", "expected"),
    [
        ("cpu", 0, ["cpu"] * 4),
        ("cpu", 2, ["cpu"] * 4),
        ("cuda", 1, ["cuda"] * 4),
        ("cuda", 3, ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]),
    ],
)
def test_workers_take_gpus_in_turns(device, n_gpus, expected):
    assert [device_of(device, number, n_gpus) for number in range(4)] == expected
