"""Intervals and tests of proportions against published examples, other programs, brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from distortion.gate.proportions import (
    clopper_pearson,
    drop_bounds,
    mcnemar,
    newcombe_paired,
    newcombe_unpaired,
    wilson,
)

TWO_SIDED = (0.025, 0.025)
cells = st.integers(0, 400)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Fagerland, Lydersen & Laake (2017), Statistical Analysis of Contingency Tables,
        # chapter 8: Cavo et al. (2012), printed by the authors' R package contingencytables.
        ((59, 6, 16, 80), -0.1186, -0.0046),
        # Fagerland, Lydersen & Laake (2014), Stat. Med. 33, 2850–2875: Bentur et al. (2009).
        ((1, 1, 7, 12), -0.507, -0.026),
    ],
)
def test_newcombe_paired_as_published(table: tuple[int, ...], low: float, high: float) -> None:
    found = newcombe_paired(*table, TWO_SIDED)
    digits = 4 if table[0] == 59 else 3  # as many as were printed
    assert (round(float(found[0]), digits), round(float(found[1]), digits)) == (low, high)


@pytest.mark.parametrize(
    ("dense", "correct", "n", "low", "high"),
    [
        # Newcombe (1998), Stat. Med. 17, 873–890, table II, method 10.
        (9, 3, 10, 0.1705, 0.8090),
        # Fagerland, Lydersen & Laake (2017), chapter 4: Perondi et al. (2004).
        (7, 1, 34, 0.0189, 0.3404),
    ],
)
def test_newcombe_unpaired_as_published(
    dense: int, correct: int, n: int, low: float, high: float
) -> None:
    found = newcombe_unpaired(dense, correct, n, TWO_SIDED)
    assert (round(float(found[0]), 4), round(float(found[1]), 4)) == (low, high)


@given(st.integers(1, 300), st.data())
def test_unpaired_is_statsmodels(n: int, data: st.DataObject) -> None:
    dense, correct = (data.draw(st.integers(0, n)) for _ in range(2))
    low, high = newcombe_unpaired(dense, correct, n, TWO_SIDED)
    expected = confint_proportions_2indep(dense, n, correct, n, method="newcomb", compare="diff")
    # statsmodels does not cut at −1 and 1; both do the same arithmetic.
    np.testing.assert_allclose((low, high), np.clip(expected, -1, 1), atol=1e-9)


@given(st.integers(1, 500), st.data())
def test_single_proportions_are_statsmodels(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    exact = proportion_confint(k, n, method="beta")
    np.testing.assert_allclose(clopper_pearson(k, n, TWO_SIDED), exact, atol=1e-9)
    np.testing.assert_allclose(
        wilson(k, n, 0.025), proportion_confint(k, n, method="wilson"), atol=1e-9
    )


@given(cells, cells)
def test_mcnemar_is_statsmodels_and_the_binomial_test(lost: int, gained: int) -> None:
    p = float(mcnemar(lost, gained))
    assert p == pytest.approx(statsmodels_mcnemar([[5, lost], [gained, 5]], exact=True).pvalue)
    if lost + gained:
        assert p == pytest.approx(binomtest(lost, lost + gained).pvalue)


def test_mcnemar_as_published() -> None:
    # Fagerland, Lydersen & Laake (2017), chapter 8: Cavo et al. (2012), Bentur et al. (2009).
    assert float(mcnemar(6, 16)) == pytest.approx(0.052479, abs=5e-7)
    assert float(mcnemar(1, 7)) == pytest.approx(0.0703, abs=5e-5)


@given(cells, cells, cells, cells, st.sampled_from([0.05, 0.001]))
def test_bounds_hold_the_estimate_and_swap_with_the_sides(
    kept: int, lost: int, gained: int, neither: int, tail: float
) -> None:
    n = kept + lost + gained + neither
    if not n:
        return
    dense, correct = kept + lost, kept + gained
    low, high = drop_bounds(n, dense, correct, kept, (tail, tail))
    estimate = (dense - correct) / n
    assert -1 <= low <= estimate <= high <= 1
    other = drop_bounds(n, correct, dense, kept, (tail, tail))
    np.testing.assert_allclose((-other[1], -other[0]), (low, high), atol=1e-12)
    newcombe = newcombe_paired(kept, lost, gained, neither, (tail, tail))
    assert low <= newcombe[0]
    assert high >= newcombe[1]
    each = drop_bounds(n, dense, correct, kept, (tail / 2, tail))
    assert each[0] <= low
    assert each[1] == high


@pytest.mark.parametrize("n", [1, 2, 10])
@pytest.mark.parametrize("kept", [True, False])
def test_boundaries_are_finite(n: int, kept: bool) -> None:
    for dense in (0, n):
        for correct in (0, n):
            overlap = min(dense, correct) if kept else None
            low, high = drop_bounds(n, dense, correct, overlap, (0.05, 0.05))
            assert np.isfinite([low, high]).all()
            assert low < high


def test_without_discordant_images_the_bound_is_exact() -> None:
    # No image of n lost: the bound is where (1 − p)^n = 0.05, so 148 images do not show 2 points.
    high = [float(drop_bounds(n, n, n, n, (0.05, 0.05))[1]) for n in (148, 149)]
    assert high[1] == pytest.approx(1 - 0.05 ** (1 / 149))
    assert high[0] > 0.02 > high[1]


def test_counts_may_be_scaled() -> None:
    once = drop_bounds(100, 90, 85, 82, (0.05, 0.05))
    more = drop_bounds(1000.0, 900.0, 850.0, 820.0, (0.05, 0.05))
    assert more[1] - more[0] < (once[1] - once[0]) / 2.8  # about √10 = 3.16
