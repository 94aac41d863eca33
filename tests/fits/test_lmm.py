"""`fit_lmm` against lme4 and lmerTest, special cases, and what it refuses.

Golden values and the reasons of their tolerances: tests/golden/models.py.
"""

import pickle

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.frames import to_pandas
from tests.golden.models import RTOL, formula, golden, names

# A ridge: where the variance of the intercept is zero, the factor of the slope is not unique, and
# lme4 and we stop at different points of equal height.
RIDGE = ("pruning", "singular_vector_reml")
CASES = [
    (name, case)
    for name in names()
    for case, found in golden(name).cases.items()
    if found.get("method") in ("reml", "ml") and (name, case) != RIDGE
]
# An estimate within rounding of zero is compared on the scale of its standard error.
SMALL = 1e-8


def close(found, expected, quantity, scale=0.0):
    np.testing.assert_allclose(found, expected, rtol=RTOL[quantity], atol=scale)


def fitted(name, case):
    stored = golden(name)
    found = stored.cases[case]
    return fit_lmm(
        formula(found),
        stored.table,
        method=found["method"],
        weights=found["weights"],
        levels={k: v for k, v in stored.levels.items() if stored.table[k].dtype == pl.String},
    )


@pytest.fixture(scope="module")
def fits():
    kept = {}

    def get(name, case):
        if (name, case) not in kept:
            kept[name, case] = fitted(name, case)
        return kept[name, case]

    return get


def where_stored(key):
    """Run a test for every case that has values of that kind."""
    kept = [(name, case) for name, case in CASES if golden(name).cases[case].get(key)]
    return pytest.mark.parametrize(("name", "case"), kept, ids=lambda value: value)


