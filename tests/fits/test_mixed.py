"""The arithmetic of mixed models against dense matrices, on designs drawn at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion.fits.mixed import plan as planning
from distortion.fits.mixed import products as crossing
from distortion.fits.mixed.criterion import Criterion, hessian
from distortion.fits.mixed.elimination import Dense
from distortion.fits.mixed.nested import Nested
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.pairs import Sparse
from distortion.fits.mixed.plan import make_plan
from distortion.fits.mixed.products import Accumulator
from distortion.fits.mixed.start import moments
from distortion.fits.mixed.template import Template
from tests.fits.dense import Rows, dense_fit

# Sums in another order: 1e-9 relative, of numbers that add up to a few hundred.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}


def lower(r):
    return np.tril(np.ones((r, r), dtype=bool))


def design(seed, shapes, n=60, nested=False, weights=False, p=3):
    """Rows with every level present, and responses with all variances positive."""
    rng = np.random.default_rng(seed)
    codes = []
    for k, (n_levels, _) in enumerate(shapes):
        drawn = rng.permutation(np.arange(n) % n_levels)
        codes.append(drawn if not (nested and k == 1) else codes[0] // 2 % n_levels)
    covariates = tuple(
        None if r == 1 else np.column_stack([np.ones(n), *rng.normal(size=(r - 1, n))])
        for _, r in shapes
    )
    x = np.column_stack([np.ones(n), *rng.normal(size=(p - 1, n))])
    y = x @ rng.normal(size=p) + rng.normal(size=n)
    for code, (n_levels, _) in zip(codes, shapes, strict=True):
        y = y + rng.normal(size=n_levels)[code]
    w = rng.uniform(0.5, 2.0, size=n) if weights else None
    return Rows(y, x, tuple(np.int32(c) for c in codes), covariates, w)


def criterion_of(rows, shapes, reml=True, free=None, chunk=17):
    accumulator = Accumulator(shapes, rows.X.shape[1])
    for start in range(0, len(rows.y), chunk):
        accumulator.add(rows.part(slice(start, start + chunk)))
    products, responses = accumulator.finish()
    plan = make_plan(products, tuple("abc"[: len(shapes)]))
    template = Template(tuple(lower(r) for _, r in shapes) if free is None else free)
    return Criterion(products, responses, plan, template, reml)


CASES = {
    "one grouping": (((8, 1),), {}),
    "one slope": (((8, 2),), {}),
    "crossed": (((9, 1), (4, 1)), {}),
    "crossed slopes": (((7, 2), (4, 2)), {}),
    "three": (((9, 1), (5, 2), (3, 1)), {}),
    "weights": (((9, 2), (4, 1)), {"weights": True}),
    "nested": (((10, 1), (5, 1), (3, 1)), {"nested": True}),
    "nested slopes": (((10, 2), (5, 2), (3, 1)), {"nested": True}),
}


@pytest.fixture(params=["dense", "sparse"])
def way(request, monkeypatch):
    """Make small designs take the roads of large ones."""
    monkeypatch.setattr(planning, "FEW_COLUMNS", 0)
    if request.param == "sparse":
        monkeypatch.setattr(planning, "SPARSE_COST", 0)
        monkeypatch.setattr(crossing, "DENSE_SHARE", 2.0)
    return request.param


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_everything_agrees_with_dense_matrices(case, reml, way):
    shapes, options = CASES[case]
    rows = design(3, shapes, **options)
    criterion = criterion_of(rows, shapes, reml)
    if len(shapes) > 1 and not options.get("nested"):
        assert isinstance(criterion.plan.elimination, Sparse if way == "sparse" else Dense)
    if options.get("nested"):
        assert isinstance(criterion.plan.elimination, Nested)
    rng = np.random.default_rng(0)
    theta = rng.normal(size=criterion.template.n_parameters)
    factors = criterion.template.factors(theta)
    evaluation, dense = criterion(theta), dense_fit(rows, shapes, factors, reml)
    np.testing.assert_allclose(evaluation.value, dense.criterion, **CLOSE)
    np.testing.assert_allclose(evaluation.solution.beta[:, 0], dense.beta, **CLOSE)
    np.testing.assert_allclose(evaluation.sigma, dense.sigma, **CLOSE)
    vcov = evaluation.sigma**2 * evaluation.factor.xvx_inverse
    np.testing.assert_allclose(vcov, dense.vcov, **CLOSE)
    for found, expected in zip(evaluation.solution.b, dense.b, strict=True):
        np.testing.assert_allclose(found[:, 0], expected, **CLOSE)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), case=st.sampled_from(sorted(CASES)), reml=st.booleans())
def test_the_gradient_is_that_of_the_criterion(seed, case, reml):
    shapes, options = CASES[case]
    criterion = criterion_of(design(seed, shapes, **options), shapes, reml)
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=criterion.template.n_parameters)
    step = 1e-5
    numeric = [
        (criterion(theta + shift).value - criterion(theta - shift).value) / (2 * step)
        for shift in np.eye(len(theta)) * step
    ]
    # central differences of a number of size 1e2 with step 1e-5 are good to about 1e-7
    np.testing.assert_allclose(criterion(theta).gradient, numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_holds_at_zero_variances(case, way):
    shapes, options = CASES[case]
    criterion = criterion_of(design(5, shapes, **options), shapes)
    theta = np.zeros(criterion.template.n_parameters)
    np.testing.assert_allclose(criterion(theta).gradient, 0.0, atol=1e-12)
    tiny = theta + 1e-6
    # the derivative in a variance, which is what the optimizer needs there, stays finite
    assert all(np.isfinite(score).all() for score in criterion(tiny).scores)
    ahead = criterion(np.full_like(theta, 1e-3)).scores
    for near, far in zip(criterion(tiny).scores, ahead, strict=True):
        np.testing.assert_allclose(near, far, rtol=1e-3, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), case=st.sampled_from(sorted(CASES)))
def test_the_optimum_is_one(seed, case):
    shapes, options = CASES[case]
    criterion = criterion_of(design(seed, shapes, **options), shapes)
    start = moments(criterion.products, criterion.responses, criterion.template)
    optimum = minimise(criterion, start)
    assert optimum.converged
    theta = optimum.evaluation.theta
    # −2 log L within 1e-6 of every neighbour: the promise of the stopping rule, with room
    for shift in np.vstack([np.eye(len(theta)), -np.eye(len(theta))]) * 1e-2:
        assert criterion(theta + shift).value >= optimum.evaluation.value - 1e-6
    # no other start does better by more than rounding
    other = minimise(criterion, np.abs(np.random.default_rng(seed).normal(size=len(theta))))
    assert optimum.evaluation.value <= other.evaluation.value + 1e-4


def test_the_information_is_near_the_hessian_at_the_optimum():
    shapes = ((40, 1), (10, 1))
    criterion = criterion_of(design(1, shapes, n=2000), shapes)
    start = moments(criterion.products, criterion.responses, criterion.template)
    evaluation = minimise(criterion, start).evaluation
    np.testing.assert_allclose(
        evaluation.information, hessian(criterion, evaluation), rtol=0.2, atol=1.0
    )


def test_chunks_make_no_difference():
    shapes = ((9, 2), (4, 1))
    rows = design(2, shapes)
    theta = np.array([0.5, 0.1, 0.3, 0.7])
    values = [criterion_of(rows, shapes, chunk=chunk)(theta).value for chunk in (1, 13, 60)]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


def test_too_many_crossed_effects_are_refused(monkeypatch):
    from distortion.errors import FitError

    monkeypatch.setattr(planning, "MOST_DENSE", 3)
    shapes = ((9, 1), (4, 1))
    with pytest.raises(FitError, match=r"b \(4 columns\) are large and crossed.*3 are the most"):
        criterion_of(design(2, shapes), shapes)
