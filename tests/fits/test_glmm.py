"""`fit_glmm` on special cases, invariances and bad input."""

import pickle

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy import stats

from distortion.errors import FitError
from distortion.fits.glmm import fit_glmm
from distortion.fits.results.comparing import compare


def counts(seed: int = 0, groups: int = 20, n: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    g, x = np.arange(n) % groups, rng.normal(size=n)
    eta = 0.3 + 0.5 * x + 0.7 * rng.normal(size=groups)[g]
    p = 1 / (1 + np.exp(-eta))
    return pl.DataFrame(
        {
            "g": [f"g{i:02d}" for i in g],
            "x": x,
            "kind": rng.choice(["a", "b", "c"], n),
            "hit": rng.binomial(1, p),
            "k": rng.binomial(12, p),
            "n": np.full(n, 12),
            "events": rng.poisson(np.exp(eta)),
            "row": np.arange(n),
        }
    )


TABLE = counts()


@pytest.mark.parametrize(
    ("response", "family", "other"),
    [
        ("k/n", "binomial", sm.families.Binomial()),
        ("events", "poisson", sm.families.Poisson()),
    ],
)
def test_without_variation_it_is_a_generalised_linear_model(
    response: str, family: str, other: object
) -> None:
    rng = np.random.default_rng(3)
    # the same counts in every group: less variation between them than sampling gives
    table = TABLE.sort("g").with_columns(
        k=pl.Series(np.tile(rng.binomial(12, 0.4, 20), 20)),
        events=pl.Series(np.tile(rng.poisson(2.0, 20), 20)),
    )
    fit = fit_glmm(f"{response} ~ x + (1 | g)", table, family=family)
    assert fit.singular
    assert fit.converged
    assert fit.theta is not None
    assert fit.theta[0] == 0.0
    assert any("estimated as zero" in note for note in fit.notes)
    x = sm.add_constant(table["x"].to_numpy())
    y = table["events"].to_numpy()
    if family == "binomial":
        y = np.column_stack([table["k"], table["n"] - table["k"]])
    glm = sm.GLM(y, x, family=other).fit()
    np.testing.assert_allclose(fit.coefficients, glm.params, rtol=1e-6)
    np.testing.assert_allclose(fit.estimates["std_error"], glm.bse, rtol=1e-5)
    np.testing.assert_allclose(fit.loglik, glm.llf, rtol=1e-10)


def test_order_of_rows_and_names_of_levels_do_not_matter() -> None:
    fit = fit_glmm("k/n ~ x + kind + (x | g)", TABLE)
    mixed = TABLE.sample(fraction=1.0, shuffle=True, seed=1).with_columns(
        g=pl.col("g").replace_strict(
            {g: f"{i * 7 % 20}" for i, g in enumerate(sorted(set(TABLE["g"])))}
        )
    )
    other = fit_glmm("k/n ~ x + kind + (x | g)", mixed)
    np.testing.assert_allclose(other.criterion, fit.criterion, rtol=1e-12)
    np.testing.assert_allclose(other.coefficients, fit.coefficients, rtol=1e-6)


def test_scale_of_a_covariate_scales_its_coefficient() -> None:
    fit = fit_glmm("k/n ~ x + (x | g)", TABLE)
    scaled = fit_glmm("k/n ~ x + (x | g)", TABLE.with_columns(x=1e4 * pl.col("x")))
    np.testing.assert_allclose(scaled.criterion, fit.criterion, rtol=1e-12)
    np.testing.assert_allclose(1e4 * scaled.coefficients[1], fit.coefficients[1], rtol=1e-6)
    shifted = fit_glmm("k/n ~ x + (1 | g)", TABLE.with_columns(x=pl.col("x") + 1e5))
    plain = fit_glmm("k/n ~ x + (1 | g)", TABLE)
    np.testing.assert_allclose(shifted.criterion, plain.criterion, rtol=1e-10)


def test_trials_are_rows_put_together() -> None:
    single = pl.concat(
        [
            TABLE.with_columns(y=pl.lit(1)).select(pl.exclude("n").repeat_by("k").explode()),
            TABLE.with_columns(y=pl.lit(0)).select(
                pl.exclude("n").repeat_by(pl.col("n") - pl.col("k")).explode()
            ),
        ]
    ).drop_nulls()
    together, apart = fit_glmm("k/n ~ x + (1 | g)", TABLE), fit_glmm("y ~ x + (1 | g)", single)
    np.testing.assert_allclose(apart.coefficients, together.coefficients, rtol=1e-6)
    choose = stats.binom.logpmf(TABLE["k"], 12, 0.5) - 12 * np.log(0.5)
    np.testing.assert_allclose(apart.loglik + choose.sum(), together.loglik, rtol=1e-9)


def test_weights_are_rows_repeated() -> None:
    weighted = TABLE.with_columns(w=1 + pl.col("row") % 3)
    repeated = weighted.select(pl.all().repeat_by("w").explode())
    one = fit_glmm("hit ~ x + (1 | g)", weighted, weights="w")
    other = fit_glmm("hit ~ x + (1 | g)", repeated)
    np.testing.assert_allclose(one.criterion, other.criterion, rtol=1e-10)
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-6)


