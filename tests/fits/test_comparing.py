"""Likelihood-ratio tests: null distributions, refusals, tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from distortion.errors import FitError
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import ModelFrame, model_frame
from distortion.fits.lmm import fit_lmm
from distortion.fits.regressions.panel import fit_panel
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.results.comparing import compare, information_criteria, null_tail
from distortion.fits.results.nesting import Restrictions, restrictions
from distortion.fits.results.result import Fit
from tests.fits.literal import FixedModel, mixed_fit


@dataclass(frozen=True)
class FramedModel(FixedModel):
    """A literal model of a real frame."""

    frame: ModelFrame = None  # type: ignore[assignment]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    n = 240
    columns = {name: rng.normal(size=n) for name in ("y", "x", "z")}
    groups = {"g": rng.integers(0, 12, n), "h": rng.integers(0, 9, n)}
    return pl.DataFrame({**columns, **groups, "k": rng.choice(["a", "b", "c"], n)})


def literal(formula: str, table: pl.DataFrame, loglik: float = -400.0, **changes: Any) -> Fit:
    """A fit whose likelihood is made up and whose data are real."""
    frame = model_frame(parse(formula), table, weights=changes.pop("weights", None))
    p = len(frame.fixed_names)
    theta = sum(int(grouping.free.sum()) for grouping in frame.groupings)
    fields: dict[str, Any] = {
        "formula": formula,
        "estimator": "ML",
        "names": frame.fixed_names,
        "coefficients": np.zeros(p),
        "covariance": np.eye(p),
        "df": np.full(p, np.inf),
        "model": FramedModel(frame=frame),
        "loglik": loglik,
        "n_parameters": p + theta + 1,
        "n_obs": frame.n_obs,
    }
    return mixed_fit(**(fields | changes))


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ("y ~ 1 + (1 | g)", "y ~ x + (1 | g)", (1, 0, 0)),
        ("y ~ x + (1 | g)", "y ~ x * k + (1 | g)", (4, 0, 0)),
        ("y ~ x", "y ~ x + (1 | g)", (0, 1, 0)),
        ("y ~ x", "y ~ x + z + (1 | g)", (1, 1, 0)),
        ("y ~ x + (1 | g)", "y ~ x + (x | g)", (0, 1, 1)),
        ("y ~ x + (1 | g)", "y ~ x + (x || g)", (0, 1, 0)),
        ("y ~ x + (x || g)", "y ~ x + (x | g)", (0, 0, 1)),
        ("y ~ x + (1 | g)", "y ~ x + (1 | g) + (1 | h)", (0, 1, 0)),
        ("y ~ x + (1 | g)", "y ~ x + (1 + x + z | g)", (0, 2, 3)),
        ("y ~ 0 + k", "y ~ k + x", (1, 0, 0)),
    ],
)
def test_restrictions_are_counted(
    table: pl.DataFrame, small: str, large: str, expected: tuple[int, int, int]
) -> None:
    a, b = literal(small, table), literal(large, table)
    found = restrictions(a, b)
    assert found == Restrictions(*expected)
    assert found.total == b.n_parameters - a.n_parameters


@pytest.mark.parametrize(
    ("added", "p", "name"),
    [
        (Restrictions(2, 0, 0), stats.chi2.sf(3.0, 2), "χ²(2)"),
        (Restrictions(0, 1, 0), stats.chi2.sf(3.0, 1) / 2, "½ χ²(0) + ½ χ²(1)"),
        (
            Restrictions(0, 1, 1),
            (stats.chi2.sf(3.0, 1) + stats.chi2.sf(3.0, 2)) / 2,
            "½ χ²(1) + ½ χ²(2)",
        ),
        (Restrictions(0, 0, 1), stats.chi2.sf(3.0, 1), "χ²(1)"),
        (Restrictions(0, 2, 1), stats.chi2.sf(3.0, 3), "χ²(3)"),
    ],
)
def test_null_distributions(added: Restrictions, p: float, name: str) -> None:
    assert null_tail(3.0, added) == (pytest.approx(p), name)


def test_a_ratio_of_zero_is_no_evidence() -> None:
    assert null_tail(0.0, Restrictions(0, 1, 0))[0] == 1.0


def test_compare_is_one_row_per_fit_smallest_first(table: pl.DataFrame) -> None:
    fits = (
        literal("y ~ x + (x | g)", table, -396.0),
        literal("y ~ x", table, -400.0),
        literal("y ~ x + (1 | g)", table, -398.5),
    )
    rows = compare(*fits)
    assert rows["formula"].to_list() == ["y ~ x", "y ~ x + (1 | g)", "y ~ x + (x | g)"]
    assert rows["statistic"].to_list() == [None, 3.0, 5.0]
    assert rows["df"].to_list() == [None, 1, 2]
    assert rows["null_distribution"].to_list() == ["", "½ χ²(0) + ½ χ²(1)", "½ χ²(1) + ½ χ²(2)"]
    assert rows["p_value"][1] == pytest.approx(stats.chi2.sf(3.0, 1) / 2)
    assert rows["aic"].to_list() == [806.0, 805.0, 804.0]
    assert rows.columns[:6] == ["formula", "estimator", "n_parameters", "loglik", "aic", "bic"]


def test_nested_regressions_are_compared_like_anova(table: pl.DataFrame) -> None:
    small, large = (fit_ols(f, table, covariance="nonrobust") for f in ("y ~ x", "y ~ x + k"))
    row = compare(small, large).row(1, named=True)
    rss = [float(np.sum(fit.residuals() ** 2)) for fit in (small, large)]
    assert row["statistic"] == pytest.approx(len(table) * np.log(rss[0] / rss[1]))
    assert row["p_value"] == pytest.approx(stats.chi2.sf(row["statistic"], 2))
    assert row["note"] == ""
    assert "independent" in compare(small, fit_ols("y ~ x + k", table))["note"][1]


def test_simulated_p_values_agree_with_theory_and_come_from_the_generator(
    table: pl.DataFrame,
) -> None:
    small, large = (fit_ols(f, table, covariance="nonrobust") for f in ("y ~ x", "y ~ x + z"))
    p = [compare(small, large, simulations=300, rng=seed)["p_value"][1] for seed in (1, 1, 2)]
    assert p[0] == p[1] != p[2]
    # Three standard errors of a share of 300 draws.
    assert p[0] == pytest.approx(compare(small, large)["p_value"][1], abs=0.09)
    assert compare(small, large, simulations=9, rng=1)["null_distribution"][1] == (
        "9 simulations of the smaller model"
    )
    with pytest.raises(FitError, match="rng is None: pass a seed"):
        compare(small, large, simulations=9)
    with pytest.raises(FitError, match="rng is 'a': pass a seed"):
        compare(small, large, simulations=9, rng="a")  # type: ignore[arg-type]
    for wrong in (-3, True, "many"):
        with pytest.raises(FitError, match=r"simulations is .*: it must be a whole number from 0"):
            compare(small, large, simulations=wrong, rng=1)  # type: ignore[arg-type]
    with pytest.raises(FitError, match=r"Fits are compared, not 3 \(int\)"):
        compare(small, 3)  # type: ignore[arg-type]


def test_reml_fits_of_the_same_fixed_effects_compare(table: pl.DataFrame) -> None:
    small = literal("y ~ x + z + (1 | g)", table, -400.0, estimator="REML")
    large = literal("y ~ z + x + (x | g)", table.clone(), -399.0, estimator="REML")
    assert compare(small, large)["p_value"][1] > 0.2
    other = literal("y ~ x + (x | g)", table, -399.0, estimator="REML")
    with pytest.raises(FitError, match="different fixed effects are not comparable"):
        compare(small, other)
    scaled = table.with_columns(x=2 * pl.col("x"))
    with pytest.raises(FitError, match="different fixed effects are not comparable"):
        compare(small, literal("y ~ x + z + (x | g)", scaled, -399.0, estimator="REML"))
    with pytest.raises(FitError, match="restricted likelihood"):
        compare(small, literal("y ~ x + z + (x | g)", table, -399.0))


def test_what_cannot_be_compared_is_refused_in_words(table: pl.DataFrame) -> None:
    base = literal("y ~ x + (1 | g)", table)
    holes = table.with_columns(z=pl.when(pl.col("z") < 1).then("z"))
    noisy = table.with_columns(y=pl.col("y") + 1e-9)
    weighted = table.with_columns(w=pl.lit(2.0))
    cases: list[tuple[Fit, str]] = [
        (literal("y ~ x + z + (1 | g)", holes), "different rows: 240 and"),
        (literal("z ~ x + k + (1 | g)", table), "different responses: y and z"),
        (literal("y ~ x + z + (1 | g)", noisy), "differ in their response"),
        (literal("y ~ x + z + (1 | g)", weighted, weights="w"), "differ in their weights"),
        (literal("y ~ x + z + offset(z) + (1 | g)", table), "differ in their offset"),
        (literal("y ~ z + k + (1 | g)", table), "x of the smaller model is no combination"),
        (literal("y ~ x + k + (1 | h)", table), "smaller one has random effects of g"),
        (literal("y ~ x + (0 + z + k | g)", table), "has the random effect 'Intercept' of g"),
        (literal("y ~ x + (x | g)", table, -402.0), "fits worse than its special case"),
        (literal("y ~ x + z + (1 | g)", table, np.nan), "maximises no likelihood"),
        (literal("y ~ x + z + (1 | g)", table, family="poisson", link="log"), "families"),
        (
            literal("y ~ x + z + (1 | g)", table, kind="glmm", estimator="Laplace"),
            "approximate the likelihood differently",
        ),
        (
            literal("y ~ x + z + (1 | g)", table, covariance_type="clustered by g"),
            "gives no test",
        ),
        (literal("y ~ z + (1 | g)", table), "equally many parameters"),
    ]
    for other, message in cases:
        with pytest.raises(FitError, match=message):
            compare(base, other)
    with pytest.raises(FitError, match="at least two"):
        compare(base)
    correlated = literal("y ~ x + (x | g)", table)
    wide = literal("y ~ x + k + (x || g) + (1 | h)", table, -390.0)
    with pytest.raises(FitError, match="correlated in the smaller model"):
        compare(correlated, wide)


def test_panels_are_compared_with_panels_of_the_same_effects(table: pl.DataFrame) -> None:
    small, large = (
        fit_panel(f, table, entity="g", covariance="nonrobust") for f in ("y ~ x", "y ~ x + z")
    )
    assert compare(small, large)["df"][1] == 1
    plain = fit_ols("y ~ x", table, covariance="nonrobust")
    with pytest.raises(FitError, match="effects of a panel are counted in one of them only"):
        compare(plain, large)


def test_several_variances_are_an_upper_bound_and_said_to_be(table: pl.DataFrame) -> None:
    rows = compare(literal("y ~ x", table), literal("y ~ x + (1 | g) + (1 | h)", table, -398.0))
    assert rows["null_distribution"][1] == "χ²(2)"
    assert "upper bound" in rows["note"][1]


def test_information_criteria_rank_models_that_are_not_nested(table: pl.DataFrame) -> None:
    ranked = information_criteria(
        literal("y ~ x + (1 | g)", table, -400.0), literal("y ~ z + (1 | h)", table, -399.0)
    )
    assert ranked["formula"].to_list() == ["y ~ z + (1 | h)", "y ~ x + (1 | g)"]
    assert ranked["delta_aic"].to_list() == [0.0, 2.0]
    assert ranked["weight"].sum() == pytest.approx(1)
    assert ranked["weight"][1] / ranked["weight"][0] == pytest.approx(np.exp(-1))


@pytest.mark.slow
def test_false_positives_of_a_variance_on_its_boundary_are_near_nominal() -> None:
    rng = np.random.default_rng(12)
    groups, size, repeats = 40, 6, 500
    table = pl.DataFrame({"g": np.repeat(np.arange(groups), size), "x": rng.normal(size=240)})
    made = table.with_columns(y=rng.normal(size=240))
    small = fit_ols("y ~ x", made, covariance="nonrobust")
    large = fit_lmm("y ~ x + (1 | g)", made, method="ml")
    p = []
    for _ in range(repeats):
        y = rng.normal(size=240)
        p.append(compare(small.refit(y), large.refit(y))["p_value"][1])
    rejected = float(np.mean(np.array(p) <= 0.05))
    # Three binomial standard errors are 2.9 points; χ²(1) alone would reject 2.5 %.
    assert 0.03 < rejected < 0.08
    assert 0.4 < float(np.mean(np.array(p) > 0.9)) < 0.75


def test_likelihoods_of_mixed_models_and_regressions_are_on_one_scale() -> None:
    days = np.tile(np.arange(10.0), 18)
    subject = np.repeat(np.arange(18), 10)
    rng = np.random.default_rng(3)
    y = 250 + 10 * days + 30 * rng.normal(size=18)[subject] + 25 * rng.normal(size=180)
    table = pl.DataFrame({"y": y, "days": days, "subject": subject})
    plain = fit_ols("y ~ days", table, covariance="nonrobust")
    mixed = fit_lmm("y ~ days + (1 | subject)", table, method="ml")
    V = np.eye(180) * (mixed.sigma or 0) ** 2
    assert mixed.variances is not None
    V += mixed.variances["variance"][0] * (subject[:, None] == subject)
    exact = stats.multivariate_normal(mixed.predict(random=False), V).logpdf(y)
    row = compare(mixed, plain).row(1, named=True)
    assert row["statistic"] == pytest.approx(2 * (exact - plain.loglik), rel=1e-6)
    assert row["null_distribution"] == "½ χ²(0) + ½ χ²(1)"
