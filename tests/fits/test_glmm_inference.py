"""Refits, simulations, intervals and what they say about planted truths."""

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.glmm import fit_glmm
from distortion.fits.laplace import descent, estimation
from distortion.fits.laplace.dispersion import dispersion
from distortion.fits.results.result import Fit

SLOPE, SD, ROW_SD = 0.5, 0.7, 0.6


def planted(
    rng: np.random.Generator, groups: int, per_group: int, rows: float = 0.0
) -> pl.DataFrame:
    """Counts out of ten with a slope, a random intercept and, if asked for, overdispersion."""
    n = groups * per_group
    g, x = np.repeat(np.arange(groups), per_group), rng.normal(size=n)
    eta = -0.4 + SLOPE * x + SD * rng.normal(size=groups)[g] + rows * rng.normal(size=n)
    k = rng.binomial(10, 1 / (1 + np.exp(-eta)))
    return pl.DataFrame({"g": g, "x": x, "k": k, "n": np.full(n, 10), "row": np.arange(n)})


def small_fit(family: str = "binomial", rows: float = 0.0) -> Fit:
    random = "(1 | g) + (1 | row)" if rows else "(1 | g)"
    table = planted(np.random.default_rng(1), 20, 12, rows)
    return fit_glmm(f"k/n ~ x + {random}", table, family=family)


def test_planted_values_are_recovered() -> None:
    table = planted(np.random.default_rng(2), 200, 20, ROW_SD)
    fit = fit_glmm("k/n ~ x + (1 | g) + (1 | row)", table)
    error = fit.estimates["std_error"].to_numpy()
    assert np.abs((fit.coefficients - [-0.4, SLOPE]) / error).max() < 3.0
    assert fit.theta is not None
    # Laplace's approximation shrinks the SD of single rows a little
    np.testing.assert_allclose(fit.theta, [SD, ROW_SD], rtol=0.15)


def test_a_beta_binomial_finds_its_dispersion() -> None:
    rng = np.random.default_rng(3)
    table = planted(rng, 100, 20)
    eta = -0.4 + SLOPE * table["x"].to_numpy() + SD * rng.normal(size=100)[table["g"]]
    mean = 1 / (1 + np.exp(-eta))
    k = rng.binomial(10, rng.beta(4 * mean, 4 * (1 - mean)))
    fit = fit_glmm("k/n ~ x + (1 | g)", table.with_columns(k=pl.Series(k)), family="beta-binomial")
    precision = fit.model.shape**-2  # type: ignore[attr-defined]
    np.testing.assert_allclose(precision, 4.0, rtol=0.15)


@pytest.mark.parametrize(
    ("family", "rows"), [("binomial", 0.0), ("binomial", 0.5), ("beta-binomial", 0.0)]
)
def test_refit_is_a_fit_of_another_response(family: str, rows: float) -> None:
    fit = small_fit(family, rows)
    y = fit.simulate(7, 1)[:, 0]
    refit = fit.refit(y)
    table = fit.model.frame.columns("g", "x", "n", "row").with_columns(k=pl.Series(y))
    anew = fit_glmm(fit.formula, table, family=family)
    np.testing.assert_allclose(refit.criterion, anew.criterion, rtol=1e-9)
    np.testing.assert_allclose(refit.coefficients, anew.coefficients, atol=1e-5)
    np.testing.assert_allclose(refit.covariance, anew.covariance, rtol=1e-3)


def test_refit_leaves_a_variance_of_zero() -> None:
    rng = np.random.default_rng(4)
    table = planted(rng, 20, 12)
    flat = table.with_columns(k=pl.Series(np.tile(rng.binomial(10, 0.4, 12), 20)))
    fit = fit_glmm("k/n ~ x + (1 | g)", flat)
    assert fit.singular
    back = fit.refit(table["k"].to_numpy())
    assert not back.singular
    np.testing.assert_allclose(
        back.criterion, fit_glmm("k/n ~ x + (1 | g)", table).criterion, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("family", "rows"), [("binomial", 0.0), ("binomial", 0.5), ("beta-binomial", 0.0)]
)
def test_simulated_counts_have_the_model_s_moments(family: str, rows: float) -> None:
    fit = small_fit(family, rows)
    drawn = fit.simulate(5, 400)
    assert drawn.shape == (240, 400)
    assert (drawn == np.round(drawn)).all()
    assert ((drawn >= 0) & (drawn <= 10)).all()
    # new random effects for every draw: counts of one group go together, those of two do not
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    groups = centred.reshape(20, 12, 400).mean(axis=1)
    own = groups.var()
    assert own > 3 * (drawn.var(axis=1).mean() / 12 - own) / 12
    correlation = np.corrcoef(groups)[np.triu_indices(20, 1)]
    assert abs(correlation.mean()) < 0.02
    np.testing.assert_array_equal(drawn[:, :5], fit.simulate(5, 5))


