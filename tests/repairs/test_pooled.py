"""Ratios of sums: identities between them, planted truths, Deming, weights of networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.repairs import pooled
from distortion.repairs.estimators import ESTIMATORS
from distortion.repairs.moments import moments
from tests.repairs.simulated import World, made

BY_NAME = {estimator.name: estimator for estimator in ESTIMATORS}
POOLED = [e for e in ESTIMATORS if e.by_sums is not None and "split" not in e.name]


def value(quotient, m):
    numerator, denominator = quotient(m)
    return (numerator / denominator)[0]


def some_moments(seed, networks=7, weights=None):
    x, y = World().balances(np.random.default_rng(seed), networks)
    return x, y, moments(x, y, np.ones((1, networks)) if weights is None else weights)


@given(st.integers(0, 1000), st.integers(2, 12))
def test_instrument_and_moment_slope_are_one_estimator(seed, networks):
    x, y, m = some_moments(seed, networks)
    others = (x.sum(axis=0) - x) / (networks - 1)
    instrument = (others * y).sum() / (others * x).sum()
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).sum() / (networks - 1)
    s_w = x.var(axis=0, ddof=1).sum()
    by_moments = ((x * y).sum() / networks - covariance) / ((x * x).sum() / networks - s_w)
    assert value(pooled.between, m) == pytest.approx(instrument, rel=1e-10)
    assert value(pooled.between, m) == pytest.approx(by_moments, rel=1e-10)


@given(st.lists(st.integers(0, 3), min_size=7, max_size=7), st.integers(0, 100))
def test_the_instrument_leaves_out_all_copies_of_a_network(weights, seed):
    if sum(w > 0 for w in weights) < 2:
        weights = [2, 1, 3, 0, 0, 1, 0]
    x, y, _ = some_moments(seed)
    which = np.repeat(np.arange(7), weights)
    copies_x, copies_y = x[which], y[which]
    z = np.stack([copies_x[which != network].sum(axis=0) for network in which])
    expected = (z * copies_y).sum() / (z * copies_x).sum()
    found = value(pooled.between, moments(x, y, np.array([weights])))
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 1000))
def test_pooled_slope_is_a_mixture_of_between_and_within(seed):
    _, _, m = some_moments(seed)
    share = value(pooled.reliability, m)
    mixture = share * value(pooled.between, m) + (1 - share) * value(pooled.within, m)
    assert value(pooled.pooled, m) == pytest.approx(mixture, rel=1e-10)
    difference, quotient = value(pooled.alpha_minus_lambda, m), value(pooled.alpha_over_lambda, m)
    assert difference == pytest.approx(value(pooled.pooled, m) - share, rel=1e-8)
    assert quotient == pytest.approx(value(pooled.pooled, m) / share, rel=1e-10)


@pytest.mark.parametrize(("beta", "phi"), [(1.0, 1.0), (1.0, 0.0), (1.5, 0.6)])
def test_planted_truths_are_recovered(beta, phi):
    world = World(beta=beta, phi=phi, spread=0.006, sd_before=0.005, sd_after=0.003)
    x, y = world.balances(np.random.default_rng(1), 20_000)
    m = moments(x, y, np.ones((1, 20_000)))
    share = world.reliability
    mixture = share * beta + (1 - share) * phi
    # Standard errors with 20,000 networks are below 0.005.
    assert value(pooled.reliability, m) == pytest.approx(share, abs=0.02)
    assert value(pooled.between, m) == pytest.approx(beta, abs=0.02)
    assert value(pooled.within, m) == pytest.approx(phi, abs=0.02)
    assert value(pooled.pooled, m) == pytest.approx(mixture, abs=0.02)
    assert value(pooled.alpha_over_lambda, m) == pytest.approx(mixture / share, abs=0.03)


def test_alpha_against_lambda_is_right_for_fresh_noise_and_wrong_for_inherited():
    rng = np.random.default_rng(2)
    for phi, expected in ((0.0, 0.0), (1.0, 1 - World().reliability)):
        x, y = World(beta=1.0, phi=phi).balances(rng, 20_000)
        found = value(pooled.alpha_minus_lambda, moments(x, y, np.ones((1, 20_000))))
        assert found == pytest.approx(expected, abs=0.003)  # standard error 0.0006


def test_deming_by_hand_and_without_noise_before():
    m = some_moments(3)[2]
    ratio = m.within.yy[0] / m.within.xx[0]
    xx, xy, yy = m.class_means.xx[0], m.class_means.xy[0], m.class_means.yy[0]
    excess = yy - ratio * xx
    by_hand = (excess + np.sqrt(excess**2 + 4 * ratio * xy**2)) / (2 * xy)
    assert value(pooled.deming, m) == pytest.approx(by_hand, rel=1e-12)
    # δ → ∞ is least squares, δ → 0 its inverse regression.
    small, large = (World(sd_before=s, sd_after=t, phi=0) for s, t in ((1e-6, 0.02), (0.02, 1e-6)))
    for world, limit in ((small, "xy/xx"), (large, "yy/xy")):
        x, y = world.balances(np.random.default_rng(4), 8)
        means = moments(x, y, np.ones((1, 8)))
        sums = {p: getattr(means.class_means, p)[0] for p in ("xx", "xy", "yy")}
        one, other = limit.split("/")
        expected = sums[one] / sums[other]
        assert value(pooled.deming, means) == pytest.approx(expected, rel=1e-5)


def test_deming_recovers_a_line_from_few_networks_with_fresh_noise():
    world = World(beta=1.5, phi=0.0, spread=0.006, sd_before=0.006, sd_after=0.009)
    x, y = world.balances(np.random.default_rng(5), 4, (4000,))
    slopes = [
        value(pooled.deming, moments(a, b, np.ones((1, 4)))) for a, b in zip(x, y, strict=True)
    ]
    naive = [(a.mean(0) @ b.mean(0)) / (a.mean(0) @ a.mean(0)) for a, b in zip(x, y, strict=True)]
    assert np.median(slopes) == pytest.approx(1.5, abs=0.03)  # standard error 0.006
    assert np.median(naive) < 1.3  # least squares on the means is diluted


def test_deming_is_symmetric():
    """Exchanging x and y inverts the slope, which no least squares does."""
    x, y, m = some_moments(6)
    exchanged = moments(y, x, np.ones((1, 7)))
    assert value(pooled.deming, m) * value(pooled.deming, exchanged) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("estimator", POOLED, ids=lambda e: e.name)
def test_order_of_classes_and_networks_and_scale_do_not_matter(estimator):
    counts = World().counts(np.random.default_rng(7), 6)
    rng = np.random.default_rng(8)
    classes, networks = rng.permutation(10), rng.permutation(6)
    shuffled = made(
        100_000, counts.dense[networks][:, classes], counts.correct[networks][:, classes]
    )
    smaller = made(50_000, counts.dense // 2, counts.correct // 2)
    ones = np.ones((1, 6))
    found = estimator.estimates(counts, ones)
    np.testing.assert_allclose(estimator.estimates(shuffled, ones), found, rtol=1e-9)
    # Halving drops half images: relative changes of 1e-5 in recalls, more in their deviations.
    np.testing.assert_allclose(estimator.estimates(smaller, ones), found, rtol=0.01)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_delete_one_weights_are_the_estimate_without_that_network(estimator):
    rng = np.random.default_rng(9)
    world = World().counts(rng, 5)
    full = made(
        np.linspace(90_000, 100_000, 10).astype(int),
        world.dense * 9 // 10,
        world.correct * 9 // 10,
        kept=world.correct * 8 // 10,
        control=world.dense * 9 // 10 - rng.integers(0, 900, (5, 10)),
    )
    deleted = estimator.estimates(full, 1 - np.eye(5))
    for m in range(5):
        rest = [i for i in range(5) if i != m]
        part = made(
            full.n[0], full.dense[rest], full.correct[rest],
            kept=full.kept[rest], control=full.control[rest],
        )  # fmt: skip
        assert deleted[m] == pytest.approx(estimator.estimates(part, np.ones((1, 4)))[0], rel=1e-8)


def test_no_pattern_beyond_noise_is_undefined_not_negative():
    x = np.array([[0.1, -0.1], [-0.1, 0.1]])
    m = moments(x, x, np.ones((1, 2)))
    for quotient in (pooled.between, pooled.alpha_over_lambda):
        assert np.isnan(value(quotient, m))
    assert value(pooled.reliability, m) == pytest.approx(-1)


def test_networks_without_accuracy_take_no_part():
    counts = World().counts(np.random.default_rng(10), 4)
    correct = counts.correct.copy()
    correct[1] = 0
    dead = made(100_000, counts.dense, correct)
    alive = made(100_000, np.delete(counts.dense, 1, 0), np.delete(counts.correct, 1, 0))
    for estimator in POOLED:
        np.testing.assert_allclose(
            estimator.estimates(dead, np.ones((1, 4))), estimator.estimates(alive, np.ones((1, 3)))
        )
