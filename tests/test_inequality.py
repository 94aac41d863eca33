"""Measures beside α: by hand, by invariance, against other implementations; tables that say why."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polars.testing import assert_frame_equal
from scipy import stats

from distortion.counts import Counts, counts
from distortion.designs import CONDITION, conditions, slopes
from distortion.errors import DesignError, FitError
from distortion.inequality.catalogue import MEASURES, evaluated
from distortion.inequality.formulas import (
    alpha,
    combined_error_variance,
    excess_gaps,
    forgotten,
    gained,
    gini,
    kappa,
    rho,
    symmetric_distance_error,
)
from distortion.inequality.related import HOOKER, PAGANINI, hooker, paganini
from distortion.inequality.table import INEQUALITY, cell_measures, inequality
from distortion.resampling.images import Pairs
from tests.logs import cell, planted, worked_example

EXAMPLE = Path(__file__).parents[1] / "data" / "example.parquet"
NAMES = [measure.name for measure in MEASURES]
PRUNED = {"method": "magnitude", "ratio": 2.0, "arm": "finetuned"}
# Three classes of 10: the dense parent confuses 1 + 3 + 2 images, the pruned network 2 + 4 + 3.
SIMON = Pairs(
    n=np.array([10, 10, 10]),
    dense=np.array([9, 7, 8]),
    correct=np.array([8, 6, 7]),
    kept=np.array([8, 5, 6]),
    predicted_dense=np.array([11, 9, 10]),
    predicted=np.array([10, 9, 11]),
)


def measured(log, **options):
    """Estimates by measure of a log's only condition."""
    table = inequality(log, **options)
    assert table["measure"].to_list() == NAMES
    return dict(table.select("measure", "estimate").iter_rows())


def rows(table, name):
    return table.filter(pl.col("measure") == name)


paired_counts = st.integers(2, 6).flatmap(
    lambda classes: st.tuples(
        arrays(np.int64, (3, classes), elements=st.integers(20, 60)),
        arrays(np.int64, (3, classes), elements=st.integers(1, 19)),
        arrays(np.int64, (3, classes), elements=st.integers(0, 20)),
        st.permutations(range(classes)),
    )
)


# Formulas ---------------------------------------------------------------------------------------


def test_worked_example_by_hand():
    """Recalls (.9, .7) then (.7, .5)."""
    expected = {
        "alpha": 4 / 3,
        "kappa": 4 / 3,
        "rho": 1.0,
        "accuracy_dense": 0.8,
        "accuracy": 0.6,
        "accuracy_change": -0.2,
        "worst_recall_dense": 0.7,
        "worst_recall": 0.5,
        "worst_recall_change": -0.2,
        "recall_range_dense": 0.2,
        "recall_range": 0.2,
        "recall_range_change": 0.0,
        "recall_sd_dense": 0.1,
        "recall_sd": 0.1,
        "recall_sd_change": 0.0,
        # 2 × 0.2 / (2 × 2² × mean recall)
        "recall_gini_dense": 0.4 / 6.4,
        "recall_gini": 0.4 / 4.8,
        "recall_gini_change": 0.4 / 4.8 - 0.4 / 6.4,
        "forgotten": None,
        "gained": None,
        "excess_gap_max": 0.0,
        "excess_gap_range": 0.0,
        "cev": None,
        "sde": None,
    }
    # Differences of recalls that round in the last digit.
    assert measured(worked_example()) == {
        name: value if value is None else pytest.approx(value, abs=1e-12)
        for name, value in expected.items()
    }


def test_simon_says_and_balancing_act_by_hand():
    """FPR 2, 2, 2 then 2, 3, 4 of 20; FNR 1, 3, 2 then 2, 4, 3 of 10: all changes in per cent."""
    false_positives = np.array([0.0, 50.0, 100.0])
    false_negatives = np.array([100.0, 100 / 3, 50.0])
    # Means 50 and 61.11; squared distances from them, halved.
    squares = (false_positives - 50) ** 2 + (false_negatives - 550 / 9) ** 2
    assert combined_error_variance(SIMON) == pytest.approx(squares.sum() / 3 / 2)
    assert symmetric_distance_error(SIMON) == pytest.approx((100 + 50 / 3 + 50) / 3 / np.sqrt(2))
    # All recalls fall by 0.1, and so does accuracy.
    assert excess_gaps(SIMON) == pytest.approx(np.zeros(3), abs=1e-15)
    uneven = Pairs(SIMON.n, SIMON.dense, np.array([9, 4, 8]))
    assert excess_gaps(uneven) == pytest.approx([-0.1, 0.2, -0.1])
    assert forgotten(SIMON) == (1 + 2 + 2) / 30
    assert gained(SIMON) == (0 + 1 + 1) / 30


