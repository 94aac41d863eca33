"""The table of repaired slopes: shape, reasons for what is undefined, agreement with findings."""

import numpy as np
import polars as pl
import pytest

from distortion.designs import CONDITION
from distortion.errors import DesignError, FitError
from distortion.findings import findings
from distortion.log import read_log
from distortion.repairs.estimators import ESTIMATORS
from distortion.repairs.table import RESULT, repaired_slopes
from tests.logs import cell, planted, worked_example

EXAMPLE = "data/example.parquet"
UNBALANCED = {"support_weighted", "macro", "intercept"}
UNDEFINED = ("std_error", "df", "statistic", "p_value", "conf_low", "conf_high")


def of(table: pl.DataFrame, name: str) -> dict:
    return table.filter(pl.col("estimator") == name, pl.col("arm") != "control").row(0, named=True)


@pytest.fixture(scope="module")
def control_study() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return planted(rng, {2.0: 1.3}, control=1.0, networks=8)


def test_one_row_per_condition_and_estimator_plain_first():
    table = repaired_slopes(EXAMPLE, rng=1)
    assert table.columns == [*CONDITION, "estimator", "estimand", *RESULT]
    names = [e.name for e in ESTIMATORS if e.name not in UNBALANCED] + ["simex"]
    for _, part in table.group_by(CONDITION, maintain_order=True):
        assert part["estimator"].to_list() == names
    assert (table["estimand"] != "").all()
    assert table["source"].unique().to_list() == ["networks"]


def test_plain_is_what_findings_report():
    log = read_log(EXAMPLE).table.filter(pl.col("method").is_in(["none", "magnitude"]))
    table = repaired_slopes(log, level=0.99).filter(pl.col("estimator") == "plain")
    cells = findings(log).filter(pl.col("family") == "cell")
    both = cells.join(table, on=["model", "method", "ratio"], suffix="_repaired", how="inner")
    assert both.height == cells.height
    for column in ("estimate", "std_error", "df", "conf_low", "conf_high", "statistic"):
        np.testing.assert_allclose(both[column], both[f"{column}_repaired"], rtol=1e-10)


def test_control_adjustment_is_what_findings_report(control_study):
    versus = findings(control_study).filter(pl.col("family") == "versus control")
    found = of(repaired_slopes(control_study), "control_alpha")
    assert found["estimate"] == pytest.approx(versus["estimate"][0], rel=1e-10)
    assert found["std_error"] == pytest.approx(versus["std_error"][0], rel=1e-10)
    assert found["null"] == 0


def test_planted_slope_in_every_estimator(control_study):
    table = repaired_slopes(control_study, rng=1)
    for name in ("plain", "pooled", "alpha_over_lambda", "between", "deming", "simex"):
        found = of(table, name)
        assert found["estimate"] == pytest.approx(1.3, abs=0.06)  # standard error 0.02
        assert found["conf_low"] > 1
    assert of(table, "control_alpha")["estimate"] == pytest.approx(0.3, abs=0.06)
    assert of(table, "log_kappa")["estimate"] == pytest.approx(np.log(1.3), abs=0.05)


def test_what_is_undefined_says_why(control_study):
    without = control_study.filter(pl.col("arm") != "control")
    table = repaired_slopes(without)
    for name, reason in (("split_half", "kept"), ("control_alpha", "control")):
        found = of(table, name)
        assert found["estimate"] is None
        assert reason in found["caveat"]
        assert "undefined" in found["caveat"]
        assert found["networks"] == 0 or name == "split_half"
    control = repaired_slopes(control_study).filter(pl.col("arm") == "control")
    missing = control.filter(pl.col("estimate").is_null())["estimator"].to_list()
    assert set(missing) == {
        "split_half", "split_half_pooled", "control_alpha", "control_log_kappa",
    }  # fmt: skip


def test_one_network_has_estimates_without_intervals():
    table = repaired_slopes(worked_example())
    plain = of(table, "plain")
    assert plain["estimate"] == pytest.approx(4 / 3)
    assert all(plain[field] is None for field in UNDEFINED)
    assert plain["caveat"] == "no interval: one network"
    assert of(table, "pooled")["estimate"] == pytest.approx(4 / 3)
    assert of(table, "between")["estimate"] is None
    assert "two networks" in of(table, "between")["caveat"]


def test_networks_left_out_are_counted(control_study):
    lost = control_study.filter((pl.col("arm") != "control") | (pl.col("seed") != 3))
    found = of(repaired_slopes(lost), "control_alpha")
    assert found["networks"] == 7
    assert found["caveat"].startswith("1 of 8 networks left out")


def test_unbalanced_test_sets_have_their_own_estimators():
    rng = np.random.default_rng(2)
    n = [50, 100, 150, 400]
    rows = []
    for seed in range(5):
        dense = rng.binomial(n, [0.9, 0.8, 0.7, 0.85])
        after = rng.binomial(n, [0.85, 0.7, 0.5, 0.75])
        rows.append(cell(dense.tolist(), n, seed=seed))
        rows.append(
            cell(after.tolist(), n, seed=seed, method="magnitude", ratio=2.0, arm="finetuned")
        )
    table = repaired_slopes(pl.concat(rows))
    assert set(table["estimator"]) >= UNBALANCED
    assert "unequal supports" in of(table, "plain")["caveat"]
    assert of(table, "intercept")["null"] == 0


def test_hardly_any_pattern_is_said():
    rng = np.random.default_rng(3)
    rows = []
    for seed in range(4):
        for arm, method, ratio in (("dense", "none", 1.0), ("finetuned", "magnitude", 2.0)):
            correct = rng.binomial(100, 0.8, 6).tolist()
            rows.append(cell(correct, 100, seed=seed, arm=arm, method=method, ratio=ratio))
    caveat = of(repaired_slopes(pl.concat(rows)), "between")["caveat"]
    assert "denominator" in caveat or "undefined" in caveat


def test_refusals():
    with pytest.raises(DesignError, match="confidence between 0 and 1"):
        repaired_slopes(EXAMPLE, level=95)
    with pytest.raises(FitError, match="rng"):
        repaired_slopes(EXAMPLE, rng="seed")
    with pytest.raises(DesignError, match="No compressed cells"):
        repaired_slopes(EXAMPLE, split="validation")
