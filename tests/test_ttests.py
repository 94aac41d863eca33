"""t-tests from summary statistics against SciPy's from the raw values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distortion.fits.ttests import one_sample, two_sample

SIDES = ("two-sided", "greater", "less")
seeds = st.integers(0, 2**32 - 1)


def summary(x: np.ndarray) -> tuple[float, float, int]:
    return x.mean(), x.std(ddof=1), len(x)


@given(seeds, st.integers(2, 40), st.sampled_from(SIDES))
def test_one_sample_agrees_with_scipy(seed: int, n: int, side: str) -> None:
    x = np.random.default_rng(seed).normal(1.1, 0.3, n)
    ours = one_sample(*summary(x), 1.0, side, 0.99)  # type: ignore[arg-type]
    theirs = stats.ttest_1samp(x, 1.0, alternative=side)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    interval = stats.ttest_1samp(x, 1.0).confidence_interval(0.99)
    assert (ours.conf_low, ours.conf_high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("equal_variances", [True, False])
@given(seeds, st.integers(2, 20), st.integers(2, 20), st.sampled_from(SIDES))
def test_two_sample_agrees_with_scipy(
    equal_variances: bool, seed: int, n_a: int, n_b: int, side: str
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1.2, 0.1, n_a), rng.normal(1.0, 0.4, n_b)
    ours = two_sample(
        *summary(a),
        *summary(b),
        0.0,
        side,  # type: ignore[arg-type]
        0.95,
        equal_variances=equal_variances,
    )
    theirs = stats.ttest_ind(a, b, equal_var=equal_variances, alternative=side)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.df == pytest.approx(theirs.df)
    both = stats.ttest_ind(a, b, equal_var=equal_variances).confidence_interval(0.95)
    assert (ours.conf_low, ours.conf_high) == pytest.approx((both.low, both.high))


def test_impossible_tests_are_nan_and_keep_the_estimate() -> None:
    result = one_sample([1.3, 1.4, 1.5], [np.nan, 0.0, 0.1], [1, 5, 5], 1.0, "two-sided", 0.95)
    np.testing.assert_array_equal(result.estimate, [1.3, 1.4, 1.5])
    np.testing.assert_array_equal(np.isnan(result.p_value), [True, True, False])
    np.testing.assert_array_equal(np.isnan(result.conf_low), [True, True, False])
