from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from distortion.errors import DistortionError
from distortion.log import read_log, write_shard
from distortion.schema import BY_NAME, CELL
from runners import arms, bench, networkrun
from runners.datasets import load
from runners.networkrun import run_networks
from runners.report import silent
from tests.runners.studies import BACKENDS, STACKED, network, run_network, study

METHODS = [
    {"name": "magnitude"},
    {"name": "undecayed-released", "batches": 1, "mode": "train"},
    {"name": "undecayed", "match": "undecayed-released"},
]


def run(cpu, **changes):
    spec = network(**changes)
    return run_network(spec, load(spec.dataset, spec.split_seed, Path(), cpu))


@pytest.fixture(scope="module")
def result(cpu):
    return run(cpu, method=METHODS, count=["test", "validation"])


def cells(table):
    return table.select(CELL).unique(maintain_order=True)


def test_the_table_is_a_valid_log(result):
    table, _ = result
    assert {name: table.schema[name] for name in BY_NAME} == {
        name: column.dtype for name, column in BY_NAME.items()
    }
    log = read_log(table)
    assert log.table.height == table.height
    assert not log.notes


def test_every_arm_method_and_ratio_is_there(result):
    table, provenance = result
    found = cells(table.filter(split="test")).select("arm", "method", "ratio").rows()
    names = ["magnitude", "undecayed-released", "undecayed-matched"]
    pruned = [(method, ratio) for method in names for ratio in (2.0, 10.0)]
    expected = [("dense", "none", 1.0), ("control", "none", 1.0)]
    expected += [(arm, *cell) for cell in pruned for arm in ("pruned", "finetuned")]
    assert sorted(found) == sorted(expected)
    assert provenance["failed"] == []
    assert len(provenance["cells"]) == len(expected)


def test_counts_fit_together(result):
    table, _ = result
    assert table.filter(pl.col("kept") > pl.col("correct")).is_empty()
    dense = table.filter(arm="dense")
    assert (dense["kept"] == dense["correct"]).all()
    sums = table.group_by(CELL).agg(pl.sum("n", "predicted"), pl.len())
    assert (sums["n"] == sums["predicted"]).all()
    assert (sums["len"] == 10).all()
    supports = table.group_by("split", "class_id").agg(pl.col("n").n_unique())
    assert (supports["n"] == 1).all()


def test_counts_agree_with_the_accuracy_in_the_provenance(result):
    table, provenance = result
    first = provenance["cells"][0]
    dense = table.filter(arm="dense", split="validation")
    assert first["validation_accuracy"] == pytest.approx(dense["correct"].sum() / dense["n"].sum())


def test_the_ratio_reached_is_logged(result):
    table, _ = result
    total = table["n_params"].first()
    remaining = {
        (method, ratio): n
        for method, ratio, n in table.select("method", "ratio", "n_remaining").unique().rows()
    }
    assert remaining["none", 1.0] == total == 64 * 24 + 24 + 24 * 12 + 12 + 12 * 10 + 10
    for ratio in (2.0, 10.0):
        assert remaining["magnitude", ratio] == round(total / ratio)
        released = remaining["undecayed-released", ratio]
        assert released > remaining["magnitude", ratio]
        assert remaining["undecayed-matched", ratio] == released


def test_n_remaining_is_the_number_of_weights_that_are_not_zero(cpu, monkeypatch):
    """Counted on the networks themselves, after fine-tuning."""
    seen = []
    plain = networkrun.settle

    def settle(candidate, outcome, evaluation):
        matrices = [p for p in candidate.net.parameters() if p.ndim == 2]
        zeros = sum(int((p == 0).sum()) for p in matrices)
        n_params = candidate.run.recorder.n_params
        seen.append((candidate.cell.arm, n_params - zeros, candidate.cell.n_remaining))
        return plain(candidate, outcome, evaluation)

    for module in (arms, networkrun):
        monkeypatch.setattr(module, "settle", settle)
    run(cpu)
    assert len(seen) == 6
    for _, counted, logged in seen:
        assert counted == logged


def test_gradient_sizes_are_logged_where_a_gradient_was_taken(result):
    table, _ = result
    columns = ["mean_theta_grad", "mean_decay_term"]
    without = table.filter(pl.col("method").is_in(["none", "magnitude"]))
    having = table.filter(pl.col("method").str.starts_with("undecayed"))
    assert without.select(pl.col(columns).is_null().all()).row(0) == (True, True)
    assert having.select((pl.col(columns) > 0).all()).row(0) == (True, True)
    assert having.group_by(CELL).agg(pl.col(columns).n_unique())["mean_theta_grad"].max() == 1


def test_the_same_configuration_gives_the_same_table(cpu, result):
    table, provenance = result
    torch.manual_seed(99)
    again, other = run(cpu, method=METHODS, count=["test", "validation"])
    assert again.equals(table)
    for key in ("run_id", "data_hash", "initial_weights_hash", "dense_weights_hash"):
        assert other[key] == provenance[key]


def test_a_cell_does_not_depend_on_the_other_methods_and_ratios(cpu, result):
    table, _ = result
    alone, _ = run(cpu, ratios=[10])
    rows = pl.col("method").is_in(["none", "magnitude"]) & pl.col("ratio").is_in([1.0, 10.0])
    assert alone.equals(table.filter(rows, split="test"))


