"""The command `distortion`: outputs, exit codes, refusals."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

import distortion as ds
from distortion.cli import main
from distortion.nulls.equal import at_equal
from tests.answers import answers
from tests.logs import planted, worked_example

COMMANDS = sorted(main.commands)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.parquet"
    slopes = {2.0: 0.9, 10.0: 1.3}
    planted(np.random.default_rng(0), slopes, networks=6, control=1.0).write_parquet(path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself(name: str, flag: str) -> None:
    result = run(name, flag)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")


def test_check_says_what_is_in_the_log(log: Path) -> None:
    result = run("check", log)
    assert result.exit_code == 0
    assert "6 networks" in result.stdout
    assert "| planted" in result.stdout


@pytest.mark.parametrize("table", ["slopes", "conditions", "measures", "pairs"])
def test_measure_prints_csv(log: Path, table: str) -> None:
    expected = getattr(ds, table)(log)
    assert run("measure", log, "--table", table).stdout == expected.write_csv()


def test_measure_passes_options_on(log: Path) -> None:
    expected = ds.inequality(log, level=0.9, source="both", rng=1)
    options = ["--level", 0.9, "--source", "both", "--rng", 1]
    assert run("measure", log, "--table", "inequality", *options).stdout == expected.write_csv()
    simex = run("measure", log, "--table", "repaired", "--rng", 1).stdout
    assert "simex" in simex
    assert "simex" not in run("measure", log, "--table", "repaired").stdout
    example = Path(__file__).parents[1] / "data" / "example.parquet"
    shown = run("measure", example, "--table", "equal-accuracy", "--level", 0.9).stdout
    assert shown == at_equal(example, what="accuracy", level=0.9).write_csv()


def test_measure_reads_stored_predictions(tmp_path: Path) -> None:
    table = answers()
    path, log = tmp_path / "answers.parquet", tmp_path / "log.parquet"
    table.write_parquet(path)
    ds.recount(table).write_parquet(log)
    shown = {
        name: run("measure", path, "--table", name).stdout for name in ("recount", "exemplars")
    }
    assert shown["recount"] == ds.recount(table).write_csv()
    assert shown["exemplars"] == ds.exemplars(table).write_csv()
    shares = run("measure", path, "--table", "exemplar-shares", "--split", "test").stdout
    assert shares == ds.exemplar_shares(table).write_csv()
    options = ["--source", "test images", "--rng", 1, "--predictions", path]
    expected = ds.inequality(log, source="test images", rng=1, predictions=table)
    assert run("measure", log, "--table", "inequality", *options).stdout == expected.write_csv()


def test_measure_refuses_options_that_a_table_lacks(log: Path) -> None:
    refused = run("measure", log, "--table", "latent", "--rng", 1)
    assert refused.exit_code == 2
    assert "no --rng. It takes --arm, --split and --level." in refused.stderr


def test_findings_in_three_layouts(log: Path) -> None:
    expected = ds.findings(log)
    text = run("findings", log)
    assert text.exit_code == 0
    assert "magnitude" in text.stdout
    table = pl.read_csv(run("findings", log, "--format", "csv").stdout.encode())
    assert table.height == expected.height
    record = json.loads(run("findings", log, "--format", "json", "--level", 0.9).stdout)
    assert record["schema"] == "distortion/findings/1"
    assert len(record["findings"]) == expected.height
    assert record["options"]["level"] == 0.9


@pytest.mark.slow
def test_report_prints_the_paths_that_it_wrote(log: Path, tmp_path: Path) -> None:
    result = run("report", log, "-o", tmp_path / "report")
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert tmp_path / "report" / "index.html" in paths
    assert all(path.is_file() for path in paths)
    again = run("report", log, "-o", tmp_path / "report")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert run("report", log, "-o", tmp_path / "report", "--force").exit_code == 0


def test_the_example_is_a_log(tmp_path: Path) -> None:
    out = tmp_path / "example.parquet"
    assert run("example", "-o", out).stdout == f"{out}\n"
    assert run("check", out).exit_code == 0
    assert run("pack", out, "-o", tmp_path / "copy.parquet").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "{tmp}/nowhere"], "There is no file or folder"),
        (["report", "{log}", "-o", "{log}/inside"], "log.parquet"),
        (["findings", "{log}", "--arm", "pruned"], "No compressed cells to test"),
        (["findings", "{log}", "--split", "train"], "No compressed cells to test"),
        (["pack", "{log}", "-o", "{log}"], "exists. Name another file"),
        (["example", "-o", "{log}"], "exists. Name another file"),
    ],
)
def test_data_errors_are_one_paragraph_and_exit_1(
    arguments: list[str], says: str, log: Path, tmp_path: Path
) -> None:
    result = run(*(a.format(log=log, tmp=tmp_path) for a in arguments))
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run("check", tmp_path / "nowhere", "--debug").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["nonsense"],
        ["findings", "x", "--level", "2"],
        ["findings", "x", "--correction", "tukey"],
        ["findings", "x", "--arm", "control"],
        ["findings", "x", "--reference-model", "cifar10"],
    ],
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_weaknesses_are_notes_on_stderr(tmp_path: Path) -> None:
    copies = pl.concat([worked_example(), worked_example().with_columns(seed=pl.lit(1, pl.Int64))])
    copies.write_csv(tmp_path / "log.csv")
    result = run("check", tmp_path / "log.csv")
    assert result.exit_code == 0
    assert result.stderr.startswith("Note: Copied seeds")


class TestFit:
    FORMULA = "balance ~ balance_dense * log2_ratio + (0 + balance_dense | network)"

    def test_a_linear_mixed_model(self, log: Path) -> None:
        result = run("fit", log, self.FORMULA, "--only", "method=magnitude")
        assert result.exit_code == 0, result.output
        assert "Linear mixed model fit by REML (Satterthwaite df)" in result.stdout
        assert "groups: network 6" in result.stdout

    def test_a_model_of_counts(self, log: Path) -> None:
        formula = "correct/n ~ log2_ratio + (1 | network)"
        result = run("fit", log, formula, "--only", "method=magnitude", "--only", "ratio=2,10")
        assert result.exit_code == 0, result.output
        assert "Family: binomial, logit link" in result.stdout

    def test_a_regression_with_clusters_as_csv(self, log: Path) -> None:
        result = run(
            *("fit", log, "alpha ~ log2(ratio)", "--table", "slopes", "--cluster", "network"),
            *("--only", "arm=finetuned", "--format", "csv"),
        )
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("term,estimate,std_error,df,statistic,p_value,conf_low,")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["balance ~ balance_dence + (1 | network)"], "Did you mean 'balance_dense'?"),
            (["balance ~ (1 | network", "--debug"], "(1 | network"),
            ([FORMULA, "--only", "methd=x"], "Did you mean 'method'?"),
            ([FORMULA, "--only", "ratio=two"], "cannot be read as that"),
            ([FORMULA, "--only", "ratio=3.5"], "leaves no row"),
        ],
    )
    def test_errors_are_one_paragraph(self, log: Path, arguments: list[str], message: str) -> None:
        result = run("fit", log, *arguments)
        assert result.exit_code == 1
        assert message in result.stderr
