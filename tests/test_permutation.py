"""Permutation tests: enumeration, exact levels, and what they must not depend on."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distortion.fits.permutation import exchanged_networks, permuted_classes, sign_flips

rng = np.random.default_rng(0)


@pytest.mark.parametrize("side", ["two-sided", "greater", "less"])
def test_sign_flips_are_enumerated(side) -> None:
    values = rng.normal(0.5, 1, 7)
    sums = np.array([np.dot(signs, values) for signs in product([1, -1], repeat=7)])
    extreme = {
        "two-sided": np.abs(sums) >= abs(values.sum()) - 1e-9,
        "greater": sums >= values.sum() - 1e-9,
        "less": sums <= values.sum() + 1e-9,
    }
    assert sign_flips(values, 0.0, side, rng) == extreme[side].mean()
    scipy = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=side
    )
    assert sign_flips(values, 0.0, side, rng) == pytest.approx(scipy.pvalue)


def test_many_networks_are_sampled_near_the_exact_answer() -> None:
    values = rng.normal(0.25, 1, 30)
    p = sign_flips(values, 0.0, "two-sided", np.random.default_rng(1), draws=20_000)
    # With 30 values the sign-flip distribution is nearly normal; 3 Monte Carlo errors are 0.009.
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_exchanged_networks_agree_with_scipy() -> None:
    a, b = rng.normal(0.7, 1, 6), rng.normal(0, 1, 7)

    def welch(x, y, axis):
        return stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic

    expected = stats.permutation_test((a, b), welch, n_resamples=np.inf, vectorized=True)
    # scipy doubles the smaller tail, ours counts absolute values: equal up to asymmetry.
    assert exchanged_networks(a, b, 0.0, "greater", rng) == pytest.approx(
        stats.permutation_test(
            (a, b), welch, n_resamples=np.inf, vectorized=True, alternative="greater"
        ).pvalue
    )
    assert exchanged_networks(a, b, 0.0, "two-sided", rng) == pytest.approx(
        expected.pvalue, abs=0.05
    )


def test_classes_are_permuted_together() -> None:
    x = rng.normal(size=(3, 4))
    y = x + 0.5 * rng.normal(size=(3, 4))

    def rho(order):
        moved = y[:, list(order)]
        return np.mean((x * moved).sum(1) / np.sqrt((x**2).sum(1) * (moved**2).sum(1)))

    every = np.array([rho(order) for order in permutations(range(4))])
    exact = np.mean(every >= rho(range(4)) - 1e-9)
    # Three Monte Carlo errors of a share of 20,000 draws.
    assert permuted_classes(x, y, np.random.default_rng(2), 20_000) == pytest.approx(
        exact, abs=0.011
    )


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(0.1, 10))
def test_scale_and_order_change_nothing(values: list[float], scale: float) -> None:
    found = np.round(np.array(values), 3)
    p = sign_flips(found, 0.0, "two-sided", rng)
    assert 0 < p <= 1
    assert sign_flips(found[::-1] * scale, 0.0, "two-sided", rng) == p


def test_what_cannot_be_tested_is_nan() -> None:
    assert np.isnan(sign_flips(np.array([1.0]), 0.0, "two-sided", rng))
    assert np.isnan(exchanged_networks(np.array([1.0]), np.ones(3), 0.0, "greater", rng))
    assert np.isnan(permuted_classes(np.zeros((2, 3)), np.ones((2, 3)), rng))


@pytest.mark.parametrize("n", [6, 9])
def test_the_level_is_held(n: int) -> None:
    generator = np.random.default_rng(3)
    p = [sign_flips(generator.standard_t(3, n), 0.0, "two-sided", generator) for _ in range(2000)]
    # Exact tests hold their level; 3 standard errors of a share of 2,000 at 0.05 are 0.015.
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 0.015


def test_samples_without_variation_have_the_smallest_p_there_is() -> None:
    p = exchanged_networks(np.ones(3), np.full(3, 2.0), 0.0, "two-sided", rng)
    assert p == pytest.approx(2 / 20)