def test_another_seed_gives_other_weights(cpu, result):
    _, provenance = result
    _, other = run(cpu, seeds=[1])
    assert other["initial_weights_hash"] != provenance["initial_weights_hash"]
    assert other["data_hash"] == provenance["data_hash"]


def test_fine_tuning_starts_from_the_pruned_weights_and_helps(cpu):
    slow = {"batch_size": 40, "dense": [[20, 0.05]], "finetune": [[20, 0.05]]}
    table, _ = run(cpu, recipe=slow)
    accuracy = dict(
        table.filter(pl.col("ratio").is_in([1.0, 10.0]))
        .group_by("arm")
        .agg(pl.sum("correct") / pl.sum("n"))
        .rows()
    )
    assert accuracy["dense"] > 0.8
    assert accuracy["pruned"] < accuracy["finetuned"] <= accuracy["control"] + 0.02


def test_a_dense_network_that_diverges_is_recorded_and_leaves_an_empty_table(cpu):
    table, provenance = run(cpu, recipe={"dense": [[1, 1e9]], "finetune": [[1, 0.1]]})
    assert table.is_empty()
    [failed] = provenance["failed"]
    assert (failed["arm"], failed["seed"], failed["split"]) == ("dense", 0, "test")
    assert "no other cell of the network could be run" in failed["reason"]


def test_fine_tuning_that_diverges_leaves_the_other_cells(cpu):
    table, provenance = run(cpu, recipe={"dense": [[2, 0.1]], "finetune": [[1, 1e9]]})
    assert set(table["arm"]) == {"dense", "pruned"}
    assert [f["arm"] for f in provenance["failed"]] == ["control", "finetuned", "finetuned"]
    assert set(CELL) <= set(provenance["failed"][0])
    read_log(table)


def test_hostile_names_stay_data(cpu, tmp_path):
    names = [
        "../../up",
        "<script>alert(1)</script>",
        "a\nb",
        "\N{PILE OF POO}",
        "50%_of $x$",
        "/abs",
    ]
    for i, name in enumerate(names):
        spec = network(
            name=name,
            ratios=[2],
            dataset={"name": "digits", "test_share": 0.5, "train_limit": 200, "label": name},
            model={"name": "mlp", "label": name, "widths": [12]},
            method=[{"name": "magnitude", "label": name}],
            recipe={"name": name, "dense": [[1, 0.1]], "finetune": [[1, 0.1]]},
        )
        folder = spec.folder(tmp_path)
        assert tmp_path in folder.resolve().parents
        if i == 0:
            data = load(spec.dataset, 0, tmp_path, cpu)
            write_shard(*run_network(spec, data), folder, spec.run_id)
            assert set(read_log(tmp_path).table["method"]) == {"none", name}
    assert len({network(name=name).folder(tmp_path) for name in names}) == len(names)


def test_progress_adds_up(cpu):
    calls = []

    def report(cell="", *, epochs=0, cells=0):
        calls.append((cell, epochs, cells))

    spec = network(method=METHODS)
    run_network(spec, load(spec.dataset, 0, Path(), cpu), report)
    assert sum(epochs for _, epochs, _ in calls) == spec.n_epochs
    assert sum(done for _, _, done in calls) == spec.n_cells
    assert {"dense", "control", "finetuned undecayed-matched 10"} <= {cell for cell, _, _ in calls}


def test_an_unreachable_ratio_is_an_error_of_the_study(cpu):
    with pytest.raises(DistortionError, match="ratio 500 cannot be reached"):
        run(cpu, ratios=[500])


def test_networks_of_a_group_are_as_if_each_were_alone(cpu):
    specs = study(seeds=3, method=METHODS).networks
    data = load(specs[0].dataset, 0, Path(), cpu)
    for backend in BACKENDS:
        small = replace(backend, size=min(5, backend.size))  # stacks across networks
        group = list(run_networks(specs, data, small, lambda _: silent))
        assert [spec for spec, _ in group] == list(specs)
        for spec, left in group:
            alone, _ = run_network(spec, data, backend=backend)
            assert left.table.equals(alone)
            assert left.provenance["backend"] == str(small)


def test_a_network_that_cannot_be_built_or_pruned_leaves_the_others_of_its_group(cpu, monkeypatch):
    specs = study(seeds=4).networks
    data = load(specs[0].dataset, 0, Path(), cpu)
    plain_build, plain_compress = bench.build, arms.compress

    def build(*arguments, seed):
        if seed == specs[1].streams.seed("weights"):
            raise RuntimeError("no weights")
        return plain_build(*arguments, seed=seed)

    def compress(parent, methods):
        if parent.streams.seed("weights") == specs[2].streams.seed("weights"):
            raise RuntimeError("no scores")
        yield from plain_compress(parent, methods)

    monkeypatch.setattr(bench, "build", build)
    monkeypatch.setattr(arms, "compress", compress)
    results = {
        spec.seed: result for spec, result in run_networks(specs, data, STACKED, lambda _: silent)
    }
    assert [str(results[i]) for i in (1, 2)] == ["no weights", "no scores"]
    for i in (0, 3):
        assert results[i][0].height == 60
        assert results[i][1]["failed"] == []
