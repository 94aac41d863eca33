"""Methods compared at equal accuracy and at equal achieved ratio."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.errors import DesignError
from distortion.nulls.curves import read_off
from distortion.nulls.equal import MEASURES, at_equal
from tests.logs import cell, worked_example

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
    found = read_off(value, np.array(at), measure)
    assert found.measure == pytest.approx(expected, nan_ok=True)
    # A point, nowhere, or a run of two, which shows no bend.
    exact = value == pytest.approx(0.7) or value == pytest.approx(0.9)
    assert found.bend == pytest.approx(0 if exact else np.nan, nan_ok=True)


@given(st.lists(st.floats(0.1, 0.9), min_size=2, max_size=6, unique=True), st.floats(0, 1))
def test_on_a_falling_curve_the_bend_is_what_the_straight_line_is_above(at, value):
    at = np.sort(np.array(at))[::-1]
    measure = np.cumsum(np.ones(len(at)))
    expected = np.interp(value, at[::-1], measure[::-1], left=np.nan, right=np.nan)
    found = read_off(value, at, measure)
    assert np.isnan(found.measure) == np.isnan(expected)
    assert np.isfinite(found.bend) <= np.isfinite(found.measure)
    # Abscissae may be so close that the share of the way between them is mere rounding.
    straight = found.measure + np.nan_to_num(found.bend)
    assert straight == pytest.approx(expected, nan_ok=True, abs=1e-6)
    # Monotone: between its neighbours.
    assert np.isnan(found.measure) or np.floor(straight) <= found.measure <= np.ceil(straight) + 1


def test_a_convex_curve_is_read_off_nearer_than_by_the_straight_line_and_its_bend_is_positive():
    at = np.array([0.0, 1.0, 2.0, 3.0])
    for value in (0.5, 1.5, 2.5):
        found = read_off(value, at, np.exp(at))
        assert found.bend > 0
        assert abs(found.measure - np.exp(value)) < found.measure + found.bend - np.exp(value)


def test_a_line_has_no_bend_and_only_its_own_run_counts():
    found = read_off(0.75, np.array([0.9, 0.8, 0.7, 0.6, 0.9]), np.array([1, 2, 3, 4, -9.0]))
    assert found == pytest.approx((2.5, 0))
    found = read_off(0.85, np.array([0.8, 0.9, 0.7]), np.array([1.0, 2, 9]))
    assert found == pytest.approx((1.5, np.nan), nan_ok=True)
    assert np.isnan(read_off(0.5, np.array([1.0, 0.0]), np.array([np.nan, 1.0]))).all()
    one_unknown = read_off(0.5, np.array([1.0, 0.0, -1]), np.array([1, 0, np.nan]))
    assert one_unknown == pytest.approx((0.5, np.nan), nan_ok=True)
    unknown = read_off(0.5, np.array([np.nan, 1.0, 0.0]), np.arange(3.0))
    assert unknown == pytest.approx((1.5, np.nan), nan_ok=True)
    assert np.isnan(read_off(np.nan, np.array([1.0, 0.0]), np.arange(2.0))).all()


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
    table = at_equal(log).filter(pl.col("method") == "late")
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
    assert row["p_value"] is None
    assert "too few ratios of early" in row["caveat"]


def test_achieved_ratios_that_differ_by_a_weight_are_the_same():
    log = two_methods(0, achieved=True)
    last = (pl.col("method") == "late") & (pl.col("ratio") == 16.0)
    log = log.with_columns(
        n_remaining=pl.when(last).then(pl.col("n_remaining") - 1).otherwise("n_remaining"),
        n_params=pl.when(last).then(pl.col("n_params") - 1).otherwise("n_params"),
    )
    # One weight of 1,000: within the slack of 0.1 %.
    table = at_equal(log, "ratio_achieved")
    assert table["networks"].to_list() == [6, 6, 6, 6]
    assert table["method"].unique().to_list() == ["late"]


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_compared(measure):
    table = at_equal(EXAMPLE, measure=measure)
    assert table["measure"].unique().to_list() == [measure]
    assert table.filter(pl.col("estimate").is_not_null()).height > 0
    # Twelve ordered pairs of four methods, five ratios, two models: no two accuracies are equal.
    assert table.height == 120


def test_a_method_at_its_own_accuracy_has_no_difference():
    log = two_methods(0)
    np.testing.assert_allclose(at_equal(log)["estimate"], 0, atol=1e-12)


FASHION = "data/fashion.parquet"


def against_itself(method, *grids):
    """A log in which one method has two names, each with ratios of its own."""
    log = pl.read_parquet(FASHION)
    own = log.filter(pl.col("method") == method)
    parts = [
        own.filter(pl.col("ratio").is_in([float(ratio) for ratio in grid])).with_columns(
            method=pl.lit(name)
        )
        for name, grid in zip("ab", grids, strict=True)
    ]
    return pl.concat([log.filter(pl.col("arm") == "dense"), *parts])


@pytest.mark.parametrize("what", ["accuracy", "ratio_achieved"])
@pytest.mark.parametrize("method", ["magnitude", "gradient"])
@pytest.mark.parametrize("measure", ["alpha", "log_kappa"])
def test_a_method_does_not_differ_from_itself_between_its_own_ratios(method, what, measure):
    for grids in (((2, 10, 42), (4, 20)), ((2, 4, 10, 42), (20,)), ((2, 10, 20, 42), (4,))):
        log = against_itself(method, *grids)
        table = at_equal(log, what, measure).filter(pl.col("networks") > 1)
        assert table.height
        tested = table.filter(pl.col("p_value").is_not_null())
        assert (tested["p_value"] > 0.05).all()
        assert (tested["estimate"].abs() < 0.05).all()
        refused = table.filter(pl.col("p_value").is_null())
        assert refused["caveat"].str.starts_with("no test").all()
        assert refused.select("std_error", "conf_low", "conf_high").null_count().row(0) == (
            (refused.height,) * 3
        )


def test_a_bend_larger_than_the_noise_is_said():
    table = at_equal(against_itself("magnitude", (2, 10, 42), (4, 20)), "ratio_achieved")
    row = table.filter(pl.col("method") == "b", pl.col("ratio") == 20).row(0, named=True)
    # The straight line is 0.24 above the method's own slope.
    assert row["estimate"] == pytest.approx(-0.13, abs=0.01)
    assert "ratios of a too far apart there, its curve bends by 0.1" in row["caveat"]


def test_a_selection_by_accuracy_is_not_tested():
    log = two_methods(0.5)
    above = pl.col("method").eq("late") & pl.col("seed").eq(0) & pl.col("ratio").eq(4.0)
    log = log.with_columns(correct=pl.when(above).then(10**6 - 1).otherwise("correct"))
    row = at_equal(log).filter(pl.col("method") == "late", pl.col("ratio") == 4).row(0, named=True)
    assert row["networks"] == 5
    assert row["estimate"] == pytest.approx(0, abs=1e-4)
    assert row["p_value"] is None
    assert row["caveat"].startswith("no test: which networks can be compared depends")


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.filterwarnings("ignore::distortion.errors.LogWarning")
def test_lost_and_perfect_networks_are_compared_without_a_warning(measure):
    log = two_methods(0.5, networks=3, achieved=True)
    late = pl.col("method") == "late"
    log = log.with_columns(
        correct=pl.when(late & (pl.col("ratio") == 4.0))
        .then(0)
        .when(late & (pl.col("ratio") == 8.0))
        .then("n")
        .otherwise("correct")
    )
    for some in (log, log.filter(pl.col("seed") == 0), log.filter(pl.col("class_id") < 2)):
        for what in ("accuracy", "ratio_achieved"):
            table = at_equal(some, what, measure)
            assert table.filter(pl.col("p_value").is_null() & (pl.col("caveat") == "")).is_empty()


@pytest.mark.parametrize("what", ["accuracy", "ratio_achieved"])
def test_the_order_of_methods_changes_but_the_sign(what):
    log = pl.read_parquet(FASHION).filter(
        pl.col("method").is_in(["none", "magnitude", "undecayed", "undecayed-released"])
    )
    keys = ["method", "ratio", "method_b"]
    one = at_equal(log, what)
    other = at_equal(log.reverse(), what)
    assert one.height == other.height
    same = one.join(other, on=keys, suffix="_other")
    mirrored = one.join(
        other,
        left_on=["method", "ratio", "method_b"],
        right_on=["method_b", "ratio", "method"],
        suffix="_other",
    ).join(same, on=keys, how="anti")
    assert same.height + mirrored.height == one.height
    assert mirrored.height == (5 if what == "ratio_achieved" else 0)  # magnitude and undecayed
    for rows, sign in ((same, 1), (mirrored, -1)):
        for column in ("estimate", "statistic"):
            np.testing.assert_allclose(rows[column], sign * rows[f"{column}_other"], rtol=1e-9)
        assert rows["networks"].to_list() == rows["networks_other"].to_list()


def test_refusals():
    with pytest.raises(DesignError, match=r"what is 'acuracy'.*Did you mean 'accuracy'"):
        at_equal(EXAMPLE, "acuracy")
    with pytest.raises(DesignError, match="measure is 'beta'"):
        at_equal(EXAMPLE, measure="beta")
    with pytest.raises(DesignError, match="n_params and n_remaining"):
        at_equal(two_methods(0), "ratio_achieved")
    with pytest.raises(
        DesignError, match=r"needs two methods on the same dataset.*this log has 'magnitude'"
    ):
        at_equal(worked_example())