@pytest.mark.golden
class TestAgainstLme4:
    @where_stored("tight")
    def test_criterion_and_information_criteria(self, name, case, fits):
        fit, tight = fits(name, case), golden(name).cases[case]["tight"]
        close(fit.criterion, tight["criterion"], "criterion")
        close(fit.aic, tight["AIC"], "criterion")
        close(fit.bic, tight["BIC"], "criterion")
        assert fit.n_obs == tight["nobs"]
        assert fit.converged
        assert fit.singular == tight["singular"]

    @where_stored("tight")
    def test_fixed_effects(self, name, case, fits):
        fit, stored = fits(name, case), golden(name)
        tight = stored.cases[case]["tight"]
        errors = stored.vector(tight["fixef_se"], fit.names)
        found = stored.vector(tight["fixef"], fit.names)
        np.testing.assert_allclose(
            fit.coefficients, found, rtol=RTOL["fixef"], atol=SMALL * errors.max()
        )
        close(np.sqrt(np.diagonal(fit.covariance)), errors, "se")
        vcov = stored.matrix(tight["vcov"], tight["fixef"], fit.names)
        np.testing.assert_allclose(
            fit.covariance, vcov, rtol=RTOL["se"], atol=RTOL["se"] * np.abs(vcov).max()
        )

    @where_stored("tight")
    def test_variances(self, name, case, fits):
        fit, stored = fits(name, case), golden(name)
        tight = stored.cases[case]["tight"]
        close(fit.sigma, tight["sigma"], "sd")
        expected = {
            (v["grp"], stored.term(v["var1"]) if v["var1"] else None): v["sdcor"]
            for v in tight["varcor"]
            if not v.get("var2")
        }
        found = {
            (row["group"], row["term"]): row["sd"]
            for row in fit.variances.iter_rows(named=True)
            if row["sd"] is not None
        }
        largest = max(expected.values())
        assert len(found) == len(expected)
        for (group, term), sd in expected.items():
            group, _, number = group.partition(".")  # lme4 numbers the terms of ||
            matches = [v for (g, t), v in found.items() if t == term and same_group(g, group)]
            # a zero is a zero up to 1e-5 of the largest, as far as either optimizer goes
            assert any(np.isclose(v, sd, rtol=RTOL["sd"], atol=1e-5 * largest) for v in matches), (
                group,
                term,
                number,
            )

    @where_stored("ranef")
    def test_conditional_modes(self, name, case, fits):
        stored = golden(name)
        fit, ranef = fits(name, case), stored.cases[case]["ranef"]
        expected = {
            (level_of(g, level), stored.term(t)): (mode, sd)
            for g, level, t, mode, sd in zip(
                *(ranef[k] for k in ("group", "level", "term", "mode", "sd")), strict=True
            )
        }
        table = fit.random_effects()
        assert table.height == len(expected)
        modes = np.array([value[0] for value in expected.values()])
        for group, level, term, mode, sd in table.iter_rows():
            key = (level_of(group, level), term)
            np.testing.assert_allclose(
                (mode, sd),
                expected[key],
                rtol=RTOL["modes"],
                atol=1e-6 * np.abs(modes).max() + 1e-6,
            )

    @where_stored("satterthwaite")
    def test_satterthwaite(self, name, case, fits):
        stored = golden(name)
        fit, found = fits(name, case), stored.cases[case]["satterthwaite"]
        close(fit.df, stored.vector(found["df"], fit.names), "satterthwaite")
        alone = [fit.model.test_df(row[None, :]) for row in np.eye(len(fit.names))]
        np.testing.assert_allclose(fit.df, alone, rtol=1e-12)
        p = stored.vector(found["p"], fit.names)
        far = RTOL["p_value"] * np.maximum(1.0, np.abs(fit.estimates["statistic"].to_numpy()))
        np.testing.assert_array_less(
            np.abs(fit.estimates["p_value"].to_numpy() - p), far * p + 1e-12
        )

    @where_stored("contests")
    def test_joint_tests(self, name, case, fits):
        stored = golden(name)
        fit, contests = fits(name, case), stored.cases[case]["contests"]
        fixef = stored.cases[case]["tight"]["fixef"]
        for contest in contests.values():
            matrix = np.atleast_2d(contest["L"])
            order = [[stored.term(n) for n in fixef].index(n) for n in fit.names]
            row = fit.joint_test(matrix[:, order]).row(0, named=True)
            expected = contest["satterthwaite"]
            assert row["df_num"] == expected["NumDF"]
            close(row["df_den"], expected["DenDF"], "satterthwaite")
            close(row["statistic"], expected["F"], "satterthwaite")

    @where_stored("predict")
    def test_predictions(self, name, case, fits):
        stored = golden(name)
        fit, found = fits(name, case), stored.cases[case]["predict"]
        new = pl.DataFrame(found["newdata"], strict=False)
        close(fit.predict(new, random=False), found["fixed"], "prediction")
        with_modes = fit.predict(new, new_levels="zero")
        close(with_modes, found["conditional_zero"], "prediction")
        close(fit.predict()[: len(found["fitted_first"])], found["fitted_first"], "prediction")


def test_the_height_of_a_ridge_is_that_of_lme4():
    name, case = RIDGE
    fit, tight = fitted(name, case), golden(name).cases[case]["tight"]
    assert fit.singular
    close(fit.criterion, tight["criterion"], "criterion")


def level_of(group, level):
    """A level whatever the order of the columns of its grouping factor."""
    columns = group.split(":")
    return frozenset(zip(columns, level.split(":", len(columns) - 1), strict=True))


def same_group(ours, theirs):
    return frozenset(ours.split(":")) == frozenset(theirs.split(":"))


def table(seed=0, n=120, groups=12, sd=1.0):
    rng = np.random.default_rng(seed)
    g = np.arange(n) % groups
    x = rng.normal(size=n)
    y = 1 + 0.5 * x + sd * rng.normal(size=groups)[g] + rng.normal(size=n)
    return pl.DataFrame({"y": y, "x": x, "g": g, "h": rng.permutation(g) % 5})


