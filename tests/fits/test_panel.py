"""Panels against R's plm and lm with dummies, closed forms, refusals."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.regressions.panel import fit_panel
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.regressions.within import demeaned, n_effects

GOLDEN = Path(__file__).parents[1] / "golden"
R = json.loads((GOLDEN / "regression.json").read_text(encoding="utf-8"))
# The same arithmetic in double precision.
RTOL = 1e-9


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.read_csv(GOLDEN / "regression.csv")


@pytest.mark.golden
@pytest.mark.parametrize("effects", ["entity", "both"])
def test_within_estimates_agree_with_plm(table: pl.DataFrame, effects: Any) -> None:
    golden = R["within" if effects == "entity" else "both"]
    fit = fit_panel(
        "y ~ x + e", table, entity="entity", time="time", effects=effects, covariance="nonrobust"
    )
    np.testing.assert_allclose(fit.coefficients, golden["coefficients"], rtol=RTOL)
    np.testing.assert_allclose(fit.covariance, golden["covariance"], rtol=RTOL)
    assert set(fit.df) == {golden["df"]}
    if effects == "entity":
        assert fit.loglik == pytest.approx(golden["loglik"], rel=RTOL)
        assert fit.r_squared["R² within"] == pytest.approx(golden["r_squared"], rel=RTOL)


@pytest.mark.golden
def test_errors_clustered_by_entity_agree_with_plm(table: pl.DataFrame) -> None:
    fit = fit_panel("y ~ x + e", table, entity="entity")
    np.testing.assert_allclose(fit.covariance, R["within"]["clustered"], rtol=RTOL)
    assert set(fit.df) == {23.0}
    assert fit.covariance_type == "clustered by entity"


@pytest.mark.golden
def test_random_effects_are_near_plm(table: pl.DataFrame) -> None:
    """For unequal entities the two programs weight the between variance differently."""
    fit = fit_panel("y ~ x + e", table, entity="entity", effects="random", covariance="nonrobust")
    np.testing.assert_allclose(fit.coefficients, R["random"]["coefficients"], rtol=1e-3)
    np.testing.assert_allclose(
        np.diagonal(fit.covariance), np.diagonal(R["random"]["covariance"]), rtol=1e-2
    )


@pytest.mark.parametrize("weights", [None, "weight"])
@pytest.mark.parametrize("effects", ["entity", "time", "both"])
def test_effects_are_dummies(table: pl.DataFrame, effects: Any, weights: str | None) -> None:
    dummies = {"entity": "C(entity)", "time": "C(time)", "both": "C(entity) + C(time)"}[effects]
    options: dict[str, Any] = {"weights": weights, "covariance": "nonrobust"}
    fit = fit_panel("y ~ x + e", table, entity="entity", time="time", effects=effects, **options)
    plain = fit_ols(f"y ~ x + e + {dummies}", table, **options)
    place = [plain.names.index(name) for name in fit.names]
    np.testing.assert_allclose(fit.coefficients, plain.coefficients[place], rtol=1e-8)
    np.testing.assert_allclose(fit.covariance, plain.covariance[np.ix_(place, place)], rtol=1e-8)
    assert fit.df[0] == plain.df[0]
    assert fit.loglik == pytest.approx(plain.loglik, rel=1e-9)
    assert fit.n_parameters == plain.n_parameters
    np.testing.assert_allclose(fit.residuals(), plain.residuals(), atol=1e-8)
    np.testing.assert_allclose(fit.predict(), plain.predict(), atol=1e-8)


def test_balanced_random_effects_have_swamy_and_aroras_closed_form() -> None:
    rng = np.random.default_rng(3)
    n, times = 40, 5
    entity, time = np.repeat(np.arange(n), times), np.tile(np.arange(times), n)
    x = rng.normal(size=n * times) + rng.normal(size=n)[entity]
    y = 1 + 0.5 * x + rng.normal(size=n)[entity] + rng.normal(size=n * times)
    table = pl.DataFrame({"entity": entity, "time": time, "x": x, "y": y})
    fit = fit_panel("y ~ x", table, entity="entity", effects="random", covariance="nonrobust")

    def means(v: np.ndarray) -> np.ndarray:
        return v.reshape(n, times).mean(axis=1)

    wx, wy = x - means(x)[entity], y - means(y)[entity]
    slope = wx @ wy / (wx @ wx)
    within = np.sum((wy - slope * wx) ** 2) / (n * times - n - 1)
    B = np.column_stack([np.ones(n), means(x)])
    rest = means(y) - B @ np.linalg.lstsq(B, means(y), rcond=None)[0]
    between = np.sum(rest**2) / (n - 2)
    theta = 1 - np.sqrt(within / (times * between))
    X = np.column_stack([np.full(n * times, 1 - theta), x - theta * means(x)[entity]])
    beta = np.linalg.lstsq(X, y - theta * means(y)[entity], rcond=None)[0]
    np.testing.assert_allclose(fit.coefficients, beta, rtol=1e-8)
    assert fit.variances is not None
    assert fit.variances["variance"].to_list() == pytest.approx(
        [between - within / times, within], rel=1e-8
    )
    assert np.isnan(fit.loglik)


def test_absorbed_columns_are_named_before_fitting() -> None:
    """Fact 5: with (network, class) entities the dense balance does not vary."""
    rng = np.random.default_rng(1)
    rows = pl.DataFrame({"network": range(8)}).join(
        pl.DataFrame({"class_id": range(5)}), how="cross"
    )
    rows = rows.with_columns(balance_dense=rng.normal(size=40))
    pairs = rows.join(pl.DataFrame({"log2_ratio": [1.0, 2.0, 4.0]}), how="cross")
    pairs = pairs.with_columns(balance=pl.col("balance_dense") + rng.normal(size=120))
    options: dict[str, Any] = {"entity": ["network", "class_id"], "time": "log2_ratio"}
    with pytest.raises(FitError) as refusal:
        fit_panel("balance ~ balance_dense * log2_ratio", pairs, **options)
    assert str(refusal.value).startswith(
        "balance_dense does not vary within network:class_id, so that the effects absorb it: only "
        "interactions with what varies are identified. Its interactions (balance_dense:log2_ratio) "
        "are identified: keep those alone."
    )
    fit = fit_panel(
        "balance ~ log2_ratio + balance_dense:log2_ratio", pairs, cluster="network", **options
    )
    assert fit.names == ("log2_ratio", "balance_dense:log2_ratio")
    assert fit.groups == {"network:class_id": 40, "log2_ratio": 3, "network": 8}
    with pytest.raises(FitError, match="log2_ratio does not vary within network:class_id and log2"):
        fit_panel(
            "balance ~ log2_ratio + balance_dense:log2_ratio", pairs, effects="both", **options
        )


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x", {"time": "method", "effects": "both"}, "'method' holds String"),
        ("y ~ x", {"time": "network", "effects": "both"}, "share entity and time, the first with"),
        ("y ~ x", {"effects": "time"}, 'effects="time" needs the column of times'),
        ("y ~ x", {"effects": "twoway"}, "no effects. Known: entity, time, both, random"),
        ("y ~ 1", {}, "Nothing but an intercept"),
        ("y ~ x + (1 | entity)", {}, "fit_panel has no random effects"),
        ("y ~ x", {"cluster": "one"}, "in one cluster of one"),
        ("y ~ x", {"cluster": "network", "covariance": "HC1"}, "not both"),
        ("y ~ x", {"covariance": "HC3"}, "no covariance of a panel"),
        ("y ~ x", {"entity": "row"}, "186 rows and 186 effects of row"),
        ("y ~ x", {"entity": "nettwork"}, "nettwork"),
    ],
)
def test_refusals_say_why(
    table: pl.DataFrame, formula: str, options: dict[str, Any], message: str
) -> None:
    more = table.with_row_index("row").with_columns(one=pl.lit("a"))
    with pytest.raises(FitError, match=message):
        fit_panel(formula, more, **({"entity": "entity"} | options))


def test_collinear_columns_are_left_out_with_a_note(table: pl.DataFrame) -> None:
    more = table.with_columns(x2=pl.col("x") + pl.col("network"))
    fit = fit_panel("y ~ x + x2", more, entity="entity")
    assert fit.names == ("x",)
    assert "x2 was left out, because it is a combination of x." in fit.notes


@pytest.mark.parametrize("level", [1e5, 1e8, 1e12])
@pytest.mark.parametrize("effects", ["entity", "both"])
def test_the_level_of_a_column_costs_no_more_digits_than_it_holds(
    table: pl.DataFrame, effects: Any, level: float
) -> None:
    options: dict[str, Any] = {"entity": "entity", "time": "time", "effects": effects}
    fit = fit_panel("y ~ x + e", table, **options)
    moved = table.with_columns(x=pl.col("x") + level, y=pl.col("y") - level)
    again = fit_panel("y ~ x + e", moved, **options)
    # The moved columns themselves are rounded to 1e-16 of the level.
    np.testing.assert_allclose(
        again.coefficients, fit.coefficients, rtol=1e-9 + 1e-15 * level, atol=0
    )
    np.testing.assert_allclose(again.covariance, fit.covariance, rtol=1e-9 + 1e-15 * level)


def test_units_change_nothing_but_the_units(table: pl.DataFrame) -> None:
    fit = fit_panel("y ~ x + e", table, entity="entity")
    moved = table.with_columns(x=pl.col("x") * 1e100, y=pl.col("y") * 1e-40)
    again = fit_panel("y ~ x + e", moved, entity="entity")
    scale = np.array([1e-140, 1e-40])
    np.testing.assert_allclose(again.coefficients, fit.coefficients * scale, rtol=1e-12)
    assert again.r_squared["R² within"] == pytest.approx(fit.r_squared["R² within"], rel=1e-12)
    tiny = table.with_columns(x=pl.col("x") * 1e-170)
    with pytest.raises(FitError, match="Measure it in other units"):
        fit_panel("y ~ x + e", tiny, entity="entity")


def test_constants_are_left_out_with_a_note_or_refused(table: pl.DataFrame) -> None:
    more = table.with_columns(c=pl.lit(2.0))
    fit = fit_panel("y ~ x + c", more, entity="entity")
    assert fit.names == ("x",)
    assert "c: left out, because a constant is absorbed by the effects." in fit.notes
    with pytest.raises(FitError, match="Every column is absorbed: c is the same in all rows"):
        fit_panel("y ~ c", more, entity="entity")


def test_clusters_of_combined_entities_come_with_advice(table: pl.DataFrame) -> None:
    options: dict[str, Any] = {"entity": ["network", "entity"], "time": "time"}
    advised = fit_panel("y ~ x", table, **options)
    assert any("give cluster='network'" in note for note in advised.notes)
    chosen = fit_panel("y ~ x", table, cluster="network", **options)
    assert not any("give cluster=" in note for note in chosen.notes)


def test_order_of_rows_and_names_of_entities_change_nothing(table: pl.DataFrame) -> None:
    options: dict[str, Any] = {"time": "time", "effects": "both", "cluster": "network"}
    fit = fit_panel("y ~ x + e", table, entity="entity", **options)
    other = table.sample(fraction=1, shuffle=True, seed=2).with_columns(
        entity=pl.format("net-{}", 99 - pl.col("entity")), time=pl.col("time") ** 2
    )
    again = fit_panel("y ~ x + e", other, entity="entity", **options)
    np.testing.assert_allclose(again.covariance, fit.covariance, rtol=1e-8)


def test_refit_pickle_and_what_a_panel_cannot_do(table: pl.DataFrame) -> None:
    fit = fit_panel("y ~ x + e", table, entity="entity")
    y = table["y"].to_numpy() + 1.5 * table["x"].to_numpy()
    again = fit.refit(y)
    np.testing.assert_allclose(again.coefficients, fit.coefficients + np.array([1.5, 0]), rtol=1e-9)
    assert pickle.loads(pickle.dumps(fit)).estimates.equals(fit.estimates)
    with pytest.raises(FitError, match="fit_lmm predicts new rows"):
        fit.predict(table)
    with pytest.raises(FitError, match="cannot simulate"):
        fit.simulate(1)


def test_two_way_demeaning_leaves_no_means() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 7, 90), rng.integers(0, 5, 90)
    weights = rng.uniform(0.5, 2, 90)
    left = demeaned(rng.normal(size=(90, 2)), [a, b], weights)
    for codes in (a, b):
        sums = [np.bincount(codes, weights * column) for column in left.T]
        np.testing.assert_allclose(sums, 0, atol=1e-9)


def test_effects_of_two_groupings_are_counted_by_component() -> None:
    a, b = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 3])
    assert n_effects([a]) == 3
    assert n_effects([a, b]) == 3 + 4 - 2
