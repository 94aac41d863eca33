"""Whole studies of all kinds of methods: one door, a valid log, resumable."""

import io
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from distortion.errors import StudyError
from distortion.log import read_log
from distortion.schema import CELL
from runners import arms
from runners.datasets import load
from runners.methods import METHODS
from runners.progress import Display
from runners.replicas import Outcome
from runners.studyfile import parse_study
from runners.sweep import Sweep
from tests.runners.studies import network, run_network, study, table

METHOD_BLOCKS = [
    {"name": "magnitude", "scope": "layerwise"},
    {"name": "random"},
    {"name": "random-layerwise"},
    {"name": "snip"},
    {"name": "lottery", "rounds": 2, "rewinding_epochs": 1},
    {"name": "channels"},
    {"name": "magnitude", "match": "channels"},
    {"name": "round-to-nearest"},
    {"name": "round-to-nearest", "label": "w8a8", "bits": [8], "activation_bits": 8},
]
BOTH = ("pruned", "finetuned")
EACH = pytest.mark.parametrize(
    "block", METHOD_BLOCKS, ids=lambda block: "-".join(map(str, block.values()))
)
ARMS = {"snip": ("finetuned",), "round-to-nearest": ("pruned",), "w8a8": ("pruned",)}
RATIOS = {"round-to-nearest": (4.0, 8.0), "w8a8": (4.0,)}


def run(parsed, out):
    console = Console(file=io.StringIO(), width=200)
    problems = Sweep(parsed, out, Path(), "cpu", 1, "grouped").run(Display(console))
    assert problems == []


def run_alone(spec, cpu, report=None):
    data = load(spec.dataset, spec.split_seed, Path(), cpu)
    return run_network(spec, data, *([report] if report else []))


@pytest.fixture(scope="module")
def spec():
    return network(method=METHOD_BLOCKS)


@pytest.fixture(scope="module")
def result(spec, cpu):
    return run_alone(spec, cpu)


def test_every_method_has_its_arms_and_ratios(spec, result):
    log, provenance = result
    assert provenance["failed"] == []
    found = log.select("method", "ratio", "arm").unique().rows()
    expected = {("none", 1.0, "dense"), ("none", 1.0, "control")}
    for method in spec.methods:
        for ratio in RATIOS.get(method.label, (2.0, 10.0)):
            expected |= {(method.label, ratio, arm) for arm in ARMS.get(method.label, BOTH)}
    assert set(found) == expected
    assert len(found) == len(expected) == spec.n_cells


def test_the_log_is_valid_and_names_the_intervention(result):
    log, _ = result
    assert read_log(log).table.height == log.height
    kinds = log.select("method", "intervention").unique().rows()
    quantized = {"round-to-nearest", "w8a8"}
    assert all((kind == "quantization") == (method in quantized) for method, kind in kinds)
    assert {kind for _, kind in kinds} == {"pruning", "quantization"}


def test_the_ratios_reached_are_logged(result):
    log, _ = result
    reached = {
        (method, ratio): total / left
        for method, ratio, total, left in log.select("method", "ratio", "n_params", "n_remaining")
        .unique()
        .rows()
    }
    for method in ("magnitude-layerwise", "random", "snip", "lottery"):
        assert reached[method, 10.0] == pytest.approx(10, rel=5e-3)
    assert reached["channels", 2.0] == pytest.approx(2, rel=0.05)
    for ratio in (2.0, 10.0):
        assert reached["magnitude-matched", ratio] == reached["channels", ratio]
    assert 3 < reached["round-to-nearest", 4.0] < 4 < reached["round-to-nearest", 8.0] < 8
    assert reached["w8a8", 4.0] < reached["round-to-nearest", 4.0]
    arms = log.group_by("method", "ratio").agg(pl.col("n_remaining").n_unique())
    assert (arms["n_remaining"] == 1).all()


