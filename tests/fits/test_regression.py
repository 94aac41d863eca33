"""Linear regression against R (tests/golden/make_regression.R), special cases and refusals."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.regressions.regression import fit_ols
from distortion.frames import to_pandas

GOLDEN = Path(__file__).parents[1] / "golden"
R = json.loads((GOLDEN / "regression.json").read_text(encoding="utf-8"))
FORMULA = "y ~ x * method + arm"
# The same arithmetic in double precision; columns are correlated up to 0.98.
RTOL = 1e-9


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.read_csv(GOLDEN / "regression.csv")


CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"covariance": kind}) for kind in ("nonrobust", "HC0", "HC1", "HC2", "HC3")),
    ("clustered", {"cluster": "network"}),
]


@pytest.mark.golden
@pytest.mark.parametrize(("kind", "options"), CASES, ids=[kind for kind, _ in CASES])
@pytest.mark.parametrize("weights", [None, "weight"])
def test_covariances_agree_with_sandwich(
    table: pl.DataFrame, kind: str, options: dict[str, Any], weights: str | None
) -> None:
    golden = R["wls" if weights else "ols"]
    fit = fit_ols(FORMULA, table, weights=weights, **options)
    order = [fit.names.index(name) for name in OUR_NAMES]
    np.testing.assert_allclose(fit.coefficients[order], golden["coefficients"], rtol=RTOL)
    expected = np.array(golden["covariances"][kind])
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    found = fit.covariance[np.ix_(order, order)]
    np.testing.assert_allclose(found / scale, expected / scale, atol=RTOL)


OUR_NAMES = (
    "Intercept",
    "x",
    "method[T.magnitude]",
    "method[T.random]",
    "arm[T.pruned]",
    "x:method[T.magnitude]",
    "x:method[T.random]",
)


@pytest.mark.golden
@pytest.mark.parametrize("weights", [None, "weight"])
def test_two_way_clustering_agrees_with_sandwich(table: pl.DataFrame, weights: str | None) -> None:
    fit = fit_ols("y ~ x + arm", table, cluster=["network", "time"], weights=weights)
    expected = R["two_way"]["weighted" if weights else "plain"]
    np.testing.assert_allclose(fit.covariance, expected, rtol=1e-7)
    assert set(fit.df) == {8.0}
    assert fit.covariance_type == "clustered by network and time"


def test_a_two_way_covariance_is_made_possible(table: pl.DataFrame) -> None:
    fit = fit_ols(FORMULA, table, cluster=["network", "time"])
    assert np.linalg.eigvalsh(fit.covariance).min() > -1e-12
    assert any("negative eigenvalues" in note for note in fit.notes)


@pytest.mark.golden
@pytest.mark.parametrize("weights", [None, "weight"])
def test_fit_statistics_agree_with_lm(table: pl.DataFrame, weights: str | None) -> None:
    golden = R["wls" if weights else "ols"]
    fit = fit_ols(FORMULA, table, weights=weights, covariance="nonrobust")
    assert fit.loglik == pytest.approx(golden["loglik"], rel=RTOL)
    assert (fit.aic, fit.bic) == pytest.approx((golden["aic"], golden["bic"]), rel=RTOL)
    assert fit.sigma == pytest.approx(golden["sigma"], rel=RTOL)
    assert fit.r_squared["R²"] == pytest.approx(golden["r_squared"], rel=RTOL)
    assert fit.r_squared["adjusted R²"] == pytest.approx(golden["adjusted"], rel=RTOL)
    assert fit.df[0] == golden["df"]


@pytest.mark.golden
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x * method * arm",
        "y ~ x * C(method, Sum) * C(arm, Helmert)",
        'y ~ x * C(method, Treatment("random")) * arm',
    ],
)
def test_type_three_tests_agree_with_car_in_any_coding(table: pl.DataFrame, formula: str) -> None:
    golden = R["type3"]
    tests = fit_ols(formula, table, covariance="nonrobust").anova()
    assert tests["df_num"].to_list() == golden["df"]
    np.testing.assert_allclose(tests["statistic"], golden["statistic"], rtol=1e-7)
    np.testing.assert_allclose(tests["p_value"], golden["p_value"], rtol=1e-7)


@pytest.mark.golden
def test_simultaneous_contrasts_agree_with_multcomp(table: pl.DataFrame) -> None:
    golden = R["tukey"]
    fit = fit_ols("y ~ x + method", table, covariance="nonrobust")
    m, r = "method[T.magnitude]", "method[T.random]"
    rows = fit.contrast([m, r, f"{r} - {m}"], adjust="single-step")
    np.testing.assert_allclose(rows["estimate"], golden["estimate"], rtol=1e-9)
    np.testing.assert_allclose(rows["std_error"], golden["std_error"], rtol=1e-9)
    # multcomp integrates by Monte Carlo to 1e-6, we by quasi-Monte Carlo.
    np.testing.assert_allclose(rows["p_value"], golden["p_value"], rtol=1e-4)
    critical = (rows["conf_high"] - rows["estimate"]) / rows["std_error"]
    np.testing.assert_allclose(critical, golden["critical"], rtol=1e-4)


def test_clusters_of_one_row_are_hc1(table: pl.DataFrame) -> None:
    rows = table.with_row_index("row")
    fine, robust = (
        fit_ols("y ~ x", rows, cluster="row"),
        fit_ols("y ~ x", rows, covariance="HC1"),
    )
    np.testing.assert_allclose(fine.covariance, robust.covariance, rtol=1e-10)


def test_combinations_of_columns_are_clusters(table: pl.DataFrame) -> None:
    joined = table.with_columns(pair=pl.format("{}/{}", "network", "arm"))
    one, other = (
        fit_ols("y ~ x", table, cluster="network:arm"),
        fit_ols("y ~ x", joined, cluster="pair"),
    )
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert one.groups == {"network:arm": joined["pair"].n_unique()}


def test_order_of_rows_and_scale_of_covariates_change_nothing(table: pl.DataFrame) -> None:
    fit = fit_ols("y ~ x + e", table, cluster="network")
    shuffled = table.sample(fraction=1, shuffle=True, seed=3).with_columns(x=1e6 * pl.col("x"))
    again = fit_ols("y ~ x + e", shuffled, cluster="network")
    np.testing.assert_allclose(again.estimates["statistic"], fit.estimates["statistic"], rtol=1e-8)


def test_collinear_columns_are_named_and_left_out(table: pl.DataFrame) -> None:
    twice = table.with_columns(x2=2 * pl.col("x") - 1, zero=pl.lit(0.0))
    fit = fit_ols("y ~ x + x2 + e + zero", twice)
    plain = fit_ols("y ~ x + e", table)
    np.testing.assert_allclose(fit.coefficients, plain.coefficients, rtol=1e-8)
    assert fit.names == ("Intercept", "x", "e")
    assert "x2 was left out, because it is a combination of Intercept, x." in fit.notes
    assert "zero was left out, because it is zero in every row." in fit.notes
    assert fit.n_parameters == plain.n_parameters
    tests = fit.anova()
    assert tests["term"].to_list() == ["x", "x2", "e", "zero"]
    assert tests["df_num"].to_list() == [1.0, 0.0, 1.0, 0.0]
    assert tests["p_value"].is_nan().to_list() == [False, True, False, True]
    np.testing.assert_allclose(fit.predict(twice.head(4)), plain.predict()[:4], rtol=1e-8)


def test_nearly_collinear_columns_stay(table: pl.DataFrame) -> None:
    noise = np.random.default_rng(1).normal(size=len(table)) * 1e-4
    close = table.with_columns(x2=pl.col("x") + noise)
    assert fit_ols("y ~ x + x2", close).names == ("Intercept", "x", "x2")


def test_missing_clusters_leave_rows_out_with_a_note(table: pl.DataFrame) -> None:
    holes = table.with_columns(network=pl.when(pl.col("network") > 2).then("network"))
    fit = fit_ols("y ~ x", holes, cluster="network")
    kept = table.filter(pl.col("network") > 2)
    assert fit.n_obs == len(kept)
    np.testing.assert_allclose(fit.coefficients, fit_ols("y ~ x", kept).coefficients, rtol=1e-9)
    assert any("network" in note for note in fit.notes)


def test_predict_residuals_and_offset_belong_together(table: pl.DataFrame) -> None:
    fit = fit_ols("y ~ x + offset(e)", table, weights="weight")
    np.testing.assert_allclose(fit.predict() + fit.residuals(), table["y"], rtol=1e-12)
    np.testing.assert_allclose(fit.predict(table), fit.predict(), rtol=1e-12)
    pearson = fit.residuals("pearson")
    np.testing.assert_allclose(pearson, fit.residuals() * np.sqrt(table["weight"]), rtol=1e-12)
    with pytest.raises(FitError, match="'response' and 'pearson'"):
        fit.residuals("deviance")


def test_refits_are_fits_of_another_response(table: pl.DataFrame) -> None:
    fit = fit_ols("y ~ x + offset(e)", table, cluster="network", weights="weight")
    y = fit.simulate(5, 3)
    assert y.shape == (len(table), 3)
    np.testing.assert_array_equal(y, fit.simulate(5, 3))
    direct = fit_ols(
        "y ~ x + offset(e)", table.with_columns(y=y[:, 1]), cluster="network", weights="weight"
    )
    again = fit.refit(y[:, 1])
    np.testing.assert_allclose(again.coefficients, direct.coefficients, rtol=1e-9)
    np.testing.assert_allclose(again.covariance, direct.covariance, rtol=1e-9)
    with pytest.raises(FitError, match="needs"):
        fit.refit(y[:5, 0])
    with pytest.raises(FitError, match="finite"):
        fit.refit(np.full(len(table), np.nan))


def test_a_fit_can_be_pickled(table: pl.DataFrame) -> None:
    fit = fit_ols(FORMULA, table, cluster="network")
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.predict(), fit.predict())
    assert again.summary() == fit.summary()


def test_pandas_and_lazy_tables_give_the_same(table: pl.DataFrame) -> None:
    expected = fit_ols(FORMULA, table, cluster="network").estimates
    for other in (table.lazy(), to_pandas(table)):
        found = fit_ols(FORMULA, other, cluster="network").estimates
        np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12)


def test_a_perfect_fit_is_said_to_be_one(table: pl.DataFrame) -> None:
    exact = table.with_columns(y=1 + 2 * pl.col("x"))
    fit = fit_ols("y ~ x", exact, covariance="nonrobust")
    np.testing.assert_allclose(fit.coefficients, [1, 2], rtol=1e-12)
    assert any("perfect" in note for note in fit.notes)


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x + (1 | network)", {}, "fit_ols has no random effects such as .* cluster='network'"),
        ("y/time ~ x", {}, "response of fit_glmm"),
        ("y ~ x", {"cluster": "networc"}, "networc"),
        ("y ~ x", {"cluster": ["network", "time", "arm"]}, "one or two ways, not in 3"),
        ("y ~ x", {"cluster": "network", "covariance": "HC3"}, "not both"),
        ("y ~ x", {"covariance": "HC4"}, "'HC4' is no covariance. Known: nonrobust"),
        ("y ~ x", {"cluster": "one"}, "All 186 rows are in one cluster of one"),
        ("y ~ x", {"bootstrap": "pairs", "cluster": "network"}, "no bootstrap"),
        ("y ~ x + single", {}, "determine a coefficient alone"),
        ("y ~ C(row)", {}, "186 levels for 186 rows"),
    ],
)
def test_refusals_say_why(
    table: pl.DataFrame, formula: str, options: dict[str, Any], message: str
) -> None:
    more = table.with_row_index("row").with_columns(
        one=pl.lit("a"), single=(pl.col("row") == 7).cast(pl.Int64)
    )
    with pytest.raises(FitError, match=message):
        fit_ols(formula, more, **options)


def test_a_row_that_decides_alone_is_no_obstacle_to_hc1(table: pl.DataFrame) -> None:
    more = table.with_row_index("row").with_columns(single=(pl.col("row") == 7).cast(pl.Int64))
    assert fit_ols("y ~ x + single", more, covariance="HC1").n_obs == len(table)


def test_units_do_not_decide_what_can_be_fitted(table: pl.DataFrame) -> None:
    tiny = table.with_columns(x=pl.col("x") * 1e-14, e=1e5 + pl.col("e"))
    for options in ({}, {"cluster": "network"}, {"covariance": "nonrobust"}):
        fit = fit_ols("y ~ x + e", table, **options)  # type: ignore[arg-type]
        again = fit_ols("y ~ x + e", tiny, **options)  # type: ignore[arg-type]
        # Beside 1e5 a column keeps 11 of 16 digits of its variation.
        np.testing.assert_allclose(
            again.estimates["statistic"][1:], fit.estimates["statistic"][1:], rtol=1e-4
        )


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (np.ones(186), "is 1 in all 186 rows"),
        (np.r_[np.nan, np.ones(185)], "value 1 of 186 is nan"),
        (np.arange(5.0), r"needs 186 values, not \(5,\)"),
        (["a"] * 186, "needs a numeric response"),
    ],
)
def test_responses_that_nothing_can_be_refitted_to(
    table: pl.DataFrame, response: Any, message: str
) -> None:
    with pytest.raises(FitError, match=message):
        fit_ols(FORMULA, table).refit(response)


def test_many_columns_left_out_are_one_note(table: pl.DataFrame) -> None:
    more = table.with_columns(
        *(pl.lit(0.0).alias(f"zero{i}") for i in range(7)),
        *((pl.col("x") * (i + 2)).alias(f"twin{i}") for i in range(7)),
    )
    columns = [*(f"zero{i}" for i in range(7)), *(f"twin{i}" for i in range(7))]
    fit = fit_ols(f"y ~ x + {' + '.join(columns)}", more)
    assert fit.names == ("Intercept", "x")
    left_out = [note for note in fit.notes if "left out" in note]
    assert left_out == [
        "7 columns were left out, because they are combinations of those before them: twin0, "
        "twin1, twin2, twin3, twin4 and 2 more.",
        "zero0, zero1, zero2, zero3, zero4 and 2 more were left out, because they are zero in "
        "every row.",
    ]
