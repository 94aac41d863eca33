"""Counts stay aligned: networks with networks, classes with classes; what is unknown is said."""

import numpy as np
import polars as pl
import pytest

from distortion.counts import accuracies, balances, counts
from distortion.errors import DesignError
from tests.logs import cell, planted, worked_example

PREDICTED_DENSE, PREDICTED, KEPT = [11, 9, 10], [10, 8, 12], [8, 5, 5]


def network(seed, control=None):
    """One network of three classes, with what a cell may know and need not."""
    dense, more = [9, 7 + seed % 2, 6 + seed // 2], {"arm": "finetuned", "method": "magnitude"}
    tables = [
        _known(cell(dense, seed=seed), PREDICTED_DENSE, dense),
        _known(cell([8, 6, 5], seed=seed, ratio=2.0, **more), PREDICTED, KEPT),
    ]
    if control is not None:
        tables.append(_known(cell(control, seed=seed, arm="control"), PREDICTED_DENSE, KEPT))
    return pl.concat(tables)


def _known(table, predicted, kept):
    return table.with_columns(predicted=pl.Series(predicted), kept=pl.Series(kept))


def test_rows_of_networks_and_classes_may_come_in_any_order():
    log = pl.concat([network(s, control=(9, 7, 5 + s)) for s in (0, 1, 2)])
    straight = counts(log)
    for found in (counts(log.sample(fraction=1.0, shuffle=True, seed=s)) for s in range(3)):
        assert len(found) == len(straight) == 2
        for one in straight:
            other = next(c for c in found if c.condition == one.condition)
            order = np.argsort(other.seeds)
            assert np.array(other.seeds)[order].tolist() == list(one.seeds) == [0, 1, 2]
            assert other.class_ids == (0, 1, 2)
            fields = ("n", "dense", "correct", "kept", "control", "predicted", "predicted_dense")
            for field in fields:
                assert (getattr(other, field)[order] == getattr(one, field)).all(), field


def test_every_array_stands_beside_the_network_and_class_it_belongs_to():
    log = pl.concat([network(0), network(1, control=(9, 7, 8))])
    pruned, control = counts(log)
    assert pruned.condition["ratio"] == 2
    assert control.condition["arm"] == "control"
    assert pruned.networks == ("default/toy/net/0", "default/toy/net/1")
    assert pruned.dense.tolist() == [[9, 7, 6], [9, 8, 6]]
    assert pruned.correct.tolist() == [[8, 6, 5]] * 2
    assert pruned.kept.tolist() == [KEPT] * 2
    assert pruned.predicted.tolist() == [PREDICTED] * 2
    assert pruned.predicted_dense.tolist() == [PREDICTED_DENSE] * 2
    assert np.isnan(pruned.control[0]).all()
    assert pruned.control[1].tolist() == [9, 7, 8]
    assert control.seeds == (1,)
    assert control.correct.tolist() == [[9, 7, 8]]
    assert pruned.size == (2, 3)
    assert pruned.balanced


def test_a_log_without_the_optional_columns_has_none_of_them():
    found = counts(worked_example())
    assert len(found) == 1
    assert [getattr(found[0], f) for f in ("kept", "control", "predicted", "predicted_dense")] == [
        None
    ] * 4
    assert np.isnan(found[0].ratio_achieved).all()
    assert found[0].class_names == ("0", "1")


@pytest.mark.parametrize("column", ["kept", "predicted"])
def test_what_one_class_of_one_network_lacks_the_condition_does_not_know(column):
    log = pl.concat([network(0), network(1)])
    hole = (pl.col("seed") == 1) & (pl.col("arm") == "finetuned") & (pl.col("class_id") == 2)
    holed = log.with_columns(pl.when(~hole).then(pl.col(column)).alias(column))
    assert getattr(counts(log)[0], column) is not None
    assert getattr(counts(holed)[0], column) is None
    assert counts(holed)[0].predicted_dense is not None


def test_kept_is_there_for_the_networks_that_know_it():
    log = pl.concat([network(0), network(1)])
    treated = pl.col("arm") == "finetuned"
    one = log.with_columns(pl.when(~(treated & (pl.col("seed") == 1))).then("kept").alias("kept"))
    found = counts(one)[0]
    assert found.kept is None
    assert found.kept_by_network[0].tolist() == KEPT
    assert np.isnan(found.kept_by_network[1]).all()
    whole, none = counts(log)[0], counts(log.drop("kept"))[0]
    assert whole.partly_kept is none.partly_kept is None
    assert whole.kept_by_network.tolist() == [KEPT] * 2
    assert np.isnan(none.kept_by_network).all()
    assert none.kept_by_network.shape == (2, 3)


def test_predictions_of_the_dense_parent_are_known_or_not_by_themselves():
    log = pl.concat([network(0), network(1)])
    hole = (pl.col("seed") == 1) & (pl.col("arm") == "dense")
    holed = log.with_columns(pl.when(~hole).then(pl.col("predicted")).alias("predicted"))
    assert counts(holed)[0].predicted_dense is None
    assert counts(holed)[0].predicted is not None


def test_networks_tested_on_other_classes_are_apart():
    two = [
        cell([9, 7], seed=2),
        cell([8, 6], seed=2, arm="finetuned", method="magnitude", ratio=2.0),
    ]
    log = pl.concat([network(0), network(1), *two], how="diagonal")
    found = counts(log)
    assert [(c.seeds, c.class_ids) for c in found] == [((0, 1), (0, 1, 2)), ((2,), (0, 1))]
    assert found[0].condition == found[1].condition


def test_supports_may_differ_and_are_then_not_balanced():
    sizes = [10, 20]
    log = pl.concat(
        [
            cell([9, 7], sizes),
            cell([7, 5], sizes, method="magnitude", ratio=2.0, arm="finetuned"),
        ]
    )
    found = counts(log)[0]
    assert not found.balanced
    assert found.n.tolist() == [sizes]


def test_achieved_ratio_and_class_names_are_carried():
    log = worked_example().with_columns(
        n_params=100,
        n_remaining=pl.when(pl.col("arm") == "dense").then(100).otherwise(40),
        class_name=pl.col("class_id").replace_strict({0: "cat", 1: "dog"}),
    )
    found = counts(log)[0]
    assert found.ratio_achieved.tolist() == [2.5]
    assert found.class_names == ("cat", "dog")


def test_an_arm_or_split_that_the_log_lacks_is_refused():
    with pytest.raises(DesignError, match="arm 'pruned'"):
        counts(worked_example(), arm="pruned")
    with pytest.raises(DesignError, match="split 'validation'"):
        counts(worked_example(), split="validation")


def test_every_condition_of_the_arm_comes_first_and_then_the_control():
    log = planted(np.random.default_rng(0), {2.0: 1.0, 4.0: 1.2}, networks=3, control=1.0)
    assert [c.condition["ratio"] for c in counts(log)] == [2.0, 4.0, 1.0]


def test_balances_of_the_worked_example_and_of_accuracy_zero():
    n = np.array([[10, 10]])
    found = balances(np.array([[9, 7]]), n)
    assert found == pytest.approx(np.array([[1 / 8, -1 / 8]]), rel=1e-15)  # two roundings
    assert np.isnan(balances(np.array([[0, 0]]), n)).all()
    assert accuracies(np.array([[9, 0]]), np.array([[10, 30]])) == 9 / 40
    # Recalls equal to accuracy: quotients of equal fractions round alike, so exactly zero.
    assert (balances(np.array([[80, 160]]), np.array([[87, 174]])) == 0).all()