def test_eight_bits_change_next_to_nothing(result):
    log, _ = result
    correct = dict(log.group_by("arm", "method", "ratio").agg(pl.sum("correct")).select(
        pl.concat_str("arm", "method", "ratio", separator=" "), "correct"
    ).rows())  # fmt: skip
    n = log.filter(arm="dense")["n"].sum()
    dense = correct["dense none 1.0"]
    for cell in ("pruned round-to-nearest 4.0", "pruned w8a8 4.0"):
        assert abs(correct[cell] - dense) <= 0.02 * n


def test_progress_adds_up(spec, cpu):
    calls = []

    def report(cell="", *, epochs=0, cells=0):
        calls.append((cell, epochs, cells))

    run_alone(spec, cpu, report)
    assert sum(epochs for _, epochs, _ in calls) == spec.n_epochs
    assert sum(done for _, _, done in calls) == spec.n_cells
    assert {"lottery round", "lottery rewinding point"} <= {cell for cell, _, _ in calls}


@EACH
def test_a_cell_does_not_depend_on_the_other_methods(block, spec, result, cpu):
    if "match" in block:
        pytest.skip("it depends on the method that it matches")
    whole, _ = result
    parsed = network(method=[block])
    alone, _ = run_alone(parsed, cpu)
    [method] = parsed.methods
    kept = whole.filter(pl.col("method").is_in(["none", method.label]))
    assert alone.equals(kept)


def test_a_round_that_fails_ends_its_method_only(spec, result, cpu, monkeypatch):
    whole, _ = result
    plain = arms.train

    def train(trainings, *arguments):
        if trainings and trainings[0].purpose == "lottery round":
            nan = Outcome(float("nan"), "the training loss became nan in epoch 1")
            return iter([(training, nan) for training in trainings])
        return plain(trainings, *arguments)

    monkeypatch.setattr(arms, "train", train)
    log, provenance = run_alone(spec, cpu)
    assert log.equals(whole.filter(pl.col("method") != "lottery"))
    failed = [(cell["arm"], cell["method"], cell["ratio"]) for cell in provenance["failed"]]
    assert failed == [(arm, "lottery", ratio) for arm in BOTH for ratio in (2.0, 10.0)]
    assert provenance["failed"][0]["reason"].startswith("lottery round: the training loss became")


def test_a_matched_method_without_the_other_one_fails_in_words(digits, monkeypatch):
    blocks = [{"name": "channels"}, {"name": "random"}, {"name": "magnitude", "match": "channels"}]
    parsed = network(method=blocks)
    monkeypatch.setattr(
        METHODS["channels"], "compress", lambda *_: (_ for _ in ()).throw(StudyError("broken"))
    )
    _, provenance = run_alone(parsed, digits.train.pixels.device)
    reasons = {cell["method"]: cell["reason"] for cell in provenance["failed"]}
    assert reasons == {
        "channels": "broken",
        "magnitude-matched": "the method to match has no network at ratio 2.",
    }


def test_ratios_are_needed_where_a_method_takes_them():
    only = [{"name": "round-to-nearest"}]
    without = {key: value for key, value in table(method=only).items() if key != "ratios"}
    assert parse_study(without, Path("q.toml")).ratios == ()
    with pytest.raises(StudyError, match=r"q.toml: the key 'ratios' is missing"):
        parse_study(without | {"method": [*only, {"name": "snip"}]}, Path("q.toml"))


@pytest.mark.slow
@EACH
def test_a_study_of_each_method_gives_a_log_and_goes_on_where_it_was(block, tmp_path):
    blocks = [{"name": "channels"}] * ("match" in block) + [block]
    run(study(seeds=1, method=blocks), tmp_path)
    [first] = tmp_path.rglob("*.parquet")
    written = first.stat().st_mtime_ns
    both = study(seeds=2, method=blocks)
    run(both, tmp_path)
    assert first.stat().st_mtime_ns == written
    log = read_log(tmp_path)
    assert set(log.table["seed"]) == {0, 1}
    assert not log.failed.height
    assert log.table.select(CELL).unique().height == sum(n.n_cells for n in both.networks)
