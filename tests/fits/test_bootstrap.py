"""Refits of many responses at once: the draws, the fits and the intervals made of them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.fits.mixed import batches, refits
from distortion.fits.mixed.batches import Batch, OneByOne, many
from distortion.fits.mixed.draws import draws
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.refits import lifted, refit
from distortion.fits.models import replicates
from tests.fits.dense import random_columns
from tests.fits.test_mixed import CASES, criterion_of, design
from tests.golden.models import golden

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep():
    return fit_lmm(SLEEP, golden("sleepstudy").table)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    case=st.sampled_from(sorted(CASES)),
    reml=st.booleans(),
    few=st.booleans(),
)
def test_a_batch_of_evaluations_is_that_of_single_ones(seed, case, reml, few):
    shapes, options = CASES[case]
    criterion = criterion_of(design(seed, shapes, **options), shapes, reml)
    with pytest.MonkeyPatch.context() as patch:
        if few:
            patch.setattr(batches, "MOST_PAIRS", 0)
        function = many(criterion, criterion.responses)
    assert isinstance(function, OneByOne if few else Batch)
    theta = np.random.default_rng(seed).normal(size=(4, criterion.template.n_parameters))
    theta[0] = 0.0
    found = function(theta, np.zeros(4, dtype=int))
    for i, at in enumerate(map(criterion, theta)):
        assert found.value[i] == pytest.approx(at.value, rel=1e-9)
        np.testing.assert_allclose(found.gradient[i], at.gradient, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(found.beta[i], at.solution.beta[:, 0], rtol=1e-7, atol=1e-8)
        assert found.rss[i] == pytest.approx(at.rss, rel=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_draws_have_the_covariance_of_the_columns(case):
    shapes, options = CASES[case]
    rows = design(3, shapes, **options)
    found = draws(criterion_of(rows, shapes).products)
    zs = [
        random_columns(c, v, s[0])
        for c, v, s in zip(rows.codes, rows.covariates, shapes, strict=True)
    ]
    rest = [z for k, z in enumerate(zs) if k != found.first]
    zx = np.hstack([zs[found.first], *rest, rows.X])
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    n_levels, r, _ = found.own.shape
    own = np.zeros((n_levels * r,) * 2)
    for level, block in enumerate(found.own):
        own[level * r : (level + 1) * r, level * r : (level + 1) * r] = block
    beside = np.hstack(
        [part if isinstance(part, np.ndarray) else part.toarray() for part in found.beside]
    )
    root = np.block([[own, np.zeros((len(own), found.root.shape[1]))], [beside.T, found.root]])
    np.testing.assert_allclose(root @ root.T, zx.T @ (weights[:, None] * zx), atol=1e-10)
    assert found.used.sum() + found.root.shape[1] == np.linalg.matrix_rank(zx)


@pytest.mark.parametrize("case", ["crossed slopes", "weights", "nested"])
def test_draws_have_the_moments_of_the_model(case):
    shapes, options = CASES[case]
    rows = design(3, shapes, **options)
    criterion = criterion_of(rows, shapes)
    theta = np.abs(np.random.default_rng(2).normal(size=criterion.template.n_parameters))
    factors, beta, sigma = criterion.template.factors(theta), np.array([1.0, 2, -1]), 0.7
    drawn, rng, m = draws(criterion.products), np.random.default_rng(0), 20_000
    blocks = [drawn.responses(rng, beta, factors, sigma, 200) for _ in range(m // 200)]
    yy = np.concatenate([np.diagonal(block.yy) for block in blocks])
    xy = np.hstack([block.xy for block in blocks])
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    w, mean, v = np.diag(weights), rows.X @ beta, np.diag(1 / weights)
    zs = [
        random_columns(c, u, s[0])
        for c, u, s in zip(rows.codes, rows.covariates, shapes, strict=True)
    ]
    for z, factor, (n_levels, _) in zip(zs, factors, shapes, strict=True):
        v = v + z @ np.kron(np.eye(n_levels), factor @ factor.T) @ z.T
    v = v * sigma**2
    # moments of 20,000 draws: 5 standard errors for means, 5 % for (co)variances
    variance = 2 * np.trace(w @ v @ w @ v) + 4 * mean @ w @ v @ w @ mean
    assert abs(yy.mean() - mean @ w @ mean - np.trace(w @ v)) < 5 * np.sqrt(variance / m)
    assert yy.var() == pytest.approx(variance, rel=0.05)
    for k, z in enumerate(zs):
        zy = np.hstack([block.zy[k] for block in blocks])
        expected, size = z.T @ w @ mean, z.T @ w @ v @ w @ z
        error = np.sqrt(np.diagonal(size) / m)
        assert (np.abs(zy.mean(axis=1) - expected) < 5 * error).all()
        np.testing.assert_allclose(np.cov(zy), size, atol=0.05 * np.abs(size).max())
        crossed = np.cov(np.vstack([zy, xy]))[: len(z.T), len(z.T) :]
        expected = z.T @ w @ v @ w @ rows.X
        np.testing.assert_allclose(crossed, expected, atol=0.05 * np.abs(expected).max())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), case=st.sampled_from(sorted(CASES)))
@example(seed=1338, case="nested slopes")  # one of them lies at the end of a long, bent valley
def test_refits_find_the_optima(seed, case):
    shapes, options = CASES[case]
    criterion = criterion_of(design(seed, shapes, **options), shapes)
    m = criterion.template.n_parameters
    start = criterion.template.start()
    responses = draws(criterion.products).responses(
        np.random.default_rng(seed), np.ones(3), criterion.template.factors(np.full(m, 0.5)), 1.0, 6
    )
    found = refit(criterion, start, responses)
    assert found.converged.all()
    for i in range(6):
        alone = criterion.for_responses(responses.one(i))
        best = minimise(alone, start).evaluation
        # tables this small can have more than one optimum; either may be found
        assert np.abs(alone(found.theta[i]).gradient).max() < 1e-3
        # where both are at the same optimum
        if abs(found.value[i] - best.value) < 1e-6:
            np.testing.assert_allclose(found.beta[i], best.solution.beta[:, 0], atol=1e-3)
            assert found.sigma[i] == pytest.approx(best.sigma, rel=1e-3)


def test_given_responses_are_fitted_as_one_by_one(sleep):
    y = sleep.simulate(3, 5)
    found = sleep.model.refit_many(y)
    for i, row in enumerate(found.iter_rows(named=True)):
        alone = sleep.refit(y[:, i])
        assert row["criterion"] == pytest.approx(alone.criterion, abs=1e-6)
        assert row["converged"]
        assert row["singular"] == alone.singular
        np.testing.assert_allclose([row["Intercept"], row["Days"]], alone.coefficients, rtol=1e-5)
        sds = alone.variances["sd"]
        named = ["sd Intercept | Subject", "sd Days | Subject", "sd Residual"]
        np.testing.assert_allclose([row[name] for name in named], sds, rtol=1e-3)
        correlation = alone.variances["correlation"][1]
        assert row["correlation Intercept, Days | Subject"] == pytest.approx(correlation, abs=1e-3)
    with pytest.raises(FitError, match=r"of shape \(180, m\)"):
        sleep.model.refit_many(y[:-1])
    with pytest.raises(FitError, match="finite"):
        sleep.model.refit_many(np.full((180, 2), np.nan))


def test_a_bootstrap_is_tidy_and_repeats_itself(sleep):
    found = sleep.bootstrap(300, rng=1)
    assert found.columns == [
        "replicate",
        "Intercept",
        "Days",
        "sd Intercept | Subject",
        "sd Days | Subject",
        "correlation Intercept, Days | Subject",
        "sd Residual",
        "criterion",
        "converged",
        "singular",
    ]
    assert found["replicate"].to_list() == list(range(1, 301))
    assert found["converged"].all()
    assert found.equals(sleep.bootstrap(300, rng=np.random.default_rng(1)))
    # the sampling distribution that the fit states, with 5 standard errors of 300 draws
    error = sleep.estimates["std_error"].to_numpy()
    for name, beta, se in zip(sleep.names, sleep.coefficients, error, strict=True):
        assert found[name].mean() == pytest.approx(beta, abs=5 * se / np.sqrt(300))
        assert found[name].std() == pytest.approx(se, rel=5 / np.sqrt(600))
    with pytest.raises(FitError, match="n is 0"):
        sleep.bootstrap(0, rng=1)


def test_offsets_and_weights_are_kept():
    table = golden("sleepstudy").table
    fit = fit_lmm("Reaction ~ Days + offset(shift) + (1 | Subject)", table, weights="precision")
    y = fit.simulate(1, 3)
    found = fit.model.refit_many(y)
    expected = [fit.refit(y[:, i]).coefficients for i in range(3)]
    np.testing.assert_allclose(found.select("Intercept", "Days").to_numpy(), expected, rtol=1e-6)
    drawn = fit.bootstrap(400, rng=2)
    error = fit.estimates["std_error"].to_numpy()
    centre = drawn.select("Intercept", "Days").mean().to_numpy()[0]
    np.testing.assert_allclose(centre / error, fit.coefficients / error, atol=5 / np.sqrt(400))


def test_a_singular_fit_is_left_by_its_replicates():
    fit = fit_lmm("Yield ~ 1 + (1 | Batch)", golden("dyestuff2").table)
    assert fit.singular
    found = fit.bootstrap(400, rng=1)
    # half of the replicates of a zero variance have a positive estimate
    assert 0.3 < found["singular"].mean() < 0.8
    assert (found.filter(~pl.col("singular"))["sd Intercept | Batch"] > 0).all()


def test_failed_replicates_are_counted_and_stay(sleep, monkeypatch):
    def stuck(function, criterion, start, m):
        converged = np.arange(m) % 10 != 0
        return np.tile(start, (m, 1)), converged

    def refuse(criterion, start):
        raise FitError("no optimum")

    monkeypatch.setattr(refits, "_bfgs", stuck)
    monkeypatch.setattr(refits, "minimise", refuse)
    found = sleep.bootstrap(100, rng=1)
    assert (~found["converged"]).sum() == 10
    assert sleep.confint("bootstrap", n=100, rng=1)["failed"].to_list() == [10] * 6
    monkeypatch.setattr(refits, "_bfgs", lambda f, c, s, m: (np.tile(s, (m, 1)), np.zeros(m, bool)))
    with pytest.raises(FitError, match="No replicate of 100"):
        sleep.confint("bootstrap", n=100, rng=1)


def test_percentile_intervals(sleep):
    found = sleep.confint("bootstrap", n=2000, rng=4)
    assert found.columns == ["term", "estimate", "conf_low", "conf_high", "failed"]
    wald = sleep.confint("wald", level=0.95)
    width = (wald["conf_high"] - wald["conf_low"]).to_numpy()
    # 2.5 % quantiles of 2,000 draws are known to a twentieth of the width; t quantiles are wider
    np.testing.assert_allclose(found["conf_low"][:2] / width, wald["conf_low"] / width, atol=0.08)
    np.testing.assert_allclose(found["conf_high"][:2] / width, wald["conf_high"] / width, atol=0.08)
    narrow = sleep.confint("bootstrap", n=2000, rng=4, level=0.5)
    assert (narrow["conf_low"] > found["conf_low"]).all()
    with pytest.raises(FitError, match="ask for at least 40"):
        sleep.confint("bootstrap", n=10, rng=1)


def test_blocks_make_no_difference_to_given_responses(sleep, monkeypatch):
    y = sleep.simulate(3, 7)
    whole = sleep.model.refit_many(y)
    monkeypatch.setattr(replicates, "BLOCK", 2)
    parts = sleep.model.refit_many(y)
    np.testing.assert_allclose(
        parts.drop("converged", "singular").to_numpy(),
        whole.drop("converged", "singular").to_numpy(),
        rtol=1e-6,
    )


def test_starts_are_lifted_from_zero():
    start = lifted(np.array([0.0, 0.0, 2.0]), np.array([True, False, True]), np.full(3, 10.0))
    np.testing.assert_allclose(start, [0.3, 0.0, 2.0])
