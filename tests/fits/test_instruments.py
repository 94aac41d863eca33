"""Instrumental variables against R's ivreg, closed forms, refusals."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.regressions.instruments import fit_iv
from distortion.fits.regressions.ivformula import parse_iv
from distortion.fits.regressions.regression import fit_ols

GOLDEN = Path(__file__).parents[1] / "golden"
R = json.loads((GOLDEN / "regression.json").read_text(encoding="utf-8"))
FORMULA = "y ~ x + [e ~ z1 + z2]"
# The same arithmetic in double precision.
RTOL = 1e-9


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.read_csv(GOLDEN / "regression.csv")


@pytest.mark.golden
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("covariance", {"covariance": "nonrobust"}),
        ("HC1", {}),
        ("clustered", {"cluster": "network"}),
    ],
)
def test_two_stage_least_squares_agrees_with_ivreg(
    table: pl.DataFrame, kind: str, options: dict[str, Any]
) -> None:
    fit = fit_iv(FORMULA, table, **options)
    np.testing.assert_allclose(fit.coefficients, R["iv"]["coefficients"], rtol=RTOL)
    np.testing.assert_allclose(fit.covariance, R["iv"][kind], rtol=RTOL)
    assert fit.sigma == pytest.approx(R["iv"]["sigma"], rel=RTOL)
    assert fit.df[0] == (11 if kind == "clustered" else R["iv"]["df"])


@pytest.mark.golden
def test_diagnostics_agree_with_ivreg(table: pl.DataFrame) -> None:
    tests = fit_iv(FORMULA, table, covariance="nonrobust").diagnostics
    assert tests is not None
    for row, name in zip(tests.iter_rows(named=True), ("weak", "hausman", "sargan"), strict=True):
        df_num, df_den, statistic, p = R["iv"][name]
        assert row["df_num"] == df_num
        assert row["df_den"] == (df_den or np.inf)
        assert (row["statistic"], row["p_value"]) == pytest.approx((statistic, p), rel=1e-8)
    clustered = fit_iv(FORMULA, table, cluster="network").diagnostics
    assert clustered is not None
    assert clustered["statistic"][0] == pytest.approx(R["iv"]["weak_clustered"], rel=1e-8)
    assert clustered["test"].to_list() == [
        "first stage: e",
        "exogeneity (Wu–Hausman)",
        "overidentification (Hansen J)",
    ]


@pytest.mark.golden
def test_exactly_identified_fits_agree_and_have_no_overidentification(table: pl.DataFrame) -> None:
    for method in ("2sls", "liml"):
        fit = fit_iv("y ~ x + [e ~ z1]", table, method=method, covariance="nonrobust")  # type: ignore[arg-type]
        np.testing.assert_allclose(fit.coefficients, R["just"]["coefficients"], rtol=1e-7)
        assert fit.diagnostics is not None
        assert len(fit.diagnostics) == 2


def test_one_instrument_is_a_ratio_of_covariances(table: pl.DataFrame) -> None:
    fit = fit_iv("y ~ [e ~ z1]", table)
    y, e, z = (table[name].to_numpy() for name in ("y", "e", "z1"))
    assert fit.coefficients[1] == pytest.approx(np.cov(z, y)[0, 1] / np.cov(z, e)[0, 1])


def test_a_column_that_instruments_itself_is_ols(table: pl.DataFrame) -> None:
    copied = table.with_columns(z=pl.col("e") * 1.0)
    iv = fit_iv("y ~ x + [e ~ z]", copied, cluster="network")
    ols = fit_ols("y ~ x + e", table, cluster="network")
    np.testing.assert_allclose(iv.coefficients, ols.coefficients, rtol=1e-9)
    np.testing.assert_allclose(iv.covariance, ols.covariance, rtol=1e-9)


def test_weights_are_inverse_variances(table: pl.DataFrame) -> None:
    repeated = pl.concat([table, table.filter(pl.col("entity") < 5)])
    weighted = table.with_columns(w=1.0 + (pl.col("entity") < 5))
    np.testing.assert_allclose(
        fit_iv(FORMULA, weighted, weights="w").coefficients,
        fit_iv(FORMULA, repeated).coefficients,
        rtol=1e-9,
    )


def test_weak_instruments_are_said_to_be_weak(table: pl.DataFrame) -> None:
    noise = np.random.default_rng(4).normal(size=len(table))
    fit = fit_iv("y ~ x + [e ~ junk]", table.with_columns(junk=noise))
    assert any("Weak instruments: the first-stage F of e" in note for note in fit.notes)
    assert not any("Weak" in note for note in fit_iv(FORMULA, table).notes)


def test_planted_effect_is_recovered_where_ols_is_not() -> None:
    rng = np.random.default_rng(8)
    n = 20_000
    z, hidden = rng.normal(size=(2, n))
    e = 0.5 * z + hidden + rng.normal(size=n)
    table = pl.DataFrame({"z": z, "e": e, "y": 2 * e + hidden + rng.normal(size=n)})
    row = fit_iv("y ~ [e ~ z]", table).estimates.row(1, named=True)
    assert row["conf_low"] < 2 < row["conf_high"]
    assert fit_ols("y ~ e", table).coefficients[1] > 2.3


def test_predictions_use_the_endogenous_columns(table: pl.DataFrame) -> None:
    fit = fit_iv("y ~ x * method + [e ~ z1 + z2] + offset(time)", table, weights="weight")
    np.testing.assert_allclose(fit.predict() + fit.residuals(), table["y"], rtol=1e-10)
    np.testing.assert_allclose(fit.predict(table), fit.predict(), rtol=1e-10)
    again = fit.refit(table["y"].to_numpy() + 3 * table["x"].to_numpy())
    assert again.coefficients[1] == pytest.approx(fit.coefficients[1] + 3)
    assert pickle.loads(pickle.dumps(fit)).summary() == fit.summary()
    with pytest.raises(FitError, match="cannot simulate"):
        fit.simulate(1)


def test_anova_and_contrasts_are_of_the_equation_alone(table: pl.DataFrame) -> None:
    fit = fit_iv("y ~ x * method + [e ~ z1 + z2]", table)
    assert fit.anova()["term"].to_list() == ["x", "method", "e", "x:method"]
    assert fit.contrast("e = 1")["df"][0] == fit.df[0]


def test_collinear_instruments_are_left_out(table: pl.DataFrame) -> None:
    more = table.with_columns(z3=pl.col("z1") - pl.col("x"))
    fit = fit_iv("y ~ x + [e ~ z1 + z2 + z3]", more)
    np.testing.assert_allclose(fit.coefficients, fit_iv(FORMULA, table).coefficients, rtol=1e-8)
    assert "z3 was left out, because it is a combination of x, z1." in fit.notes


def test_the_level_of_columns_costs_no_digits(table: pl.DataFrame) -> None:
    fit = fit_iv(FORMULA, table, cluster="network")
    moved = table.with_columns(pl.col("x", "e", "z1", "z2") + 1e6)
    again = fit_iv(FORMULA, moved, cluster="network")
    assert again.notes == fit.notes
    # The moved columns themselves are rounded to 1e-10.
    slopes = [fit.names.index(name) for name in ("x", "e")]
    np.testing.assert_allclose(again.coefficients[slopes], fit.coefficients[slopes], rtol=1e-8)
    block = np.ix_(slopes, slopes)
    np.testing.assert_allclose(again.covariance[block], fit.covariance[block], rtol=1e-8)


def test_networks_that_are_no_clusters_are_mentioned(table: pl.DataFrame) -> None:
    advice = "has a column network, by which errors are not clustered"
    assert any(advice in note for note in fit_iv(FORMULA, table).notes)
    assert not any(advice in note for note in fit_iv(FORMULA, table, cluster="network").notes)
    assert not any(advice in note for note in fit_iv(FORMULA, table.drop("network")).notes)


@pytest.mark.parametrize(
    ("text", "endogenous", "instruments", "fixed"),
    [
        ("y ~ x + [e ~ z]", ("e",), ("z",), "x + e + z"),
        ("y ~ [e + d ~ z * w]", ("e", "d"), ("z", "w", "z:w"), "e + d + z * w"),
        ("y ~ 0 + [e ~ z] + offset(o) + x", ("e",), ("z",), "0 + e + z + x"),
        ('y ~ [C(k, levels=["a", "b"]) ~ z]', ("C(k, levels=['a', 'b'])",), ("z",), None),
    ],
)
def test_formulas_are_read(
    text: str, endogenous: tuple[str, ...], instruments: tuple[str, ...], fixed: str | None
) -> None:
    parsed = parse_iv(text)
    assert (parsed.endogenous, parsed.instruments) == (endogenous, instruments)
    assert fixed is None or parsed.joint.fixed == fixed


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x", {}, "names no instruments"),
        ("y ~ [e ~ z1] + [x ~ z2]", {}, "in one bracket"),
        ("y ~ x + [e ~ ]", {}, "both sides"),
        ("y ~ x + [e z1]", {}, "holds one '~'"),
        ("y ~ x * [e ~ z1]", {}, "The bracket is added"),
        ("y ~ x + [e ~ z1] * x", {}, "The bracket is added"),
        ("y ~ x + [e ~ z1 + x]", {}, "x stands in two parts"),
        ("y ~ x + [e ~ e]", {}, "e stands in two parts"),
        ("y ~ x + [e + time ~ z1]", {}, "2 endogenous column.* there are 1 \\(z1\\)"),
        ("y ~ x + [e + e2 ~ z1 + z2]", {}, "endogenous e2 is a combination of Intercept, e"),
        ("y ~ x + [e ~ x3]", {}, "need as many"),
        ("y ~ x + [e ~ none]", {}, "say nothing about e"),
        ("y ~ [e ~ z1] + (1 | network)", {}, "fit_iv has no random effects"),
        ("y ~ [e ~ z9]", {}, "z9"),
        (FORMULA, {"method": "gmm"}, "no method. Known: 2sls, liml"),
        (FORMULA, {"covariance": "HC3"}, "no covariance here"),
        (FORMULA, {"covariance": "HC1", "cluster": "network"}, "not both"),
    ],
)
def test_refusals_say_why(
    table: pl.DataFrame, formula: str, options: dict[str, Any], message: str
) -> None:
    x, e = table["x"].to_numpy(), table["e"].to_numpy()
    design = np.column_stack([np.ones(len(x)), x, e])
    noise = np.random.default_rng(1).normal(size=len(x))
    unrelated = noise - design @ np.linalg.lstsq(design, noise, rcond=None)[0]
    more = table.with_columns(e2=2 * pl.col("e") + 1, x3=3 * pl.col("x"), none=unrelated)
    with pytest.raises(FitError, match=message):
        fit_iv(formula, more, **options)