def test_a_perfect_dense_class_leaves_simon_says_undefined():
    perfect = Pairs(SIMON.n, np.array([10, 7, 8]), SIMON.correct, None, SIMON.n, SIMON.n)
    assert np.isnan(combined_error_variance(perfect))
    assert np.isnan(symmetric_distance_error(perfect))


def test_gini_is_the_mean_difference_over_twice_the_mean():
    recall = np.random.default_rng(0).random((4, 7))
    differences = np.abs(recall[:, :, None] - recall[:, None, :]).sum(axis=(1, 2))
    assert gini(recall) == pytest.approx(differences / (2 * 49 * recall.mean(axis=1)))
    assert gini(np.array([0.0, 0.0, 0.0, 0.8])) == pytest.approx(3 / 4)
    assert np.isnan(gini(np.zeros(3)))


@given(paired_counts)
def test_measures_do_not_depend_on_the_order_of_classes(drawn):
    n, errors, more, order = drawn
    pairs = Pairs(n, n - errors, np.maximum(n - errors - more, 0))
    shuffled = Pairs(*(k[:, order] for k in (pairs.n, pairs.dense, pairs.correct)))
    # Sums in another order; a spread of rounding size amplifies that in α, κ and ρ.
    one, other = evaluated(pairs, MEASURES), evaluated(shuffled, MEASURES)
    settled = np.ptp(pairs.dense / n, axis=1) > 1e-6
    assert other[settled] == pytest.approx(one[settled], rel=1e-8, abs=1e-10, nan_ok=True)


@given(paired_counts, st.floats(0.1, 1.0))
def test_identities_and_invariances(drawn, scale):
    n, errors, more, _ = drawn
    pairs = Pairs(n, n - errors, np.maximum(n - errors - more, 0))
    defined = np.isfinite(rho(pairs))
    product = rho(pairs) * kappa(pairs)
    assert alpha(pairs)[defined] == pytest.approx(product[defined], rel=1e-9, abs=1e-12)
    assert (np.abs(rho(pairs)[defined]) <= 1 + 1e-9).all()
    recall = pairs.dense / n
    assert gini(scale * recall) == pytest.approx(gini(recall), abs=1e-12)
    same = Pairs(n, pairs.dense, pairs.dense, pairs.dense)
    found = dict(zip(NAMES, evaluated(same, MEASURES).T, strict=True))
    for name in NAMES:
        if name.endswith("_change") or name in ("forgotten", "gained", "excess_gap_range"):
            assert (found[name] == 0).all(), name


def test_alpha_kappa_and_rho_agree_with_the_tables_of_the_log():
    wanted = slopes(EXAMPLE).filter(pl.col("arm") == "finetuned")
    found = pl.concat([cell_measures(c) for c in counts(EXAMPLE)])
    both = wanted.join(found, on=[*CONDITION, "network"], suffix="_here", validate="1:1")
    assert both.height == wanted.height
    for name in ("alpha", "kappa", "rho", "accuracy", "worst_recall_dense", "worst_recall"):
        # Whole numbers there, quotients here: rounding only.
        assert both[f"{name}_here"].to_numpy() == pytest.approx(both[name].to_numpy(), rel=1e-9)


# Table ------------------------------------------------------------------------------------------