def test_bootstrap() -> None:
    fit = small_fit()
    table = fit.bootstrap(8, rng=11)
    assert table.columns == [
        "replicate", "Intercept", "x", "sd Intercept | g", "criterion", "converged", "singular",
    ]  # fmt: skip
    assert table.equals(fit.bootstrap(8, rng=11))
    assert table["converged"].all()
    y = fit.simulate(11, 1)[:, 0]
    np.testing.assert_allclose(table["criterion"][0], fit.refit(y).criterion, rtol=1e-9)
    ends = fit.confint("bootstrap", level=0.5, n=8, rng=11)
    assert ends.columns == ["term", "estimate", "conf_low", "conf_high", "failed"]
    with pytest.raises(FitError, match="at least 40"):
        fit.confint("bootstrap", n=8, rng=11)
    with pytest.raises(FitError, match="n is 0"):
        fit.bootstrap(0, rng=1)


def test_replicates_that_cannot_be_fitted_stay_in_the_table() -> None:
    rng = np.random.default_rng(1)
    table = pl.DataFrame({"g": np.arange(30) % 6, "y": (rng.random(30) < 0.06).astype(int)})
    fit = fit_glmm("y ~ 1 + (1 | g)", table)
    drawn = fit.bootstrap(20, rng=3)
    assert drawn.height == 20
    assert not drawn["converged"].all()
    assert drawn.filter(~pl.col("converged"))["Intercept"].is_nan().all()


def test_profiles() -> None:
    fit = small_fit(rows=0.5)
    table = fit.confint("profile", level=0.9)
    assert table["term"].to_list() == [
        "Intercept", "x", "sd Intercept | g", "sd Intercept | row",
    ]  # fmt: skip
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    one = fit.confint("profile", level=0.9, terms=["x"])
    np.testing.assert_allclose(one["conf_low"], table["conf_low"][1], rtol=1e-6)
    with pytest.raises(FitError, match="No parameter is called 'xx'"):
        fit.confint("profile", terms=["xx"])
    with pytest.raises(FitError, match="Did you mean 'profile'"):
        fit.confint("profiles")


def test_profile_of_a_variance_at_zero() -> None:
    rng = np.random.default_rng(4)
    table = planted(rng, 20, 12).with_columns(k=pl.Series(rng.binomial(10, 0.4, 240)))
    fit = fit_glmm("k/n ~ x + (1 | g)", table)
    ends = fit.confint("profile", terms=["sd Intercept | g"])
    assert ends["conf_low"].item() == 0.0
    assert 0.0 < ends["conf_high"].item() < 0.5


def test_another_optimizer_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = small_fit()
    monkeypatch.setattr(descent, "MOST_STEPS", 0)
    table = planted(np.random.default_rng(1), 20, 12)
    stalled = fit_glmm("k/n ~ x + (1 | g)", table, test_dispersion=False)
    assert any("L-BFGS-B took over" in note for note in stalled.notes)
    assert stalled.trace is not None
    assert "l-bfgs-b" in stalled.trace["optimizer"].to_list()
    np.testing.assert_allclose(stalled.criterion, fit.criterion, rtol=1e-8)


def test_an_optimum_that_is_none_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "CONVERGED", -1.0)
    monkeypatch.setattr(estimation, "RELATIVE", -1.0)
    fit = small_fit()
    assert not fit.converged
    assert "did not reach an optimum" in fit.notes[-1]


def overdispersion(seed: int, rows: float) -> float:
    table = planted(np.random.default_rng(seed), 20, 15, rows)
    fit = fit_glmm("k/n ~ x + (1 | g)", table, test_dispersion=False)
    return dispersion(fit.model.estimate.laplace).p_value  # type: ignore[attr-defined]


@pytest.mark.slow
def test_overdispersion_is_found_where_it_is_and_only_there() -> None:
    null = np.array([overdispersion(seed, 0.0) for seed in range(400)])
    # two standard errors of a share of 400
    assert abs((null < 0.05).mean() - 0.05) < 0.025
    assert 0.4 < (null == 1.0).mean() < 0.65
    found = [overdispersion(seed, ROW_SD) < 0.05 for seed in range(100)]
    assert np.mean(found) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", ["wald", "profile"])
def test_coverage_of_intervals(method: str) -> None:
    covered = []
    for seed in range(400 if method == "wald" else 150):
        fit = fit_glmm(
            "k/n ~ x + (1 | g)",
            planted(np.random.default_rng(seed), 25, 12),
            test_dispersion=False,
        )
        options = {} if method == "wald" else {"terms": ["x", "sd Intercept | g"]}
        ends = fit.confint(method, **options).filter(pl.col("term") != "Intercept")
        truth = np.array([SLOPE, SD])[: ends.height]
        low, high = (ends[c].to_numpy() for c in ("conf_low", "conf_high"))
        covered.append((low <= truth) & (truth <= high))
    share = np.array(covered).mean(axis=0)
    # two and a half standard errors, and the SD's interval is asymptotic
    assert (np.abs(share - 0.95) < 0.05).all()


@pytest.mark.slow
def test_coverage_of_bootstrap_intervals() -> None:
    fit = small_fit()
    ends = fit.confint("bootstrap", n=400, rng=1)
    wald = fit.confint("wald")
    width = (ends["conf_high"] - ends["conf_low"])[:2] / (wald["conf_high"] - wald["conf_low"])
    assert ((width > 0.85) & (width < 1.15)).all()
