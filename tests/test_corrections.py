"""Corrections against worked values, each other, and their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.corrections import CORRECTIONS, benjamini_hochberg, bonferroni, holm

p_values = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=20).map(np.array)


def test_worked_values() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    # By hand; R: p.adjust(p, "bonferroni"), "holm", "BH".
    np.testing.assert_allclose(bonferroni(p), [0.04, 0.16, 0.12, 0.02])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02])


def test_an_impossible_test_stays_open_but_counts() -> None:
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(bonferroni(p), [0.03, np.nan, 0.12])
    np.testing.assert_allclose(holm(p), [0.03, np.nan, 0.08])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.03, np.nan, 0.06])


@given(p_values)
def test_order_between_the_corrections(p: np.ndarray) -> None:
    raw, bh, step, bon = p, benjamini_hochberg(p), holm(p), bonferroni(p)
    known = ~np.isnan(p)
    assert (np.isnan(bon) == ~known).all()
    slack = 1e-12  # p * m / m need not be p
    assert (raw[known] <= bh[known] + slack).all()
    assert (bh[known] <= step[known] + slack).all()
    assert (step[known] <= bon[known] + slack).all()
    assert (bon[known] <= 1).all()


@given(p_values, st.randoms(use_true_random=False))
@pytest.mark.parametrize("name", CORRECTIONS)
def test_the_order_of_tests_does_not_matter(name: str, p: np.ndarray, random: object) -> None:
    order = list(range(len(p)))
    random.shuffle(order)  # type: ignore[attr-defined]
    correct = CORRECTIONS[name]  # type: ignore[index]
    np.testing.assert_array_equal(correct(p[order]), correct(p)[order])
