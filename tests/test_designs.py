"""Measures, pairs, slopes and conditions against the paper's example, closed forms, invariants."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import distortion as ds
from distortion.errors import DesignError
from tests.logs import cell, planted, worked_example


@st.composite
def two_cells(draw: st.DrawFn) -> pl.DataFrame:
    """A dense and a pruned cell with any counts that have some hits."""
    classes = draw(st.integers(2, 12))
    n = draw(st.lists(st.integers(1, 10_000), min_size=classes, max_size=classes))
    hits = [[draw(st.integers(0, size)) for size in n] for _ in range(2)]
    hits = [[max(1, counts[0]), *counts[1:]] for counts in hits]
    pruned = cell(hits[1], n, method="magnitude", ratio=4.0, arm="pruned")
    return pl.concat([cell(hits[0], n), pruned])


def test_the_papers_worked_example() -> None:
    m = ds.measures(worked_example())
    np.testing.assert_allclose(m["balance"], [0.1, -0.1, 0.1, -0.1], rtol=1e-12)
    np.testing.assert_allclose(m["normalized_balance"], [1 / 8, -1 / 8, 1 / 6, -1 / 6], rtol=1e-12)
    np.testing.assert_allclose(m["intensification"], [1, 1, 4 / 3, 4 / 3], rtol=1e-12)
    (row,) = ds.slopes(worked_example()).iter_rows(named=True)
    assert row["alpha"] == pytest.approx(4 / 3)
    assert row["rho"] == pytest.approx(1)
    assert row["kappa"] == pytest.approx(4 / 3)
    assert (row["worst_recall_dense"], row["worst_recall"]) == (0.7, 0.5)
    assert row["variance"] == pytest.approx(0.01)
    assert row["balanced"]


@settings(max_examples=40)
@given(two_cells())
def test_balance_sums_to_zero_over_images(table: pl.DataFrame) -> None:
    m = ds.measures(table).group_by("arm").agg(total=(pl.col("n") * pl.col("balance")).sum())
    assert m["total"].abs().max() < 1e-8


@settings(max_examples=40)
@given(two_cells())
def test_the_slope_is_the_product_of_association_and_spread(table: pl.DataFrame) -> None:
    (row,) = ds.slopes(table).iter_rows(named=True)
    if row["alpha"] is None or row["rho"] is None:
        x = ds.measures(table).filter(pl.col("arm") == "dense")["balance"]
        y = ds.measures(table).filter(pl.col("arm") == "pruned")["balance"]
        assert (x == 0).all() or (y == 0).all()
    else:
        assert row["alpha"] == pytest.approx(row["rho"] * row["kappa"], rel=1e-9, abs=1e-12)
        assert abs(row["rho"]) <= 1 + 1e-9


@settings(max_examples=40)
@given(two_cells())
def test_the_slope_is_the_weighted_mean_of_intensification_ratios(table: pl.DataFrame) -> None:
    """Good et al. (2022), section 5: weights B̄²."""
    m = ds.measures(table).filter(
        pl.col("arm") == "pruned", pl.col("intensification").is_not_null()
    )
    weight = m["normalized_balance_dense"] ** 2
    (row,) = ds.slopes(table).iter_rows(named=True)
    if m.height:
        mean = (weight * m["intensification"]).sum() / weight.sum()
        assert mean == pytest.approx(row["alpha"], rel=1e-9, abs=1e-12)


@settings(max_examples=40)
@given(two_cells(), st.randoms(use_true_random=False))
def test_relabelling_classes_changes_nothing(table: pl.DataFrame, random: object) -> None:
    ids = table["class_id"].unique().to_list()
    new = list(ids)
    random.shuffle(new)  # type: ignore[attr-defined]
    renamed = table.with_columns(pl.col("class_id").replace(dict(zip(ids, new, strict=True))))
    one, other = ds.slopes(table), ds.slopes(renamed)
    for column in ("alpha", "rho", "kappa", "variance"):
        both = [np.nan if v is None else v for v in (one[column][0], other[column][0])]
        assert both[0] == pytest.approx(both[1], rel=1e-9, abs=1e-12, nan_ok=True)


def test_an_unchanged_network_has_slope_one() -> None:
    same = pl.concat([cell([9, 7, 3]), cell([9, 7, 3], arm="control")])
    (row,) = ds.slopes(same).iter_rows(named=True)
    assert (row["alpha"], row["rho"], row["kappa"]) == pytest.approx((1, 1, 1))


def test_equal_recalls_leave_the_slope_undefined() -> None:
    flat = pl.concat([cell([8, 8]), cell([7, 5], method="m", ratio=2.0, arm="pruned")])
    assert ds.slopes(flat).select("alpha", "rho", "kappa").row(0) == (None, None, None)
    assert ds.measures(flat)["intensification"].to_list()[2:] == [None, None]
    (row,) = ds.conditions(flat).iter_rows(named=True)
    assert row["undefined"] == 1
    assert row["alpha"] is None


def test_kept_and_predicted_give_flips_precision_and_f1() -> None:
    table = worked_example().with_columns(
        kept=pl.Series([9, 7, 6, 4]), predicted=pl.Series([12, 8, 12, 8])
    )
    m = ds.measures(table)
    assert m["forgotten"].to_list() == [0, 0, 3, 3]
    assert m["gained"].to_list() == [0, 0, 1, 1]
    np.testing.assert_allclose(m["precision"], [9 / 12, 7 / 8, 7 / 12, 5 / 8])
    np.testing.assert_allclose(m["f1"], [18 / 22, 14 / 18, 14 / 22, 10 / 18])


def test_pairs_carry_the_covariates() -> None:
    table = worked_example().with_columns(n_params=pl.lit(1000), n_remaining=pl.lit(500))
    pairs = ds.pairs(table)
    np.testing.assert_allclose(pairs["balance_dense"], [1 / 8, -1 / 8])
    np.testing.assert_allclose(pairs["balance"], [1 / 6, -1 / 6])
    assert pairs["network"][0] == "default/toy/net/0"
    assert (pairs["log2_ratio"][0], pairs["complexity"][0]) == pytest.approx((1, 3))
    assert pairs["difficulty"].to_list() == pytest.approx([0.2, 0.2])
    logit = ds.pairs(table, difficulty_scale="logit", complexity={"net": 7})
    assert logit["difficulty"][0] == pytest.approx(np.log(0.2 / 0.8))
    assert logit["complexity"][0] == 7
    with pytest.raises(DesignError, match="No rows with arm 'pruned'"):
        ds.pairs(table, arm="pruned")
    with pytest.raises(DesignError, match="difficulty has no value for 'toy'"):
        ds.pairs(table, difficulty={"cifar": 0.1})


def test_conditions_pool_as_figure_5_of_the_paper() -> None:
    table = planted(np.random.default_rng(3), {4.0: 1.4}, networks=6, noise=0.01)
    pairs = ds.pairs(table)
    x, y = pairs["balance_dense"].to_numpy(), pairs["balance"].to_numpy()
    (row,) = ds.conditions(table).iter_rows(named=True)
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert row["alpha_pooled"] == pytest.approx(slope)
    assert row["r2"] == pytest.approx(1 - ((y - slope * x) ** 2).sum() / (y**2).sum())
    # Dispersion ratio: κ² = α² / r².
    assert row["kappa_pooled"] == pytest.approx(abs(slope) / np.sqrt(row["r2"]))
    slopes = ds.slopes(table)
    assert row["alpha"] == pytest.approx(slopes["alpha"].mean())
    assert row["kappa"] == pytest.approx(np.exp(np.log(slopes["kappa"]).mean()))
    assert row["networks"] == 6


def test_tables_accept_pandas() -> None:
    import pandas as pd

    frame = pd.DataFrame(worked_example().to_dict(as_series=False))
    assert ds.slopes(frame).equals(ds.slopes(worked_example()))