def test_intervals_over_networks_are_those_of_t_and_of_log_kappa():
    log = planted(np.random.default_rng(0), {2.0: 0.8, 4.0: 1.5}, networks=8, control=1.0)
    table = inequality(log, level=0.9)
    assert table.schema == INEQUALITY
    assert table.height == 3 * len(MEASURES)
    assert (table["source"] == "networks").all()
    per_network = cell_measures(counts(log)[1])
    for name in ("alpha", "recall_gini_change"):
        found, values = rows(table, name).row(1, named=True), per_network[name].to_numpy()
        low, high = stats.t.interval(0.9, 7, values.mean(), stats.sem(values))
        assert [found["estimate"], found["conf_low"], found["conf_high"]] == pytest.approx(
            [values.mean(), low, high]
        )
        test = stats.ttest_1samp(values, found["null"])
        assert [found["statistic"], found["p_value"]] == pytest.approx(
            [test.statistic, test.pvalue]
        )
    found, logs = rows(table, "kappa").row(1, named=True), np.log(per_network["kappa"].to_numpy())
    assert found["estimate"] == pytest.approx(stats.gmean(per_network["kappa"]))
    assert found["p_value"] == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    low, high = np.exp(stats.t.interval(0.9, 7, logs.mean(), stats.sem(logs)))
    assert [found["conf_low"], found["conf_high"]] == pytest.approx([low, high])


def test_planted_slopes_are_recovered_by_every_source():
    log = planted(np.random.default_rng(1), {2.0: 0.8, 4.0: 1.5}, networks=12)
    for options in ({}, {"source": "test images"}, {"source": "both"}):
        found = inequality(log, level=0.99, rng=5, draws=2000, **options)
        for name in ("alpha", "kappa"):
            got = rows(found, name)
            assert (got["conf_low"] < pl.Series([0.8, 1.5])).all()
            assert (got["conf_high"] > pl.Series([0.8, 1.5])).all()


def test_levels_have_no_null_and_no_p_value():
    found = inequality(EXAMPLE)
    tested = found.filter(pl.col("p_value").is_not_null())["measure"].unique().to_list()
    changes = [name for name in NAMES if name.endswith("_change")]
    assert sorted(tested) == sorted(["alpha", "kappa", *changes])


def test_undefined_networks_are_counted_and_explained():
    # Network 1 has equal dense recalls, network 2 equal recalls after.
    log = pl.concat(
        [
            *(cell(k, seed=s) for s, k in enumerate([[9, 7], [8, 8], [9, 6], [10, 7]])),
            *(cell(k, seed=s, **PRUNED) for s, k in enumerate([[7, 5], [7, 5], [6, 6], [8, 5]])),
        ]
    )
    found = {r["measure"]: r for r in inequality(log).iter_rows(named=True)}
    assert (found["alpha"]["networks"], found["kappa"]["networks"]) == (3, 2)
    assert found["alpha"]["caveat"].startswith("1 of 4 networks undefined: all dense recalls are")
    assert found["kappa"]["caveat"].startswith("2 of 4 networks undefined: all recalls before, or")
    assert found["forgotten"]["caveat"] == "undefined: the log lacks kept"
    assert found["cev"]["caveat"].startswith("undefined: the log lacks predicted")
    assert found["cev"]["estimate"] is None
    per_network = cell_measures(counts(log)[0])
    assert per_network["alpha"].is_null().to_list() == [False, True, False, False]
    assert per_network["kappa"].to_list()[2] == 0


def test_predictions_of_the_dense_parents_alone_may_be_missing():
    holed = pl.when(pl.col("arm") != "dense").then(pl.col("predicted"))
    found = rows(inequality(small().with_columns(predicted=holed)), "sde")
    assert found["caveat"].item().endswith("or of their dense parents")


def test_one_network_has_estimates_and_only_images_give_an_interval():
    for source in ("networks", "both"):
        found = rows(inequality(worked_example(), source=source, rng=1), "alpha")
        assert found["estimate"].item() == pytest.approx(4 / 3)
        assert found["caveat"].item() == "no interval: one network"
        assert found["conf_low"].item() is None
    found = rows(inequality(worked_example(), source="test images", rng=1), "accuracy")
    assert found["conf_low"].item() < 0.6 < found["conf_high"].item()
    assert found["caveat"].item().startswith("before and after resampled as if independent")


