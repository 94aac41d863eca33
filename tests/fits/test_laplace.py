"""The arithmetic of generalised linear mixed models against brute force."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from distortion.fits.laplace import leverage, modes
from distortion.fits.laplace.betabinomial import BetaBinomial, rising
from distortion.fits.laplace.curvature import hessian, positive
from distortion.fits.laplace.deviance import Laplace, Problem
from distortion.fits.laplace.estimation import estimate
from distortion.fits.laplace.families import find_family
from distortion.fits.laplace.family import Counts
from distortion.fits.laplace.quadrature import Quadrature
from distortion.fits.laplace.rowwise import RowEffect
from distortion.fits.mixed import plan
from tests.fits.countdesigns import (
    a_point,
    dense_laplace,
    differences,
    indicators,
    problem,
)

FAMILIES = [
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("poisson", "log"),
    ("beta-binomial", "logit"),
    ("beta-binomial", "probit"),
    ("beta-binomial", "cloglog"),
]
# (levels, coefficients) per grouping, rows
DESIGNS = {
    "one": ([(8, 1)], 60),
    "slopes": ([(8, 2)], 60),
    "crossed": ([(12, 1), (5, 1)], 60),
    "crossed slopes": ([(20, 2), (6, 2), (4, 1)], 120),
    "nested": ([(24, 1), (8, 1)], 90),
    "nested beside slopes": ([(24, 2), (8, 1), (3, 2)], 120),
    "nested slopes": ([(24, 1), (8, 2), (4, 1)], 120),
    "sparse": ([(40, 1), (20, 1), (10, 1)], 120),
    "sparse slopes": ([(25, 2), (20, 2)], 120),
}


def close(found: np.ndarray, wanted: np.ndarray, scale: float) -> None:
    # rounding errors of criteria, 1e-13, are divided by steps of 2e-4
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7 * scale)


@pytest.mark.parametrize(("family", "link"), FAMILIES)
@given(seed=st.integers(0, 2**32 - 1), which=st.sampled_from(["one", "slopes", "crossed"]))
@settings(max_examples=5, deadline=None)
def test_value_and_gradient_on_random_designs(
    family: str, link: str, seed: int, which: str
) -> None:
    rng = np.random.default_rng(seed)
    shapes, n = DESIGNS[which]
    made = problem(rng, n, shapes, family, link, weights=bool(seed % 2))
    point = a_point(rng, made, 0.4)
    at = Laplace(made, profiled=False)(point)
    concave = family != "beta-binomial"
    value, leverages = dense_laplace(made, point, None if concave else at.modes.u)
    np.testing.assert_allclose(at.value, value, rtol=1e-9)
    np.testing.assert_allclose(at.leverage, leverages, atol=1e-8)
    close(at.gradient, differences(Laplace(made, profiled=False), point, at), 10.0)


@pytest.fixture(autouse=True, scope="module")
def exact_modes() -> Iterator[None]:
    """Find conditional modes to all digits, so that differences of criteria have some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modes, "TOLERANCE", 1e-24)
        yield


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose eliminations as for large designs."""
    monkeypatch.setattr(plan, "FEW_COLUMNS", 7)
    monkeypatch.setattr(plan, "SPARSE_COST", 3)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("which", DESIGNS)
@pytest.mark.parametrize("profiled", [False, True])
def test_every_elimination(which: str, profiled: bool) -> None:
    shapes, n = DESIGNS[which]
    kind = {"nested": "Nested", "sparse": "Sparse"}.get(which.split()[0], "Dense")
    rng = np.random.default_rng(5)
    made = problem(rng, n, shapes, "binomial", "probit", nested=kind == "Nested")
    assert type(made.weighting.refill.plan.elimination).__name__ == kind
    point = a_point(rng, made)
    criterion = Laplace(made, profiled=profiled)
    at = criterion(point[: made.m] if profiled else point)
    if not profiled:
        value, leverages = dense_laplace(made, point)
        np.testing.assert_allclose(at.value, value, rtol=1e-10)
        np.testing.assert_allclose(at.leverage, leverages, atol=1e-9)
    close(at.gradient, differences(criterion, at.point, at), 10.0)


@pytest.mark.usefixtures("small_limits")
def test_leverages_some_levels_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = problem(np.random.default_rng(6), *reversed(DESIGNS["sparse"]))
    at = Laplace(made, profiled=False)(a_point(np.random.default_rng(7), made))
    whole = leverage.leverages(made.weighting.design, at.factor)
    monkeypatch.setattr(leverage, "MOST_ENTRIES", 300)
    parts = leverage.leverages(made.weighting.design, at.factor)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


@pytest.mark.parametrize(("family", "link"), FAMILIES[:4])
def test_an_effect_of_every_row_is_a_grouping_factor_with_a_level_for_each(
    family: str, link: str
) -> None:
    rng = np.random.default_rng(8)
    n = 50
    made = problem(rng, n, [(n, 1), (7, 1)], family, link)
    point = a_point(rng, made)
    explicit = Laplace(made, profiled=False)(point)
    design = made.weighting.design.keeping([1])
    order = made.weighting.design.codes[0]
    assert (np.sort(order) == np.arange(n)).all()
    weighting = type(made.weighting).of(design, ["b"])
    template = type(made.template)(made.template.free[1:])
    implicit = Laplace(Problem(weighting, RowEffect(made.family), template), profiled=False)
    at = implicit(np.append(point[1:], point[0]))
    np.testing.assert_allclose(at.value, explicit.value, rtol=1e-10)
    np.testing.assert_allclose(np.roll(at.gradient, 1), explicit.gradient, rtol=1e-7, atol=1e-7)
    family_of_rows = at.problem.family
    assert isinstance(family_of_rows, RowEffect)
    mode, variance = family_of_rows.effects(at.modes.step, at.weighing, at.leverage, point[0])
    np.testing.assert_allclose(mode, explicit.modes.b[0][order], rtol=1e-7, atol=1e-9)
    blocks = explicit.factor.conditional_variances()[0][:, 0, 0]
    np.testing.assert_allclose(variance, blocks[order], rtol=1e-8)


@pytest.mark.parametrize(("family", "link"), FAMILIES[:4])
@pytest.mark.parametrize("nu", [0.0, 0.05, 1.5])
def test_gradient_with_an_effect_of_every_row(family: str, link: str, nu: float) -> None:
    rng = np.random.default_rng(9)
    made = problem(rng, 50, [(12, 1), (5, 1)], family, link, rows=True)
    point = a_point(rng, made, nu)
    criterion = Laplace(made, profiled=False)
    at = criterion(point)
    np.testing.assert_allclose(at.value, dense_laplace(made, point)[0], rtol=1e-9)
    close(at.gradient, differences(criterion, point, at), 10.0)


def test_the_mode_of_a_row_is_found_from_afar() -> None:
    counts = Counts(np.array([0.0, 0.0, 1000.0, 1000.0, 5.0]))
    eta = np.array([-200.0, 60.0, -60.0, 20.0, 1.0])
    family = RowEffect(find_family("poisson"))
    step = family.step(eta, counts, 3.0)
    reached = family.reached(step)
    np.testing.assert_allclose(reached, eta + 9.0 * step.score, rtol=1e-7)


def exact(made: Problem, point: np.ndarray) -> float:
    """−2 log-likelihood of one scalar term, level by level by numerical integration."""
    design, family = made.weighting.design, made.family
    fixed = design.fixed(point[1 : 1 + made.p])
    [z] = indicators(made)
    normaliser = family.normaliser(design.counts)
    total = 0.0
    for level in range(z.shape[1]):
        rows = z[:, level] != 0.0
        counts = Counts(
            design.counts.y[rows],
            None if design.counts.trials is None else design.counts.trials[rows],
        )
        shape = float(point[-1]) if family.shaped else 0.0

        def log_density(u: float, rows: np.ndarray = rows, counts: Counts = counts) -> float:
            eta = fixed[rows] + point[0] * u * z[rows, level]  # noqa: B023
            return float(family.step(eta, counts, shape).loglik.sum()) - u**2 / 2.0  # noqa: B023

        grid = np.linspace(-5.0, 5.0, 41)
        top = max(log_density(u) for u in grid)
        area, _ = integrate.quad(
            lambda u: np.exp(log_density(u) - top),  # noqa: B023
            -9.0, 9.0, points=[-3.0, 0.0, 3.0], epsabs=0.0, epsrel=1e-11, limit=200,
        )  # fmt: skip
        total += np.log(area) + top - 0.5 * np.log(2.0 * np.pi) + normaliser[rows].sum()
    return -2.0 * total


@pytest.mark.parametrize(("family", "link"), FAMILIES[:5])
def test_quadrature_against_integration(family: str, link: str) -> None:
    rng = np.random.default_rng(10)
    made = problem(rng, 24, [(4, 1)], family, link)
    point = a_point(rng, made, 0.3)
    at = Quadrature(made, 25)(point)
    np.testing.assert_allclose(at.value, exact(made, point), rtol=1e-9)


@pytest.mark.parametrize(("family", "link"), FAMILIES)
@pytest.mark.parametrize("n_points", [1, 4])
def test_gradient_of_quadrature(family: str, link: str, n_points: int) -> None:
    rng = np.random.default_rng(11)
    made = problem(rng, 60, [(9, 1)], family, link)
    # a slope instead of an intercept
    design = made.weighting.design
    design = replace(design, covariates=((rng.normal(size=60),),))
    made = replace(made, weighting=type(made.weighting).of(design, ["a"]))
    point = a_point(rng, made, 0.3)
    criterion = Quadrature(made, n_points)
    at = criterion(point)
    close(at.gradient, differences(criterion, point, at), 10.0)
    if n_points == 1:
        laplace = Laplace(made, profiled=False)(point)
        np.testing.assert_allclose(at.value, laplace.value, rtol=1e-12)
        np.testing.assert_allclose(at.gradient, laplace.gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rows", [False, True])
def test_hessian_without_iterations_is_that_with_them(rows: bool) -> None:
    rng = np.random.default_rng(12)
    made = problem(rng, 200, [(20, 2), (6, 1)], "binomial", "cloglog", rows=rows)
    found = estimate(made)
    criterion, at = found.criterion, found.evaluation
    columns = []
    for i, size in enumerate(1e-3 * np.sqrt(2.0 / np.diagonal(found.matrix))):
        shift = np.zeros(len(at.point))
        shift[i] = size
        ahead, behind = criterion(at.point + shift, at), criterion(at.point - shift, at)
        columns.append((ahead.gradient - behind.gradient) / (2.0 * size))
    scale = 1.0 / np.sqrt(np.abs(np.diagonal(found.hessian)))
    slow = np.array(columns) * np.outer(scale, scale)
    quick = hessian(criterion, at, found.matrix) * np.outer(scale, scale)
    np.testing.assert_allclose(quick, slow, atol=1e-5)
    assert np.linalg.eigvalsh(positive(-found.hessian))[0] > 0


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_derivatives_of_families_stay_finite_at_extremes(family: str, link: str) -> None:
    chosen = find_family(family, link)
    eta = np.array([-1e6, -800.0, -40.0, -5.0, 0.0, 2.0, 40.0, 800.0, 1e6])
    for y in (0.0, 3.0, 7.0):
        trials = None if family == "poisson" else np.full(len(eta), 7.0)
        counts = Counts(np.full(len(eta), y), trials)
        step = chosen.step(eta, counts, 0.5)
        weighing = chosen.weigh(eta, counts, 0.5, step)
        for part in (step.loglik, step.score, step.positive, weighing.weight, weighing.slope):
            assert np.isfinite(part).all()
        assert (step.positive >= 0.0).all()


def test_rising_factorials() -> None:
    rng = np.random.default_rng(13)
    a, k = np.exp(rng.uniform(-5.0, 6.0, 300)), rng.integers(0, 200, 300).astype(float)
    found = rising(a, k)
    wanted = (
        special.gammaln(a + k) - special.gammaln(a),
        *(special.polygamma(i, a + k) - special.polygamma(i, a) for i in range(3)),
    )
    for one, other in zip(found, wanted, strict=True):
        # the difference of two gammas loses the digits; the series does not
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_beta_binomial_probabilities() -> None:
    eta, nu = np.full(8, 0.4), 0.6
    counts = Counts(np.arange(8.0), np.full(8, 7.0))
    family = BetaBinomial()
    loglik = family.step(eta, counts, nu).loglik + family.normaliser(counts)
    phi, p = nu**-2.0, special.expit(0.4)
    y = counts.y
    wanted = (
        special.binom(7, y)
        * special.beta(y + phi * p, 7 - y + phi * (1 - p))
        / special.beta(phi * p, phi * (1 - p))
    )
    np.testing.assert_allclose(np.exp(loglik), wanted, rtol=1e-12)
    mean = wanted @ y
    variance = wanted @ (y - mean) ** 2
    np.testing.assert_allclose(variance, family.variance(np.full(8, p), counts, nu)[0], rtol=1e-12)


def test_a_beta_binomial_without_dispersion_is_binomial() -> None:
    rng = np.random.default_rng(14)
    made = problem(rng, 60, [(8, 1)])
    wide = replace(made, family=BetaBinomial())
    point = a_point(rng, made)
    one = Laplace(made, profiled=False)(point)
    other = Laplace(wide, profiled=False)(np.append(point, 0.0))
    np.testing.assert_allclose(other.value, one.value, rtol=1e-9)
    np.testing.assert_allclose(other.gradient[:-1], one.gradient, rtol=1e-5, atol=1e-6)
