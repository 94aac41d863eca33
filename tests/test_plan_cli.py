"""The command `distortion plan`: layouts, curve, refusals."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from distortion.cli import main
from distortion.planning.assumptions import Assumptions
from distortion.planning.plan import plan
from tests.logs import planted


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    slopes = {2.0: 0.9, 10.0: 1.3}
    planted(np.random.default_rng(0), slopes, networks=6, control=1.0).write_parquet(path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plan", *(str(a) for a in arguments)], catch_exceptions=False)


def test_the_answer_is_that_of_the_package(log: Path) -> None:
    result = run(log, "--question", "control", "--effect", 0.05, "--ratio", 10)
    assert result.exit_code == 0
    assert result.stdout == f"{plan(log, 'control', effect=0.05, ratios=[10.0])}\n"


def test_other_layouts(log: Path) -> None:
    planned = plan(log)
    table = pl.read_csv(run(log, "--format", "csv").stdout.encode())
    assert table.columns == planned.table.columns
    assert table.height == planned.table.height
    record = json.loads(run(log, "--format", "json").stdout)
    assert record["schema"] == "distortion/plan/1"
    assert record["answer"] == list(planned.sentences)
    assert record["plan"] == planned.table.to_dicts()
    assert run(log, "--format", "markdown").stdout == f"{planned.to_markdown().rstrip()}\n"


def test_assumptions_in_points(log: Path) -> None:
    result = run("--assume", "cifar10-like", "--seed-sd", 1.5, "--seeds", 5, "--family", 1)
    assert result.exit_code == 0
    expected = plan(Assumptions.preset("cifar10-like", seed_sd=0.015), seeds=5, family=1)
    assert str(expected).splitlines()[-6:] == result.stdout.splitlines()[-6:]
    assert "a seed SD of a class's recall of 1.5 points" in " ".join(result.stdout.split())
    assert "cifar10-like, with seed sd as asked for" in " ".join(result.stdout.split())


def test_simulation_adds_a_column() -> None:
    result = run("--assume", "mnist-like", "--simulate", "--rng", 3, "--question", "control")
    assert "Simulated" in result.stdout
    assert "Simulated" not in run("--assume", "mnist-like").stdout


@pytest.mark.parametrize(("name", "start"), [("c.svg", b"<?xml"), ("c.png", b"\x89PNG")])
def test_the_curve_is_written_and_named(log: Path, tmp_path: Path, name: str, start: bytes) -> None:
    out = tmp_path / "new" / name
    result = run(log, "-o", out)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(out)
    assert out.read_bytes().startswith(start)
    again = run(log, "-o", out)
    assert again.exit_code == 1
    assert "--force" in again.stderr
    forced = run(log, "-o", out, "--force", "--format", "csv")
    assert forced.exit_code == 0
    assert forced.stderr.strip() == str(out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{tmp}/nowhere"], "There is no file or folder"),
        (["{log}", "--method", "magnitud"], "Choose among magnitude"),
        (["{log}", "--question", "model"], "nothing to plan question 'model' from"),
        (["{log}", "--margin", "0"], "margin is 0.0"),
        (["--assume", "cifar10-like", "--images", "0"], "images is 0"),
        (["--assume", "cifar10-like", "--ratio", "2"], "ratios chooses rows of a log"),
        (["{log}", "--arm", "pruned"], "No compressed cells"),
    ],
)
def test_data_errors_are_one_paragraph_and_exit_1(
    arguments: list[str], says: str, log: Path, tmp_path: Path
) -> None:
    result = run(*(a.format(log=log, tmp=tmp_path) for a in arguments))
    assert result.exit_code == 1
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name a LOG, or the assumptions"),
        (["{log}", "--assume", "cifar10-like"], "Name a LOG, or the assumptions"),
        (["{log}", "--seed-sd", "1"], "--seed-sd is an assumption"),
        (["{log}", "-o", "curve.pdf"], ".svg or .png"),
        (["--assume", "imagenet"], "cifar10-like"),
        (["{log}", "--question", "cells"], "cells"),
    ],
)
def test_usage_errors_exit_2(arguments: list[str], says: str, log: Path) -> None:
    result = run(*(a.format(log=log) for a in arguments))
    assert result.exit_code == 2
    assert says in result.stderr


def test_help_names_questions_and_assumptions() -> None:
    text = run("-h").stdout
    for word in ("control", "dataset", "mnist-like", "distortion plan LOG"):
        assert word in text
