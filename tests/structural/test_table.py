"""The table: rows, nulls and caveats of a log."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from distortion.designs import CONDITION
from distortion.errors import DesignError, FitError
from distortion.structural.fit import StructuralFit
from distortion.structural.table import SCHEMA, structural
from tests.logs import cell, planted
from tests.planted import planted_log


def test_rows_of_a_study_with_a_control_arm():
    log = planted_log(models=["small"], methods=["magnitude"], ratios=[2.0, 10.0])
    table = structural(log)
    assert table.schema == SCHEMA
    assert table.columns[: len(CONDITION)] == list(CONDITION)
    assert table["measure"].to_list() == [
        *(["gamma", "gamma_vs_control"] * 2),
        "gamma_trend",
        "gamma",
    ]
    assert table["arm"].to_list() == ["finetuned"] * 5 + ["control"]
    assert table["null"].to_list() == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    assert table.row(4, named=True)["ratio"] is None
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    assert (table["df"] == 45).all()
    assert table["networks"].to_list() == [6] * 6
    rows = table.filter(pl.col("measure") == "gamma")["estimate"].to_list()
    trend = table.filter(pl.col("measure") == "gamma_trend")["estimate"].item()
    # least squares through two points
    assert trend == pytest.approx((rows[1] - rows[0]) / np.log2(10 / 2))


def test_pruned_cells_are_not_compared_with_a_fine_tuned_control():
    log = planted_log(models=["small"], methods=["magnitude"], ratios=[2.0])
    table = structural(log, arm="pruned", interval="wald")
    assert table["measure"].to_list() == ["gamma", "gamma"]
    assert table["arm"].to_list() == ["pruned", "control"]


def test_gaps_that_widen_because_accuracy_fell_are_no_gain():
    # recalls .85 (1 ± .08) become .75 (1 ± 1.5 · .08): α = 1.5, but logits are closer together
    log = planted(np.random.default_rng(1), {2.0: 1.0, 10.0: 1.5}, networks=5)
    table = structural(log)
    assert table["estimate"][1] > table["estimate"][0] + 0.2
    assert table["estimate"][1] == pytest.approx(0.9, abs=0.05)


def test_an_arm_at_chance_has_a_row_that_says_so():
    rng = np.random.default_rng(2)
    cells = []
    pattern = np.array([700, 800, 850, 900, 950])
    for seed in range(4):
        dense = pattern + rng.integers(-15, 15, 5)
        cells.append(cell(dense.tolist(), 1000, seed=seed))
        after = dense - rng.integers(20, 60, 5)
        more = {"method": "random", "arm": "finetuned", "seed": seed}
        cells.append(cell(after.tolist(), 1000, ratio=2.0, **more))
        cells.append(cell([1000, 0, 0, 0, 0], 1000, ratio=20.0, **more))
    table = structural(pl.concat(cells))
    assert table["ratio"].to_list() == [2.0, 20.0]
    assert table["estimate"].is_null().to_list() == [False, True]
    assert "always or never" in table["caveat"][1]


def test_one_network_has_a_row_that_says_why_there_is_no_fit():
    log = pl.concat(
        [
            cell([9, 7, 5]),
            cell([8, 6, 3], method="magnitude", ratio=2.0, arm="finetuned"),
        ]
    )
    table = structural(log)
    assert table["estimate"].is_null().all()
    assert "needs two networks" in table["caveat"][0]


def test_a_bound_that_does_not_exist_is_null_and_said(monkeypatch):
    whole = StructuralFit.test
    monkeypatch.setattr(
        StructuralFit, "test", lambda *asked: replace(whole(*asked), conf_high=np.inf)
    )
    log = planted_log(models=["small"], methods=["magnitude"], ratios=[2.0])
    table = structural(log)
    assert table["conf_high"].null_count() == table.height
    assert table["conf_low"].null_count() == 0
    assert table["caveat"].str.contains("unbounded above").all()
    assert not table["caveat"].str.contains("unbounded below").any()


def test_wrong_options_are_refused():
    log = planted_log(models=["small"], methods=["magnitude"], ratios=[2.0])
    with pytest.raises(FitError, match="interval"):
        structural(log, interval="exact")
    for level in (95, "0.95", None):
        with pytest.raises(DesignError, match="level"):
            structural(log, level=level)
    with pytest.raises(DesignError, match="split is 3"):
        structural(log, split=3)
    with pytest.raises(FitError, match="inheritance"):
        structural(log, inheritance="some")