def test_unbalanced_classes_and_other_classes_are_said():
    sizes = [10, 30]
    log = pl.concat([cell([9, 20], sizes), cell([7, 15], sizes, **PRUNED)])
    assert inequality(log)["caveat"].str.contains("unbalanced classes").all()
    three = [cell([9, 7, 8], seed=1), cell([7, 5, 4], seed=1, **PRUNED)]
    found = rows(inequality(pl.concat([worked_example(), *three])), "accuracy")
    assert found["caveat"].to_list() == [
        "no interval: one network; only networks tested on the classes [0, 1]",
        "no interval: one network; only networks tested on the classes [0, 1, 2]",
    ]


def small():
    return pl.read_parquet(EXAMPLE).filter(
        pl.col("model") == "mlp-large",
        pl.col("method").is_in(["none", "magnitude"]),
        pl.col("ratio").is_in([1.0, 10.0]),
        pl.col("arm").is_in(["dense", "finetuned"]),
    )


def test_images_give_a_lower_and_an_upper_bound_and_both_sources_more():
    shared, independent, both = (
        inequality(small(), rng=2, draws=1000, **options)
        for options in (
            {"source": "test images"},
            {"source": "test images", "images": "independent"},
            {"source": "both"},
        )
    )
    for name in ("alpha", "kappa", "accuracy_change", "recall_gini", "forgotten"):
        upper, lower, total = (
            rows(t, name)["std_error"].item() for t in (shared, independent, both)
        )
        # √15 networks; 12 % for the error of two SDs of 1,000 draws and for unequal networks.
        assert upper / lower == pytest.approx(np.sqrt(15), rel=0.12)
        assert total > 0.95 * upper
        # The estimate does not depend on what varies.
        assert rows(shared, name)["estimate"].item() == pytest.approx(
            rows(inequality(small()), name)["estimate"].item()
        )
    assert set(both["source"]) == {"networks and test images"}
    assert rows(shared, "cev")["caveat"].item().endswith("how to redraw false positives")
    assert rows(shared, "cev")["conf_low"].item() is None
    again = inequality(small(), rng=np.random.default_rng(2), draws=1000, source="both")
    assert again.equals(both)


def test_accuracy_varies_over_images_as_a_binomial_mean():
    table = inequality(small(), source="test images", rng=3, draws=4000)
    found = rows(table, "accuracy")["std_error"].item()
    only = counts(small())[0]
    recall, n = only.correct / only.n, only.n
    of_networks = np.sqrt((recall * (1 - recall) * n).sum(axis=1)) / n.sum(axis=1)
    # SD of 4,000 draws: four standard errors are 4.5 %.
    assert found == pytest.approx(of_networks.mean(), rel=0.045)


@pytest.mark.parametrize("options", [{}, {"source": "both", "rng": 1, "draws": 300}])
def test_intervals_stay_within_what_is_possible(options):
    after = [[0, 9, 8], [4, 9, 9], [0, 10, 9], [1, 9, 10]]
    log = pl.concat(
        [
            *(cell([9, 7 - s, 8], seed=s) for s in range(4)),
            *(cell(k, seed=s, **PRUNED) for s, k in enumerate(after)),
        ]
    )
    found = inequality(log, **options)
    bounds = {measure.name: measure.bounds for measure in MEASURES}
    for row in found.drop_nulls("conf_low").iter_rows(named=True):
        low, high = bounds[row["measure"]]
        assert low <= row["conf_low"] <= row["conf_high"] <= high
    if not options:
        assert "cut to what is possible" in rows(found, "worst_recall")["caveat"].item()
        assert rows(found, "worst_recall")["conf_low"].item() == 0


@pytest.mark.parametrize("options", [{}, {"source": "both"}, {"source": "test images"}])
def test_chosen_measures_are_the_same_rows(options):
    settings = {"rng": 1, "draws": 100} | options
    every = inequality(small(), **settings)
    some = inequality(small(), measures=["kappa", "alpha"], **settings)
    # The same draws; sums over another number of columns round in the last digits.
    assert_frame_equal(some, every.filter(pl.col("measure").is_in(["alpha", "kappa"])))
    assert_frame_equal(inequality(small(), measures="rho", **settings), rows(every, "rho"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"measures": "alfa"}, "Did you mean 'alpha'"),
        ({"measures": []}, "measures is empty"),
        ({"measures": 3}, "No measure 3"),
        ({"split": 3}, "split is 3"),
        ({"level": "0.95"}, "not '0.95'"),
    ],
)
def test_wrong_arguments_are_refused_in_words(options, says):
    with pytest.raises(DesignError, match=says):
        inequality(worked_example(), **options)


