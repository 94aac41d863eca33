"""Sums within and between networks: definitions, identities, weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.repairs.moments import moments
from tests.repairs.simulated import World

FORMS = ("total", "class_means", "between", "within")
EXACT = 1e-12  # sums of some hundred doubles of one size


def drawn(seed, networks=6, classes=5):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, networks, classes))
    return x, y


def by_definition(x, y, weights):
    """Between and within from explicit pairs of different networks."""
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    weight = np.array([weights[i] * weights[j] for i, j in pairs], dtype=float)
    between = np.average([x[i] @ y[j] for i, j in pairs], weights=weight)
    within = np.average([(x[i] - x[j]) @ (y[i] - y[j]) / 2 for i, j in pairs], weights=weight)
    return between, within


@given(st.integers(0, 1000), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_between_and_within_are_means_over_pairs_of_different_networks(seed, weights):
    if sum(w > 0 for w in weights) < 2:
        weights = [1, 2, 0, 0, 1, 3]
    x, y = drawn(seed)
    found = moments(x, y, np.array([weights]))
    between, within = by_definition(x, y, weights)
    assert found.between.xy[0] == pytest.approx(between, abs=1e-11)
    assert found.within.xy[0] == pytest.approx(within, abs=1e-11)


def test_with_equal_weights_within_is_the_unbiased_covariance_and_total_their_sum():
    x, y = drawn(1)
    found = moments(x, y, np.ones((1, 6)))
    assert found.within.xx[0] == pytest.approx(x.var(axis=0, ddof=1).sum(), rel=EXACT)
    covariance = sum(np.cov(x[:, c], y[:, c])[0, 1] for c in range(5))
    assert found.within.xy[0] == pytest.approx(covariance, rel=EXACT)
    assert found.total.xy[0] == pytest.approx((x * y).sum() / 6, rel=EXACT)
    assert found.total.xy[0] == pytest.approx(found.between.xy[0] + found.within.xy[0], rel=EXACT)
    assert found.class_means.yy[0] == pytest.approx((y.mean(axis=0) ** 2).sum(), rel=EXACT)


def test_weight_zero_is_the_same_as_leaving_the_network_out():
    x, y = drawn(2)
    weights = np.array([[1, 1, 0, 1, 1, 1]])
    found, without = (
        moments(x, y, weights),
        moments(np.delete(x, 2, 0), np.delete(y, 2, 0), np.ones((1, 5))),
    )
    for form in FORMS:
        for product in ("xx", "xy", "yy"):
            one, other = (getattr(getattr(m, form), product)[0] for m in (found, without))
            assert one == pytest.approx(other, rel=1e-11)


def test_a_single_network_however_often_has_no_pairs():
    x, y = drawn(3)
    found = moments(x, y, np.array([[0, 6, 0, 0, 0, 0]]))
    assert np.isnan([found.between.xx[0], found.within.xx[0]]).all()
    assert found.total.xx[0] == pytest.approx(x[1] @ x[1])


def test_rows_of_weights_do_not_touch_each_other():
    x, y = drawn(4)
    weights = np.random.default_rng(4).multinomial(6, np.full(6, 1 / 6), size=20)
    together = moments(x, y, weights).between.xy
    alone = [moments(x, y, row[None]).between.xy[0] for row in weights]
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_expectations_are_those_of_the_world():
    world = World(beta=1.4, phi=0.3)
    x, y = world.balances(np.random.default_rng(5), 4000)
    found = moments(x, y, np.ones((1, 4000)))
    squares = world.classes * world.spread**2
    noise = world.classes * world.sd_before**2 * 0.9
    # 4000 networks: relative errors of about 1 %.
    assert found.between.xy[0] == pytest.approx(1.4 * squares, rel=0.03)
    assert found.within.xy[0] == pytest.approx(0.3 * noise, rel=0.1)
    assert found.between.xx[0] / found.total.xx[0] == pytest.approx(world.reliability, abs=0.01)
