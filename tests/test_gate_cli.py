"""The command `distortion gate`: exit codes, selection, files."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from distortion.cli import main
from tests.gate.pairs import paired_log
from tests.gate.test_gate import BAD, CLOSE, FINE


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Ratio 2 passes, 4 is open, 8 fails."""
    tables = [
        paired_log([FINE, counts], ratio=ratio)
        for ratio, counts in ((2.0, FINE), (4.0, CLOSE), (8.0, BAD))
    ]
    path = tmp_path / "log.parquet"
    pl.concat(tables).unique(maintain_order=True).write_parquet(path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["gate", *map(str, arguments)])


@pytest.mark.parametrize(("ratio", "code", "said"), [(2, 0, "Pass"), (8, 3, "Fail"), (4, 4, "Not")])
def test_the_exit_code_is_the_verdict(log: Path, ratio: int, code: int, said: str) -> None:
    result = run(log, "--ratio", ratio)
    assert result.exit_code == code
    assert result.stdout.startswith(said)
    assert "No class may lose more than 2 points of recall (the default limit)." in result.stdout
    record = run(log, "--ratio", ratio, "--format", "json")
    assert record.exit_code == code
    assert json.loads(record.stdout)["exit_code"] == code


def test_not_enough_data_says_what_would_be(log: Path) -> None:
    text = " ".join(run(log, "--ratio", 4).stdout.split())
    assert "test images per class instead of 1,000 would decide it: pass" in text
    assert "1 class undecided: 1 (+1.50" in text


def test_several_conditions_need_a_choice(log: Path) -> None:
    result = run(log)
    assert result.exit_code == 2
    assert "3 conditions" in result.stderr
    for word in ("magnitude · ratio 8", "--method", "--all", "--any"):
        assert word in result.stderr
    assert run(log, "--all").exit_code == 3
    assert run(log, "--any").exit_code == 0
    assert run(log, "--any", "--max-class-drop", 0).exit_code in (3, 4)


def test_limits_are_passed_on(log: Path) -> None:
    assert run(log, "--ratio", 8, "--max-class-drop", 0.2).exit_code == 0
    assert run(log, "--ratio", 8, "--max-class-drop", "none", "--max-kappa", 100).exit_code == 4
    assert run(log, "--ratio", 2, "--min-worst-recall", 0.99).exit_code == 3
    assert run(log, "--ratio", 2, "--max-accuracy-drop", 0.01, "--level", 0.9).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["{tmp}/nowhere"], 1, "There is no file or folder"),
        (["{log}", "--method", "magnitud"], 1, "Did you mean 'magnitude'?"),
        (["{log}", "--ratio", "3"], 1, "Known: 2, 4 and 8"),
        (["{log}", "--ratio", "2", "--target", "recipe"], 1, "one network"),
        (["{log}", "--ratio", "2", "--max-class-drop", "2"], 1, "0.02 is two points"),
        (["{log}", "--ratio", "2", "-o", "{log}"], 1, "ends in none of"),
        (["{log}", "--ratio", "2", "--max-class-drop", "none"], 1, "at least one limit"),
        (["{log}", "--max-class-drop", "two"], 2, "0.02, or none"),
        (["{log}", "--level", "2"], 2, "--level"),
        (["{log}", "--target", "fleet"], 2, "--target"),
        ([], 2, "LOG"),
    ],
)
def test_errors(arguments: list[str], code: int, says: str, log: Path, tmp_path: Path) -> None:
    result = run(*(a.format(log=log, tmp=tmp_path) for a in arguments))
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_sign_off_is_written_whatever_the_verdict(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "card"
    result = run(log, "--ratio", 8, "-o", out)
    assert result.exit_code == 3
    names = ["gate.html", "gate.md", "gate.json"]
    assert result.stdout.splitlines()[-3:] == [str(out / name) for name in names]
    assert all((out / name).is_file() for name in names)
    assert run(log, "--ratio", 8, "-o", out).exit_code == 1
    again = run(log, "--ratio", 8, "-o", out, "--force", "--format", "json")
    assert again.exit_code == 3
    assert json.loads(again.stdout) == json.loads((out / "gate.json").read_text())
    assert str(out / "gate.html") in again.stderr


def test_the_help_states_the_exit_codes() -> None:
    text = run("--help").stdout
    for line in ("0  pass", "3  fail", "4  not enough data"):
        assert line in text
