"""Profile-likelihood intervals against lme4 and against minimising the deviance afresh."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import ndtri

from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.profile import Profile
from distortion.fits.mixed.restricted import Angle, Held, Sd, Sigma
from distortion.fits.mixed.start import moments
from tests.fits.dense import dense_fit
from tests.fits.test_mixed import CASES, criterion_of, design
from tests.golden.models import formula, golden, names

STORED = [
    (name, case)
    for name in names()
    for case, stored in golden(name).cases.items()
    if "profile" in stored.get("confint", {})
]


def term_of(row, stored):
    """lme4's name of a parameter as ours."""
    if row == "sigma":
        return "sd Residual"
    kind, _, rest = row.partition("_")
    if kind not in ("sd", "cor"):
        return stored.term(row)
    inner, _, group = rest.partition("|")
    group = ":".join(reversed(group.split(":")))
    if kind == "sd":
        return f"sd {stored.term(inner)} | {group}"
    second, _, first = inner.partition(".")
    return f"correlation {stored.term(first)}, {stored.term(second)} | {group}"


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), STORED)
def test_agreement_with_lme4(name, case):
    stored = golden(name)
    expected = stored.cases[case]
    fit = fit_lmm(formula(expected), stored.table, levels=stored.levels, method=expected["method"])
    found = fit.confint("profile")
    bounds = expected["confint"]["profile"]
    rows = {row["term"]: row for row in found.iter_rows(named=True)}
    for row, low, high in zip(bounds["rows"], bounds["lower"], bounds["upper"], strict=True):
        term = term_of(row, stored)
        if term not in rows:  # a:b or b:a
            inner, _, group = term.partition(" | ")
            term = f"{inner} | {':'.join(reversed(group.split(':')))}"
        ours = rows.pop(term)
        width = high - low
        # lme4 interpolates ζ by splines between points a third of its usual distance apart
        assert ours["conf_low"] == pytest.approx(low, abs=1e-4 * width)
        assert ours["conf_high"] == pytest.approx(high, abs=1e-4 * width)
    assert not rows


def optimum(seed, case, reml=False):
    shapes, options = CASES[case]
    rows = design(seed, shapes, **options)
    criterion = criterion_of(rows, shapes, reml)
    start = moments(criterion.products, criterion.responses, criterion.template)
    return rows, shapes, minimise(criterion, start).evaluation


@pytest.mark.parametrize("case", ["one slope", "crossed slopes", "three"])
def test_held_criteria_have_the_gradient_that_they_say(case):
    rows, shapes, evaluation = optimum(2, case)
    criterion = evaluation.criterion
    m = criterion.template.n_parameters
    rng = np.random.default_rng(0)
    for place, size in ((Sd(1, 0.7), m), (Sigma(1.3), m), (Angle(0, 1, 0.8), m)):
        held = Held(
            criterion.products,
            criterion.responses,
            criterion.plan,
            criterion.template,
            False,
            place,
        )
        eta = rng.normal(size=size) * 0.5
        at, step = held(eta), 1e-5
        numeric = [
            (held(eta + s).value - held(eta - s).value) / (2 * step) for s in np.eye(size) * step
        ]
        np.testing.assert_allclose(at.gradient, numeric, rtol=1e-5, atol=1e-5)
        # the value is the deviance of a dense V with that σ
        theta, tau = place.phi(eta)[:-1], place.phi(eta)[-1]
        factors = criterion.template.factors(theta)
        dense = dense_fit(rows, shapes, factors, reml=False)
        n = len(rows.y)
        rss = dense.sigma**2 * n
        profiled = n * (1 + np.log(2 * np.pi * rss / n))
        expected = dense.criterion - profiled
        expected += n * np.log(2 * np.pi) + 2 * n * tau + rss * np.exp(-2 * tau)
        assert at.value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", ["one slope", "crossed", "weights", "nested"])