def test_booleans_are_single_trials() -> None:
    fit = fit_glmm("hit ~ x + (1 | g)", TABLE)
    other = fit_glmm("hit ~ x + (1 | g)", TABLE.with_columns(hit=pl.col("hit") == 1))
    assert other.criterion == fit.criterion
    assert not any("Overdispersion" in note for note in fit.notes)


def test_an_offset_moves_the_linear_predictor() -> None:
    moved = TABLE.with_columns(z=0.5 * pl.col("x"))
    fit = fit_glmm("events ~ x + (1 | g)", TABLE, family="poisson")
    other = fit_glmm("events ~ x + offset(z) + (1 | g)", moved, family="poisson")
    np.testing.assert_allclose(other.criterion, fit.criterion, rtol=1e-11)
    np.testing.assert_allclose(other.coefficients[1] + 0.5, fit.coefficients[1], rtol=1e-6)


def test_an_effect_of_every_row_alone_is_an_ordinary_term() -> None:
    alone = fit_glmm("k/n ~ x + (1 | row)", TABLE)
    twice = fit_glmm("k/n ~ x + (1 | g) + (1 | row)", TABLE.with_columns(g=pl.col("row") % 2))
    assert alone.groups == {"row": 400}
    assert twice.groups == {"g": 2, "row": 400}
    assert twice.model.structure.row == 1  # type: ignore[attr-defined]
    assert alone.model.structure.row is None  # type: ignore[attr-defined]
    assert twice.theta is not None
    if twice.theta[0] == 0.0:
        np.testing.assert_allclose(twice.criterion, alone.criterion, rtol=1e-10)


def test_overdispersion_is_tested() -> None:
    rng = np.random.default_rng(5)
    noisy = TABLE.with_columns(
        k=pl.Series(rng.binomial(12, 1 / (1 + np.exp(-rng.normal(size=400)))))
    )
    fit = fit_glmm("k/n ~ x + (1 | g)", noisy)
    [note] = [note for note in fit.notes if note.startswith("Overdispersion")]
    assert "p <0.001" in note
    assert "Standard errors are too small" in note
    rows = fit_glmm("k/n ~ x + (1 | g) + (1 | row)", noisy)
    table = compare(fit, rows)
    assert f"likelihood ratio {table['statistic'][1]:.2f}" in note
    assert not any("too small" in note for note in fit_glmm("k/n ~ x + (1 | g)", TABLE).notes)
    wide = fit_glmm("k/n ~ x + (1 | g)", noisy, family="beta-binomial")
    assert wide.n_parameters == fit.n_parameters + 1
    assert any(note.startswith("Beta-binomial: precision") for note in wide.notes)


def test_the_result() -> None:
    fit = fit_glmm("k/n ~ x + (1 | g)", TABLE, link="probit")
    assert (fit.kind, fit.family, fit.link) == ("glmm", "binomial", "probit")
    assert (fit.estimator, fit.df_method, fit.sigma) == ("Laplace", "asymptotic", None)
    assert fit.variances is not None
    assert fit.variances["group"].to_list() == ["g"]
    assert np.isinf(fit.df).all()
    assert fit.trace is not None
    assert fit.trace.columns == ["evaluation", "optimizer", "criterion", "theta", "beta"]
    np.testing.assert_allclose(fit.trace["beta"][-1].to_numpy(), fit.coefficients)
    again = pickle.loads(pickle.dumps(fit))
    assert again.summary() == fit.summary()
    np.testing.assert_array_equal(again.predict(), fit.predict())
    test = fit.contrast("x = 0")
    np.testing.assert_allclose(test["p_value"], fit.estimates["p_value"][1])


def test_quadrature_needs_nodes_and_one_scalar_term() -> None:
    fit = fit_glmm("k/n ~ x + (1 | g)", TABLE, method="quadrature", n_quadrature=9)
    assert fit.estimator == "adaptive Gauss–Hermite (9 nodes)"
    for options in ({"method": "quadrature"}, {"n_quadrature": 5}, {"method": "newton"}):
        with pytest.raises(FitError):
            fit_glmm("k/n ~ x + (1 | g)", TABLE, **options)  # type: ignore[arg-type]
    for nodes in (0, 1000, 2.5, True):
        with pytest.raises(FitError, match="n_quadrature"):
            fit_glmm("k/n ~ x + (1 | g)", TABLE, method="quadrature", n_quadrature=nodes)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="one random coefficient per level"):
        fit_glmm("k/n ~ x + (x | g)", TABLE, method="quadrature", n_quadrature=5)


