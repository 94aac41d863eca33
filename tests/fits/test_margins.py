"""Marginal means, slopes and their comparisons against emmeans and against plain averages."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from distortion.errors import FitError
from distortion.fits.glmm import fit_glmm
from distortion.fits.lmm import fit_lmm
from distortion.fits.marginal.tukey import range_quantile, range_tail
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.results.distributions import ESTIMATES
from tests.golden.models import RTOL, formula, golden, names

STORED = [
    (name, case, df, key)
    for name in names()
    for case, stored in golden(name).cases.items()
    for key, marginal in stored.get("marginal", {}).items()
    for df in ("satterthwaite", "kenward_roger", "asymptotic")
    if df in marginal
]
GLMM = {"pruning_counts", "cbpp", "grouseticks", "verbagg", "growth_counts"}


def fitted(name, case, df):
    stored = golden(name)
    expected = stored.cases[case]
    if name in GLMM:
        return fit_glmm(
            formula(expected),
            stored.table,
            family=expected["family"],
            link=expected["link"],
            levels=stored.levels,
        )
    return fit_lmm(
        formula(expected),
        stored.table,
        levels=stored.levels,
        method=expected["method"],
        df=df.replace("_", "-"),
    )


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case", "df", "key"), STORED)
def test_agreement_with_emmeans(name, case, df, key):
    fit = fitted(name, case, df)
    asked = golden(name).cases[case]["marginal"][key]
    factor, variable = asked["specs"].removeprefix("~").strip(), asked.get("var")

    def ours(**options):
        if variable:
            return fit.slopes(variable, by=factor, **options)
        return fit.means(factor, **options)

    expected, found = asked[df], ours()
    glmm = name in GLMM
    rtol = RTOL["glmm_se"] * 3 if glmm else RTOL["se"]
    means = expected["means"]
    value = means.get("emmean", means.get(f"{variable}.trend"))
    size = np.max(means["SE"])
    bounds = ("asymp.LCL", "asymp.UCL") if glmm else ("lower.CL", "upper.CL")
    np.testing.assert_allclose(found["estimate"], value, atol=1e-5 * size)
    np.testing.assert_allclose(found["std_error"], means["SE"], rtol=rtol)
    np.testing.assert_allclose(found["df"], means["df"], rtol=1e-5)
    np.testing.assert_allclose(found["conf_low"], means[bounds[0]], atol=1e-4 * size)
    np.testing.assert_allclose(found["conf_high"], means[bounds[1]], atol=1e-4 * size)
    for adjust, stored in (("none", "pairs"), ("tukey", "pairs_tukey"), ("holm", "pairs_holm")):
        pairs, wanted = ours(contrasts="pairwise", adjust=adjust), expected[stored]
        # emmeans puts the factor's name before levels that are numbers
        assert (
            pairs["term"].to_list()
            == [text.replace(f"{factor}", "") if glmm else text for text in wanted["contrast"]]
            or name == "pastes"
        )
        np.testing.assert_allclose(pairs["estimate"], wanted["estimate"], atol=1e-5 * size)
        # ptukey gives up digits below 1e-8
        p = pairs["p_value"]
        np.testing.assert_allclose(p, wanted["p.value"], rtol=RTOL["adjusted_p"], atol=1e-9)
        np.testing.assert_allclose(pairs["conf_low"], wanted[bounds[0]], atol=1e-4 * size)
        np.testing.assert_allclose(pairs["conf_high"], wanted[bounds[1]], atol=1e-4 * size)
    single = ours(contrasts="pairwise", adjust="single-step")["p_value"]
    # emmeans cuts df to whole numbers, and single-step takes the smallest of a family
    atol = expected["mvt"]["error"] + 1e-3
    np.testing.assert_allclose(single, expected["mvt"]["p"], rtol=RTOL["mvt_p"], atol=atol)


@pytest.fixture(scope="module")
def cake():
    return fit_lmm("angle ~ recipe * temp + (1 | recipe:replicate)", golden("cake").table)


@pytest.fixture(scope="module")
def factorial():
    return fit_ols("angle ~ recipe * temperature", golden("cake").table)


def test_means_of_a_saturated_design_are_averages_of_cell_means(factorial):
    table = golden("cake").table.filter(pl.int_range(pl.len()) % 7 != 0)
    fit = fit_ols("angle ~ recipe * temperature", table)
    cells = table.group_by("recipe", "temperature").agg(pl.col("angle").mean())
    of_cells = fit.means(["recipe", "temperature"]).join(cells, on=["recipe", "temperature"])
    np.testing.assert_allclose(of_cells["estimate"], of_cells["angle"])
    expected = cells.group_by("recipe").agg(pl.col("angle").mean()).sort("recipe")
    found = fit.means("recipe")
    np.testing.assert_allclose(found["estimate"], expected["angle"])
    assert tuple(found.columns) == ("recipe", *ESTIMATES)
    assert found["term"].to_list() == ["A", "B", "C"]
    alone = fit.means()
    assert alone["estimate"][0] == pytest.approx(expected["angle"].mean())
    assert alone["term"].to_list() == ["overall"]


def test_comparisons_stand_within_levels_of_by(cake):
    found = cake.means("recipe", by="temp", at={"temp": [180, 220]}, contrasts="reference")
    assert found.columns[:2] == ["temp", "term"]
    assert found["term"].to_list() == ["B - A", "C - A"] * 2
    for temp in (180, 220):
        alone = cake.means("recipe", at={"temp": temp}, contrasts="reference")
        part = found.filter(pl.col("temp") == temp).drop("temp")
        assert part.equals(alone)
        plain = cake.contrast(
            {
                "B": {"recipe[T.B]": 1, "recipe[T.B]:temp": temp},
                "C": {"recipe[T.C]": 1, "recipe[T.C]:temp": temp},
            },
            adjust="single-step",
        )
        np.testing.assert_allclose(alone["p_value"], plain["p_value"], rtol=1e-6)
        np.testing.assert_allclose(alone["conf_low"], plain["conf_low"], rtol=1e-6)


def test_slopes_are_derivatives():
    rng = np.random.default_rng(0)
    n = 200
    table = pl.DataFrame({"x": rng.uniform(1, 4, n), "g": np.resize(["a", "b"], n)})
    table = table.with_columns(y=table["x"].to_numpy() + rng.normal(size=n))
    fit = fit_ols("y ~ g * (log(x) + I(x**2))", table)
    found = fit.slopes("x", by="g", at={"x": 2.0})
    b = dict(zip(fit.names, fit.coefficients, strict=True))
    one = b["log(x)"] / 2 + b["I(x ** 2)"] * 4
    two = one + b["g[T.b]:log(x)"] / 2 + b["g[T.b]:I(x ** 2)"] * 4
    # differences over a thousandth of the range: 1e-7 relative for the logarithm
    np.testing.assert_allclose(found["estimate"], [one, two], rtol=1e-5)
    assert fit.slopes("x")["estimate"][0] == pytest.approx(
        b["log(x)"] / table["x"].mean()
        + 2 * b["I(x ** 2)"] * table["x"].mean()
        + b["g[T.b]:log(x)"] / table["x"].mean() / 2
        + b["g[T.b]:I(x ** 2)"] * table["x"].mean(),
        rel=1e-5,
    )


def test_what_an_empty_cell_leaves_open_is_nan_and_the_rest_is_not():
    table = golden("cake").table
    table = table.filter((pl.col("recipe") != "B") | (pl.col("temperature") != "t185"))
    fit = fit_ols("angle ~ recipe * temperature", table)
    cells = fit.means(["recipe", "temperature"])
    empty = (cells["recipe"] == "B") & (cells["temperature"] == "t185")
    assert cells.filter(empty)["estimate"].is_nan().all()
    assert cells.filter(~empty)["conf_low"].is_finite().all()
    pairs = fit.means("recipe", contrasts="pairwise")
    assert pairs["p_value"].is_nan().to_list() == [True, False, True]
    # with an additive model the cell is determined
    additive = fit_ols("angle ~ recipe + temperature", table).means(["recipe", "temperature"])
    assert additive["estimate"].is_finite().all()


def test_redundant_columns_change_nothing():
    table = golden("sleepstudy").table
    one = fit_lmm("Reaction ~ phase + Days + (1 | Subject)", table)
    two = fit_lmm("Reaction ~ phase + Days + days_twice + (1 | Subject)", table)
    assert two.means("phase").equals(one.means("phase")) or np.allclose(
        two.means("phase").select(ESTIMATES[1:]), one.means("phase").select(ESTIMATES[1:])
    )
    # the slope of days_twice at fixed Days is not determined
    assert np.isnan(two.slopes("days_twice")["estimate"][0])


def test_offsets_are_part_of_means():
    table = golden("sleepstudy").table
    fit = fit_lmm("Reaction ~ phase + offset(shift) + (1 | Subject)", table)
    without = fit.means("phase")["estimate"] - table["shift"].mean()
    intercept = fit.coefficients[0]
    assert without[0] == pytest.approx(intercept)


def test_the_scale_of_the_response():
    stored = golden("cbpp")
    fit = fitted("cbpp", "laplace", "asymptotic")
    linear, found = fit.means("period"), fit.means("period", scale="response")

    def expit(x):
        return 1 / (1 + np.exp(-np.asarray(x)))

    np.testing.assert_allclose(found["estimate"], expit(linear["estimate"]))
    np.testing.assert_allclose(found["conf_low"], expit(linear["conf_low"]))
    slope = found["estimate"] * (1 - found["estimate"])
    np.testing.assert_allclose(found["std_error"], slope * linear["std_error"])
    ratios = fit.means("period", contrasts="pairwise", scale="response")
    differences = fit.means("period", contrasts="pairwise")
    np.testing.assert_allclose(ratios["estimate"], np.exp(differences["estimate"]))
    assert ratios["term"][0] == "1 / 2"
    assert ratios["p_value"].equals(differences["p_value"])
    probit = fit_glmm(
        formula(stored.cases["probit"]),
        stored.table,
        family="binomial",
        link="probit",
        levels=stored.levels,
    )
    with pytest.raises(FitError, match="no meaning on the scale of the response"):
        probit.means("period", contrasts="pairwise", scale="response")


def test_questions_without_an_answer_say_why(cake):
    for ask, message in (
        (lambda: cake.means("recip"), "Did you mean 'recipe'"),
        (lambda: cake.means("temp"), r"at=\{'temp': \[0, 1\]\}"),
        (lambda: cake.means("recipe", by="recipe"), "twice"),
        (lambda: cake.means("recipe", at={"recipe": "D"}), "'D' is no level"),
        (lambda: cake.means("recipe", at={"temp": []}), "no value"),
        (lambda: cake.means("recipe", at={"temp": np.nan}), "finite"),
        (lambda: cake.means("recipe", adjust="tuckey"), "Did you mean 'tukey'"),
        (lambda: cake.means("recipe", adjust="tukey"), "for pairs"),
        (lambda: cake.means("recipe", contrasts="pairs"), "Did you mean 'pairwise'"),
        (lambda: cake.means("recipe", scale="respons"), "Did you mean 'response'"),
        (lambda: cake.means(contrasts="pairwise"), "nothing to compare"),
        (lambda: cake.slopes("recipe"), "numeric columns"),
        (lambda: cake.slopes("temp", by="temp"), "its own slope"),
        (lambda: cake.means("recipe", at={"temp": range(100_000)}), "300,000 points"),
    ):
        with pytest.raises(FitError, match=message):
            ask()


@pytest.mark.parametrize("df", [0.8, 2.0, 5.5, 40.0, 3000.0, np.inf])
def test_the_studentized_range_of_two_means_is_t(df):
    for q in (0.1, 1.0, 3.0, 6.0):
        t = q / np.sqrt(2)
        exact = 2 * (stats.norm.sf(t) if np.isinf(df) else stats.t.sf(t, df))
        assert range_tail(q, 2, df) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize(("k", "df"), [(3, 7.0), (5, 2.5), (10, 30.0), (4, np.inf)])
def test_the_studentized_range_is_scipys(k, df):
    for q in (0.5, 2.0, 4.0, 7.0):
        exact = stats.studentized_range.sf(q, k, df)
        assert range_tail(q, k, df) == pytest.approx(exact, rel=1e-6, abs=1e-10)
    q = range_quantile(0.05, k, df)
    assert range_tail(q, k, df) == pytest.approx(0.05, rel=1e-8)
    assert range_tail(0.0, k, df) == 1.0