def test_balanced_one_way_anova_in_closed_form():
    data = table().with_columns(y=pl.col("y") - 0.5 * pl.col("x"))
    fit = fit_lmm("y ~ 1 + (1 | g)", data)
    means = data.group_by("g").agg(pl.col("y").mean())["y"].to_numpy()
    between = 10 * means.var(ddof=1)
    inside = data.select(((pl.col("y") - pl.col("y").mean().over("g")) ** 2).sum())
    within = inside.item() / 108
    sd = dict(fit.variances.select("group", "variance").iter_rows())
    np.testing.assert_allclose(sd["Residual"], within, rtol=1e-6)
    np.testing.assert_allclose(sd["g"], (between - within) / 10, rtol=1e-6)
    row = fit.estimates.row(0, named=True)
    np.testing.assert_allclose(row["estimate"], means.mean(), rtol=1e-10)
    np.testing.assert_allclose(row["std_error"], np.sqrt(between / 120), rtol=1e-6)
    np.testing.assert_allclose(row["df"], 11, rtol=1e-4)


def test_no_variance_between_groups_gives_least_squares():
    rng = np.random.default_rng(40)
    data = table(seed=4, sd=0.0).with_columns(
        # centred within groups, so that there is less variation between them than by chance
        y=pl.col("x") + pl.Series(rng.normal(size=120))
    )
    data = data.with_columns(pl.col("y", "x") - pl.col("y", "x").mean().over("g"))
    fit = fit_lmm("y ~ x + (1 | g)", data)
    x = np.column_stack([np.ones(120), data["x"].to_numpy()])
    beta, rss, *_ = np.linalg.lstsq(x, data["y"].to_numpy(), rcond=None)
    assert fit.singular
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, beta, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(fit.sigma, np.sqrt(rss[0] / 118), rtol=1e-6)
    assert "variance of Intercept between levels of g is estimated as zero" in fit.notes[0]
    assert "boundary (singular fit)" in fit.summary()


def test_order_of_rows_and_names_of_levels_make_no_difference():
    data = table()
    fit = fit_lmm("y ~ x + (x | g) + (1 | h)", data)
    renamed = data.sample(fraction=1.0, shuffle=True, seed=1).with_columns(
        g=pl.format("level {}", 99 - pl.col("g")), h=pl.col("h").cast(pl.String)
    )
    other = fit_lmm("y ~ x + (x | g) + (1 | h)", renamed)
    np.testing.assert_allclose(other.criterion, fit.criterion, rtol=1e-10)
    np.testing.assert_allclose(other.coefficients, fit.coefficients, rtol=1e-6)
    np.testing.assert_allclose(other.df, fit.df, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1e3, 1e7])
def test_the_scale_of_a_covariate_and_of_the_response_only_rescales(scale):
    data = table()
    fit = fit_lmm("y ~ x + (x | g)", data)
    scaled = fit_lmm("y ~ x + (x | g)", data.with_columns(x=pl.col("x") * scale))
    np.testing.assert_allclose(scaled.coefficients[1] * scale, fit.coefficients[1], rtol=1e-6)
    np.testing.assert_allclose(scaled.df, fit.df, rtol=1e-3)
    assert scaled.singular == fit.singular
    response = fit_lmm("y ~ x + (x | g)", data.with_columns(y=pl.col("y") * scale))
    np.testing.assert_allclose(response.coefficients / scale, fit.coefficients, rtol=1e-6)
    np.testing.assert_allclose(response.theta, fit.theta, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(response.df, fit.df, rtol=1e-3)


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_large_means_cost_no_digits(shift):
    data = table()
    fit = fit_lmm("y ~ x + (1 | g)", data)
    shifted = data.with_columns(pl.col("y") + shift, pl.col("x") + shift / 1e3)
    other = fit_lmm("y ~ x + (1 | g)", shifted)
    # the data themselves keep 16 digits, of which the shift takes up to 8
    np.testing.assert_allclose(other.coefficients[1], fit.coefficients[1], rtol=1e-6)
    np.testing.assert_allclose(other.sigma, fit.sigma, rtol=1e-6)


def test_collinear_columns_are_named_and_left_out():
    data = table().with_columns(twice=2 * pl.col("x"), z=pl.col("x") ** 2)
    fit = fit_lmm("y ~ x + twice + z + (1 | g)", data)
    same = fit_lmm("y ~ x + z + (1 | g)", data)
    assert fit.names == ("Intercept", "x", "z")
    np.testing.assert_allclose(fit.coefficients, same.coefficients, rtol=1e-8)
    np.testing.assert_allclose(fit.criterion, same.criterion, rtol=1e-10)
    assert any("twice" in note for note in fit.notes)
    np.testing.assert_allclose(fit.predict(data), same.predict(data))


def test_lazy_and_pandas_tables_give_the_same_fit(tmp_path):
    data = table(n=300)
    data.write_parquet(tmp_path / "t.parquet")
    fits = [
        fit_lmm("y ~ x + (1 | g)", source)
        for source in (data, pl.scan_parquet(tmp_path / "t.parquet"), to_pandas(data))
    ]
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.criterion, fits[0].criterion, rtol=1e-12)
        assert fit.estimates.columns == fits[0].estimates.columns