@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_the_deviance_at_an_end_is_that_of_the_quantile(case, reml):
    _, shapes, evaluation = optimum(7, case, reml)
    profile, z = Profile(evaluation), 1.5
    criterion, least = profile.criterion, profile.best.value
    n, template = criterion.products.n, criterion.template

    def deviance(theta, sigma):
        at = criterion(theta)
        return at.value - n * (1 + np.log(at.rss / n)) + 2 * n * np.log(sigma) + at.rss / sigma**2

    def smallest(sigma_at, start):
        """Smallest deviance with σ a function of θ, by a simplex that knows nothing of slopes."""
        options = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 10_000, "maxfev": 10_000}

        def function(theta):
            return deviance(theta, sigma_at(theta))

        start = np.where(np.abs(start) < 0.1, 0.1, start)  # zeros would make it flat
        for _ in range(4):  # a simplex gets stuck; a new one goes on
            found = minimize(function, start, method="Nelder-Mead", options=options)
            start = found.x
        return found.fun

    for end in profile.sigma(z):
        found = smallest(lambda _, end=end: end, profile.best.theta)
        assert found - least == pytest.approx(z**2, abs=1e-6)
    u = shapes[0][1] - 1
    of_u = np.array([k == 0 and row == u for k, row, _ in template.positions])

    def sd(theta):
        return np.linalg.norm(theta[of_u])

    for end in profile.sd(0, u, z):
        if end > 0.0:
            theta = profile.best.theta.copy()
            theta[of_u] *= end / (sd(theta) * profile.best.sigma)
            found = smallest(lambda theta, end=end: end / sd(theta), theta)
            assert found - least == pytest.approx(z**2, abs=1e-6)


def test_fixed_effects_without_random_variance_are_those_of_least_squares():
    rng = np.random.default_rng(0)
    n = 60
    table = pl.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 6})
    y = 2.0 + table["x"].to_numpy() + rng.normal(size=n)
    y -= pl.Series(y).to_frame("y").with_columns(table["g"]).select(
        pl.col("y").mean().over("g")
    ).to_series().to_numpy()  # fmt: skip
    fit = fit_lmm("y ~ x + (1 | g)", table.with_columns(y=y))
    assert fit.singular
    found = fit.confint("profile", level=0.9)
    x = np.column_stack([np.ones(n), table["x"].to_numpy()])
    beta, rss, *_ = np.linalg.lstsq(x, y)
    # n log(rss(b) / rss) = z²
    z = -ndtri(0.05)
    half = np.sqrt(rss * np.expm1(z**2 / n) * np.diagonal(np.linalg.inv(x.T @ x)))
    np.testing.assert_allclose(found["conf_low"][:2], beta - half, rtol=1e-6)
    np.testing.assert_allclose(found["conf_high"][:2], beta + half, rtol=1e-6)
    assert found.filter(pl.col("term") == "sd Intercept | g")["conf_low"][0] == 0.0
    assert found.filter(pl.col("term") == "sd Intercept | g")["conf_high"][0] > 0.0


def test_intervals_follow_the_units_of_the_response_and_contain_each_other():
    stored = golden("sleepstudy")
    text = "Reaction ~ Days + (Days | Subject)"
    fit = fit_lmm(text, stored.table)
    found = fit.confint("profile")
    scaled = fit_lmm(text, stored.table.with_columns(pl.col("Reaction") / 1000)).confint("profile")
    factor = np.where(found["term"].str.starts_with("correlation"), 1.0, 1000.0)
    np.testing.assert_allclose(scaled["conf_low"] * factor, found["conf_low"], rtol=1e-6)
    np.testing.assert_allclose(scaled["conf_high"] * factor, found["conf_high"], rtol=1e-6)
    narrow = fit.confint("profile", level=0.5)
    assert (narrow["conf_low"] > found["conf_low"]).all()
    assert (narrow["conf_high"] < found["conf_high"]).all()
    wide = fit.confint("profile", level=1 - 1e-6, terms=["correlation Intercept, Days | Subject"])
    assert -1.0 <= wide["conf_low"][0] < -0.8
    assert 0.9 < wide["conf_high"][0] <= 1.0


def test_terms_can_be_chosen_and_mistyped():
    stored = golden("sleepstudy")
    fit = fit_lmm("Reaction ~ Days + (Days | Subject)", stored.table)
    assert fit.confint("profile", terms=["Days", "sd Residual"])["term"].to_list() == [
        "Days",
        "sd Residual",
    ]
    with pytest.raises(FitError, match="Did you mean 'Days'"):
        fit.confint("profile", terms=["days"])
    with pytest.raises(FitError, match="Did you mean 'profile'"):
        fit.confint("profiled")
