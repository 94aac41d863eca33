"""Slopes of single networks: closed forms, unbalanced test sets, the control, SIMEX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.counts import accuracies, balances
from distortion.designs import slopes as logged_slopes
from distortion.repairs import networkwise
from distortion.repairs.simex import simex
from tests.logs import worked_example
from tests.repairs.simulated import World, made

SEEDS = st.integers(0, 1000)
UNEQUAL = np.array([40, 100, 60, 200, 80])


def some(seed, n=100, networks=4, classes=5):
    rng = np.random.default_rng(seed)
    n = np.broadcast_to(n, (networks, classes))
    return made(n[0], rng.integers(n * 5 // 10, n + 1), rng.integers(n // 10, n + 1))


def test_worked_example():
    counts = made(10, [[9, 7]], [[7, 5]])
    assert networkwise.plain(counts)[0] == pytest.approx(4 / 3)
    assert networkwise.log_kappa(counts)[0] == pytest.approx(np.log(4 / 3))
    logged = logged_slopes(worked_example())
    assert logged["alpha"][0] == pytest.approx(networkwise.plain(counts)[0])


@given(SEEDS)
def test_balanced_test_sets_need_no_other_reference_and_no_intercept(seed):
    counts = some(seed)
    plain = networkwise.plain(counts)
    np.testing.assert_allclose(networkwise.support_weighted(counts), plain, rtol=1e-10)
    np.testing.assert_allclose(networkwise.macro(counts), plain, rtol=1e-9)
    np.testing.assert_allclose(networkwise.intercepts(counts), 0, atol=1e-12)


@given(SEEDS)
def test_weighted_slope_is_weighted_least_squares_with_or_without_intercept(seed):
    counts = some(seed, UNEQUAL)
    for m, slope in enumerate(networkwise.support_weighted(counts)):
        x, y = (balances(k[m], counts.n[m]) for k in (counts.dense, counts.correct))
        assert np.polyfit(x, y, 1, w=np.sqrt(UNEQUAL))[0] == pytest.approx(slope, rel=1e-7)


@given(SEEDS)
def test_intercept_is_that_of_least_squares(seed):
    counts = some(seed, UNEQUAL)
    for m, found in enumerate(networkwise.intercepts(counts)):
        x, y = (balances(k[m], counts.n[m]) for k in (counts.dense, counts.correct))
        assert np.polyfit(x, y, 1)[1] == pytest.approx(found, abs=1e-10)


def test_macro_reference_does_not_see_supports():
    """Recalls after are an affine function of those before, so macro balances lie on a line."""
    recall = np.array([0.9, 0.8, 0.6, 0.7, 0.5])
    after = 0.1 + 0.5 * recall
    slope = 0.5 * recall.mean() / after.mean()
    for n in (200, UNEQUAL * 10):
        counts = made(n, [np.rint(recall * n)], [np.rint(after * n)])  # whole numbers already
        assert networkwise.macro(counts)[0] == pytest.approx(slope, rel=1e-10)
        assert networkwise.intercepts(counts)[0] == pytest.approx(0, abs=1e-12)
    assert abs(networkwise.plain(counts)[0] - slope) > 1e-3


def test_beyond_control_is_paired_and_undefined_without_a_control():
    dense, correct, control = [[90, 70], [80, 70]], [[80, 40], [70, 60]], [[88, 72], [np.nan] * 2]
    counts = made(100, dense, correct, control=control)
    found = networkwise.beyond_control(counts, networkwise.slopes)
    expected = (
        networkwise.plain(made(100, dense, correct))[0]
        - (networkwise.plain(made(100, dense[:1], [[88, 72]]))[0])
    )
    assert found[0] == pytest.approx(expected)
    assert np.isnan(found[1])
    for without in (made(100, dense, correct), made(100, dense, correct, control=control,
                                                    arm="control")):  # fmt: skip
        assert np.isnan(networkwise.beyond_control(without, networkwise.slopes)).all()


def test_undefined_where_there_is_no_pattern_or_no_accuracy():
    counts = made(10, [[8, 8], [9, 7], [9, 7]], [[9, 7], [0, 0], [6, 6]])
    np.testing.assert_array_equal(np.isnan(networkwise.plain(counts)), [True, True, False])
    np.testing.assert_array_equal(np.isnan(networkwise.log_kappa(counts)), [True, True, True])
    assert networkwise.plain(counts)[2] == 0


@given(SEEDS)
def test_order_of_classes_does_not_matter(seed):
    counts = some(seed, UNEQUAL)
    order = np.random.default_rng(seed).permutation(5)
    other = made(UNEQUAL[order], counts.dense[:, order], counts.correct[:, order])
    for estimator in (
        networkwise.plain, networkwise.macro, networkwise.intercepts, networkwise.log_kappa,
        networkwise.support_weighted,
    ):  # fmt: skip
        np.testing.assert_allclose(estimator(counts), estimator(other), rtol=1e-8, atol=1e-12)


def independent_images(rng, networks, n):
    """Before and after counted on different images of the same classes."""
    recall = 0.85 * (1 + np.linspace(-0.1, 0.1, 10))
    after = 0.75 * (1 + 1.5 * np.linspace(-0.1, 0.1, 10))
    draw = (rng.binomial(n, p, (networks, 10)) for p in (recall, after))
    return made(n, *draw)


def test_simex_recovers_a_slope_diluted_by_image_noise():
    rng = np.random.default_rng(1)
    counts = independent_images(rng, 1000, 200)
    assert networkwise.plain(counts).mean() < 1.35
    # Quadratic extrapolation leaves some bias here: see Cook and Stefanski (1994).
    assert simex(counts, rng, draws=40).mean() == pytest.approx(1.5, abs=0.05)


def test_simex_without_image_noise_is_the_plain_slope():
    rng = np.random.default_rng(2)
    counts = made(10**9, [[9 * 10**8, 7 * 10**8]], [[8 * 10**8, 5 * 10**8]])
    assert simex(counts, rng)[0] == pytest.approx(networkwise.plain(counts)[0], rel=1e-6)


def test_simex_draws_what_its_generator_says():
    counts = World().counts(np.random.default_rng(3), 5, n=1000)
    one, same, other = (simex(counts, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()
    # What the docstring promises for ten networks and 1,000 images, five times over.
    assert abs(one.mean() - other.mean()) < 0.005


def test_simex_over_corrects_where_images_are_shared():
    """Nothing happens: the slope on these images is 1, and the noise is common."""
    rng = np.random.default_rng(4)
    dense = independent_images(rng, 50, 200).dense
    assert simex(made(200, dense, dense), rng).mean() > 1.03
    assert (accuracies(dense, np.full_like(dense, 200)) > 0.8).all()