def test_missing_rows_are_reported():
    data = table().with_columns(x=pl.when(pl.int_range(120) < 7).then(None).otherwise(pl.col("x")))
    fit = fit_lmm("y ~ x + (1 | g)", data)
    assert fit.n_obs == 113
    assert any("7" in note and "x" in note for note in fit.notes)


def test_refit_simulate_residuals_and_pickle():
    data = table()
    fit = fit_lmm("y ~ x + (x | g) + (1 | h)", data)
    again = fit.refit(data["y"].to_numpy())
    np.testing.assert_allclose(again.criterion, fit.criterion, rtol=1e-9)
    np.testing.assert_allclose(again.coefficients, fit.coefficients, rtol=1e-6)
    np.testing.assert_allclose(fit.residuals() + fit.predict(), data["y"].to_numpy())
    drawn = fit.simulate(5, 3)
    assert drawn.shape == (120, 3)
    np.testing.assert_array_equal(drawn, fit.simulate(5, 3))
    assert (drawn != fit.simulate(6, 3)).any()
    other = pickle.loads(pickle.dumps(fit))
    assert other.estimates.equals(fit.estimates)
    np.testing.assert_allclose(other.predict(data), fit.predict(data))
    with pytest.raises(FitError, match="120 finite responses, one for each row"):
        fit.refit(np.ones(3))


def test_asymptotic_and_maximum_likelihood():
    fit = fit_lmm("y ~ x + (1 | g)", table(), df="asymptotic", method="ml")
    assert np.isinf(fit.df).all()
    assert fit.estimator == "ML"


def test_unknown_levels_are_named():
    data = table()
    fit = fit_lmm("y ~ x + (1 | g)", data)
    new = data.head(3).with_columns(g=pl.Series([0, 77, 1]))
    with pytest.raises(FitError, match=r"1 row\(s\), the first being row 1, have a level of g"):
        fit.predict(new)
    fixed = fit.predict(new, random=False)
    assert fit.predict(new, new_levels="zero")[1] == fixed[1]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("y ~ x", {}, r"has no random term such as \(1 \| network\). Add one, or use fit_ols"),
        ("y/n ~ x + (1 | g)", {}, "use fit_glmm"),
        ("y ~ x + (1 | g)", {"method": "remi"}, "method is 'remi'. Did you mean 'reml'?"),
        ("y ~ x + (1 | g)", {"df": "kr"}, "df is 'kr'. Known: asymptotic"),
        ("y ~ xx + (1 | g)", {}, "xx"),
        ("y ~ x + (1 | one)", {}, "one"),
        ("y ~ x + (1 | id)", {}, "id"),
        ("constant ~ x + (1 | g)", {}, "constant"),
        ("line ~ x + (1 | g)", {}, "nothing is left for variances"),
    ],
)
def test_what_cannot_be_fitted_is_refused(text, options, message):
    data = table().with_columns(
        n=pl.lit(5),
        one=pl.lit("a"),
        id=pl.int_range(120),
        constant=pl.lit(2.0),
        line=2 * pl.col("x"),
    )
    with pytest.raises(FitError, match=message):
        fit_lmm(text, data, **options)


