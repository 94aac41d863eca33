"""Methods compared at equal accuracy and at equal achieved ratio."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.errors import DesignError
from distortion.nulls.equal import MEASURES, at_equal, first_passage
from tests.logs import cell

EXAMPLE = "data/example.parquet"


@pytest.mark.parametrize(
    ("value", "at", "expected"),
    [
        (0.8, [0.9, 0.7], 1.5),
        (0.9, [0.9, 0.7], 1.0),
        (0.7, [0.9, 0.7], 2.0),
        (0.95, [0.9, 0.7], np.nan),  # above the curve: nothing is extrapolated
        (0.8, [0.9, 0.7, 0.9, 0.7], 1.5),  # falls, recovers, falls: the first passage
        (0.7, [0.9, 0.7, 0.7], 2.0),
        (0.9, [0.9, 0.9, 0.7], 1.0),
        (0.9, [0.9], 1.0),
        (0.8, [0.9], np.nan),
    ],
)
def test_first_passage(value, at, expected):
    measure = np.arange(1.0, len(at) + 1)
    assert first_passage(value, np.array(at), measure) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.floats(0.1, 0.9), min_size=2, max_size=6, unique=True), st.floats(0, 1))
def test_on_a_falling_curve_first_passage_is_linear_interpolation(at, value):
    at = np.sort(np.array(at))[::-1]
    measure = np.cumsum(np.ones(len(at)))
    expected = np.interp(value, at[::-1], measure[::-1], left=np.nan, right=np.nan)
    found = first_passage(value, at, measure)
    # Abscissae may be so close that the share of the way between them is mere rounding.
    assert found == pytest.approx(expected, nan_ok=True, abs=1e-6)


def two_methods(lag, *, ratios=(2.0, 4.0, 8.0, 16.0), networks=6, achieved=None):
    """Both lose accuracy along one curve of α; `late` reaches each point `lag` steps later."""
    rng = np.random.default_rng(1)
    base = np.array([-0.08, -0.03, 0.04, 0.07])
    frames = []
    for seed in range(networks):
        dense = base + rng.normal(0, 0.004, 4)
        dense -= dense.mean()

        def rows(arm, method, ratio, accuracy, alpha, seed=seed, dense=dense):
            correct = np.rint(10**6 * accuracy * (1 + alpha * dense)).astype(int).tolist()
            more = {"n_params": 16_000, "n_remaining": int(16_000 / ratio)} if achieved else {}
            frame = cell(correct, 10**6, method=method, ratio=ratio, arm=arm, seed=seed, **more)
            frames.append(frame)

        rows("dense", "none", 1.0, 0.9, 1.0)
        for method, behind in (("early", 0), ("late", lag)):
            for step, ratio in enumerate(ratios):
                loss = 0.02 * (step + 1 - behind)
                rows("finetuned", method, ratio, 0.9 - loss, 1 + 5 * loss)
    return pl.concat(frames)


def test_methods_that_differ_in_accuracy_alone_are_equal_at_equal_accuracy():
    log = two_methods(0.5, achieved=True)
    table = at_equal(log)
    assert table["method"].unique().to_list() == ["late"]
    assert table["method_b"].unique().to_list() == ["early"]
    first, *rest = table.iter_rows(named=True)
    assert first["estimate"] is None  # late is above all that early reaches
    assert first["networks"] == 0
    assert first["caveat"].startswith("6 of 6 networks left out")
    assert table["ratio"].to_list() == [2.0, 4.0, 8.0, 16.0]
    for step, row in enumerate(rest, start=1):
        assert row["estimate"] == pytest.approx(0, abs=1e-4)  # counts rounded at 1e-6
        assert row["at"] == pytest.approx(0.9 - 0.02 * (step + 0.5), abs=1e-6)
        assert row["networks"] == 6
    at_ratio = at_equal(log, "ratio_achieved")
    np.testing.assert_allclose(at_ratio["estimate"], -0.05, atol=1e-4)
    np.testing.assert_allclose(at_ratio["at"], [2, 4, 8, 16], rtol=1e-9)


def test_equal_ratio_reads_between_ratios_on_the_log_scale():
    log = two_methods(0, ratios=(2.0, 8.0), achieved=True)
    halfway = (pl.col("method") == "late") & (pl.col("ratio") == 2.0)
    log = log.with_columns(
        n_remaining=pl.when(halfway).then(4000).otherwise("n_remaining")  # achieves 4, not 2
    )
    row = at_equal(log, "ratio_achieved").row(0, named=True)
    assert row["at"] == pytest.approx(4)
    assert row["estimate"] == pytest.approx(1.1 - 1.15, abs=1e-4)


def test_achieved_ratios_that_differ_by_a_weight_are_the_same():
    log = two_methods(0, achieved=True)
    last = (pl.col("method") == "late") & (pl.col("ratio") == 16.0)
    log = log.with_columns(
        n_remaining=pl.when(last).then(pl.col("n_remaining") - 1).otherwise("n_remaining"),
        n_params=pl.when(last).then(pl.col("n_params") - 1).otherwise("n_params"),
    )
    # One weight of 1,000: within the slack of 0.1 %.
    assert at_equal(log, "ratio_achieved")["networks"].to_list() == [6, 6, 6, 6]


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_compared(measure):
    table = at_equal(EXAMPLE, measure=measure)
    assert table["measure"].unique().to_list() == [measure]
    assert table.filter(pl.col("estimate").is_not_null()).height > 0
    # Six pairs of four methods, five ratios, two models.
    assert table.height == 60


def test_a_method_at_its_own_accuracy_has_no_difference():
    log = two_methods(0)
    np.testing.assert_allclose(at_equal(log)["estimate"], 0, atol=1e-12)


def test_refusals():
    with pytest.raises(DesignError, match=r"what is 'acuracy'.*Did you mean 'accuracy'"):
        at_equal(EXAMPLE, "acuracy")
    with pytest.raises(DesignError, match="measure is 'beta'"):
        at_equal(EXAMPLE, measure="beta")
    with pytest.raises(DesignError, match="n_params and n_remaining"):
        at_equal(two_methods(0), "ratio_achieved")