@pytest.mark.parametrize(
    ("response", "change", "options", "message"),
    [
        ("k/n", {"k": pl.col("k") + 0.5}, {}, "k is not a whole number in 400 row"),
        ("k/n", {"k": pl.col("k") + 11}, {}, "k exceeds n in .* row 1, "),
        ("k/n", {"k": pl.col("k") - 11}, {}, "k is negative in"),
        ("k/n", {"n": pl.when(pl.col("row") == 3).then(0).otherwise("n")}, {}, "below 1 .* row 4"),
        ("k/n", {"n": pl.col("n") + 0.5}, {}, "n is not a whole number"),
        ("k/n", {"k": pl.lit(0)}, {}, "0 in all 400 rows"),
        ("k/n", {"k": pl.col("n")}, {}, "as large as it can be in all"),
        ("rate", {"rate": pl.col("k") / 12}, {}, "rate holds rates"),
        ("k", {}, {}, "k holds .* is 0 or 1"),
        ("events", {}, {"family": "poison"}, "Did you mean 'poisson'"),
        ("k/n", {}, {"link": "logti"}, "Did you mean 'logit'"),
        ("events", {}, {"family": "poisson", "link": "logit"}, "no link 'logit'"),
        ("k/n", {}, {"family": "poisson"}, r"offset\(log\(n\)\)"),
        ("hit", {}, {"family": "beta-binomial"}, "more than one trial"),
        ("k/n", {"w": pl.lit(-1.0)}, {"weights": "w"}, "not positive"),
        ("k/n", {}, {"weights": "missing"}, "no column 'missing'"),
        ("k/n", {"x": pl.lit(float("inf"))}, {}, "infinite"),
        ("hit", {"g": pl.col("row")}, {}, "one row with all trials alike"),
        ("hit", {"hit": pl.col("g").rank("dense") % 2}, {}, "Complete separation by g"),
    ],
)
def test_refusals(response: str, change: dict, options: dict, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit_glmm(f"{response} ~ x + (1 | g)", TABLE.with_columns(**change), **options)


def test_more_refusals() -> None:
    with pytest.raises(FitError, match="no random term"):
        fit_glmm("k/n ~ x", TABLE)
    large = TABLE.with_columns(e=100.0 * pl.col("n"))
    with pytest.raises(FitError, match="an offset is on the log scale"):
        fit_glmm("events ~ x + offset(e) + (1 | g)", large, family="poisson")
    with pytest.raises(FitError, match="keep one of the two"):
        fit_glmm("k/n ~ x + (1 | g) + (1 | row)", TABLE, family="beta-binomial")
    with pytest.raises(FitError, match="400 finite counts"):
        fit_glmm("k/n ~ x + (1 | g)", TABLE).refit(np.zeros(3))
    with pytest.raises(FitError, match="k exceeds n"):
        fit_glmm("k/n ~ x + (1 | g)", TABLE).refit(np.full(400, 13.0))
    with pytest.raises(FitError, match="rows cannot estimate"):
        fit_glmm(
            "k/n ~ x * kind + (1 | g)", TABLE.head(5).with_columns(kind=pl.Series(list("abcab")))
        )


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_separation_is_named(link: str) -> None:
    some = pl.when(pl.col("kind") == "c").then(1).otherwise("hit")
    with pytest.raises(FitError, match=r"Quasi-complete separation: kind\[T.c\] tells"):
        fit_glmm("hit ~ x + kind + (1 | g)", TABLE.with_columns(hit=some), link=link)
    table = TABLE.with_columns(hit=(pl.col("x") > 0).cast(pl.Int64))
    with pytest.raises(FitError, match=r"Complete separation: x tells .* 400 row"):
        fit_glmm("hit ~ x + (1 | g)", table, link=link)
    rng = np.random.default_rng(2)
    table = TABLE.with_columns(z=pl.Series(rng.normal(size=400)))
    table = table.with_columns(hit=(pl.col("x") + pl.col("z") > 0.1).cast(pl.Int64))
    with pytest.raises(FitError, match="a combination of x, z"):
        fit_glmm("hit ~ x + z + (1 | g)", table, link=link)


def test_separation_of_counts_is_named() -> None:
    none = pl.when(pl.col("kind") == "c").then(0).otherwise("events")
    with pytest.raises(FitError, match=r"kind\[T.c\] tells counts from zeros"):
        fit_glmm("events ~ x + kind + (1 | g)", TABLE.with_columns(events=none), family="poisson")
    full = pl.when(pl.col("kind") == "c").then("n").otherwise("k")
    for family in ("binomial", "beta-binomial"):
        with pytest.raises(FitError, match=r"kind\[T.c\] tells successes"):
            fit_glmm("k/n ~ x + kind + (1 | g)", TABLE.with_columns(k=full), family=family)


def test_rare_events_are_not_separation() -> None:
    rng = np.random.default_rng(1)
    table = TABLE.with_columns(k=pl.Series(rng.binomial(1, 0.02, 400)), n=pl.lit(1_000_000))
    fit = fit_glmm("k/n ~ x + (1 | g)", table)
    assert fit.converged


def test_collinear_columns_are_left_out() -> None:
    fit = fit_glmm("k/n ~ x + twice + (1 | g)", TABLE.with_columns(twice=2 * pl.col("x")))
    assert fit.names == ("Intercept", "x")
    assert any("twice" in note for note in fit.notes)