@pytest.mark.slow
def test_false_positives_of_satterthwaite_at_five_groups():
    rng = np.random.default_rng(8)
    g = np.arange(40) % 5
    arm = (g < 2).astype(float)
    x = rng.normal(size=40)
    rejected = np.zeros(2)
    n = 2000
    for _ in range(n):
        y = rng.normal(size=5)[g] + rng.normal(size=40)
        fit = fit_lmm("y ~ arm + x + (1 | g)", pl.DataFrame({"y": y, "arm": arm, "x": x, "g": g}))
        rejected += fit.estimates["p_value"].to_numpy()[1:] < 0.05
    # 2000 tests at 5 %: 3.5 % to 6.5 % is three standard errors; the covariate between groups has
    # three degrees of freedom, and lmerTest rejects as seldom where the variance is zero
    assert 0.035 < rejected[1] / n < 0.065
    assert 0.02 < rejected[0] / n < 0.065


@pytest.mark.slow
def test_planted_values_are_covered():
    rng = np.random.default_rng(9)
    inside = 0
    n = 1000
    for _ in range(n):
        data = table(seed=rng.integers(1 << 30), n=60, groups=6)
        row = fit_lmm("y ~ x + (1 | g)", data).estimates.row(1, named=True)
        inside += row["conf_low"] <= 0.5 <= row["conf_high"]
    assert 0.93 < inside / n < 0.97


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ x + C(g) + (1 | g)", "variance of Intercept of g from the fixed effects"),
        ("y ~ x + (1 | g) + (1 | copy)", "Intercept of g and Intercept of copy from each other"),
        ("y ~ x + (x + twice | g)", "Intercept, x, twice of g have covariates that determine"),
        ("y ~ x + (one | g)", "Intercept, one of g have covariates that determine each other"),
        ("y ~ x + (0 + zero | g)", "zero is zero in every row"),
    ],
)
def test_variances_without_information_are_refused(text, message):
    data = table(n=240).with_columns(
        copy=pl.col("g") + 100, twice=2 * pl.col("x"), one=pl.lit(1.5), zero=pl.lit(0.0)
    )
    with pytest.raises(FitError, match=message):
        fit_lmm(text, data)


@pytest.mark.parametrize("column", ["x", "y"])
@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1e100, 1e160, 1e300])
def test_sizes_that_squares_lose_are_refused(column, scale):
    data = table().with_columns(pl.col(column) * scale)
    with pytest.raises(FitError, match="Divide the column by a power of ten"):
        fit_lmm("y ~ x + (x | g)", data)


def test_a_refit_needs_a_response_that_varies():
    fit = fit_lmm("y ~ x + (x | g)", table())
    with pytest.raises(FitError, match="nothing is left"):
        fit.refit(np.ones(120))


def test_arguments_are_checked_before_anything_is_drawn():
    fit = fit_lmm("y ~ x + (1 | g)", table())
    for call, message in (
        (lambda: fit.confint("bootstrap"), "rng is None: pass a seed"),
        (lambda: fit.bootstrap(0, rng=1), "n is 0: it must be a whole number"),
        (lambda: fit.simulate("a"), "rng is 'a'"),
        (lambda: fit.simulate(1, -1), "n is -1"),
        (lambda: fit.confint("wald", rng=3), "Wald's intervals have no option 'rng'"),
        (lambda: fit.confint("profil"), "Did you mean 'profile'"),
        (lambda: fit.predict(table(), new_levels="zro"), "Did you mean 'zero'"),
    ):
        with pytest.raises(FitError, match=message):
            call()