def test_what_is_asked_for_must_exist():
    with pytest.raises(DesignError, match="Did you mean 'test images'"):
        inequality(worked_example(), source="test image", rng=0)
    with pytest.raises(FitError, match="rng is None"):
        inequality(worked_example(), source="both")
    with pytest.raises(DesignError, match="level is a confidence"):
        inequality(worked_example(), level=95)
    with pytest.raises(DesignError, match="images is 'same'"):
        inequality(worked_example(), source="test images", rng=0, images="same")
    for function in (inequality, hooker, paganini):
        with pytest.raises(DesignError, match="No compressed cells"):
            function(worked_example(), arm="pruned")


# Hooker and Paganini ----------------------------------------------------------------------------


def test_hooker_is_welchs_test_of_recall_less_population_accuracy():
    found = hooker(small())
    assert found.schema == HOOKER
    only: Counts = counts(small())[0]
    before, after = (
        k / only.n - (k.sum(axis=1) / only.n.sum(axis=1)).mean() for k in (only.dense, only.correct)
    )
    expected = stats.ttest_ind(after, before, equal_var=False)
    assert found["statistic"].to_numpy() == pytest.approx(expected.statistic)
    assert found["p_value"].to_numpy() == pytest.approx(expected.pvalue)
    assert found["df"].to_numpy() == pytest.approx(expected.df)
    assert found["estimate"].to_numpy() == pytest.approx((after - before).mean(axis=0))
    assert found["impacted"].to_list() == (expected.pvalue <= 0.05).tolist()
    assert (found["classes_impacted"] == (expected.pvalue <= 0.05).sum()).all()
    assert found["class_id"].to_list() == list(range(10))


def test_hooker_finds_the_classes_that_moved_and_says_where_there_is_no_test():
    # B̄ grows by A / A_t where B itself stays: nothing for Hooker to find.
    log = planted(np.random.default_rng(2), {2.0: 0.85 / 0.75, 4.0: 3.0}, networks=10)
    shares = hooker(log).unique("ratio").sort("ratio")["share_impacted"]
    assert shares[0] <= 0.2
    assert shares[1] >= 0.8
    found = hooker(worked_example())
    assert found["caveat"].to_list() == ["no test: one network"] * 2
    assert found["impacted"].to_list() == [None, None]
    assert found["classes_impacted"].to_list() == [0, 0]


def test_paganini_is_least_squares_and_alpha_with_an_intercept():
    found = paganini(EXAMPLE)
    assert found.schema == PAGANINI
    for condition, two in zip(counts(EXAMPLE), found.iter_slices(2), strict=True):
        x, y = (
            (k / condition.n / (k.sum(axis=1) / condition.n.sum(axis=1))[:, None]).ravel()
            for k in (condition.dense, condition.correct)
        )
        direct = np.linalg.lstsq(np.stack([np.ones_like(x), x], axis=1), y, rcond=None)[0]
        assert two["estimate"].to_numpy() == pytest.approx(direct)
        assert two["term"].to_list() == ["intercept", "slope"]
        # Balanced: the line goes through (1, 1).
        assert two["estimate"].sum() == pytest.approx(1)
        assert two["df"].to_list() == [condition.size[0] - 1] * 2
    slope = found.filter(pl.col("term") == "slope").select(*CONDITION, "estimate")
    both = slope.join(conditions(EXAMPLE), on=list(CONDITION), validate="1:1")
    assert both["estimate"].to_numpy() == pytest.approx(both["alpha_pooled"].to_numpy())


def test_paganini_says_why_there_is_no_line():
    one = paganini(worked_example())
    assert one["estimate"].to_list() == [None, None]
    assert "cluster" in one["caveat"][0]
    flat = pl.concat(
        [
            *(cell([8 - s, 8 - s], seed=s) for s in range(3)),
            *(cell([7, 5 - s], seed=s, **PRUNED) for s in range(3)),
        ]
    )
    assert paganini(flat)["caveat"][0] == "all dense recalls are equal, so there is no slope"
