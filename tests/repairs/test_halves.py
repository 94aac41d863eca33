"""The closed form of split halves against all splits, and what it removes."""

from itertools import combinations, product

import numpy as np
import pytest

from distortion.counts import accuracies, balances
from distortion.repairs.halves import product_of_halves, split_half, split_half_pooled
from distortion.repairs.networkwise import plain
from tests.repairs.simulated import made


def all_halves(images):
    """Recall on half A and on half B (n even) of one class, for every split."""
    n = len(images)
    for half in combinations(range(n), n // 2):
        inside = np.isin(np.arange(n), half)
        yield images[inside].mean(axis=0), images[~inside].mean(axis=0)


@pytest.mark.parametrize("sizes", [(4, 4), (2, 4, 6), (4, 2, 2, 4)])
def test_closed_form_is_the_mean_over_all_splits(sizes):
    rng = np.random.default_rng(sum(sizes))
    # Columns: correct before, correct after.
    images = [(rng.random((n, 2)) < 0.6).astype(int) for n in sizes]
    images[0][:2] = 1  # not all wrong
    share = np.array(sizes) / sum(sizes)
    crossed, own = [], []
    for split in product(*(list(all_halves(of_class)) for of_class in images)):
        a, b = (np.array([half[side] for half in split]) for side in (0, 1))
        balance_a, balance_b = a - share @ a, b - share @ b
        crossed.append(balance_a[:, 0] @ balance_b[:, 1])
        own.append(balance_a[:, 0] @ balance_b[:, 0])
    dense, correct = ([of_class[:, i].sum() for of_class in images] for i in (0, 1))
    kept = [of_class.prod(axis=1).sum() for of_class in images]
    counts = made(sizes, [dense], [correct], kept=[kept])
    before, after = (accuracies(k, counts.n)[0] for k in (counts.dense, counts.correct))
    n = counts.n
    numerator = product_of_halves(n, counts.dense, counts.correct, counts.kept)
    denominator = product_of_halves(n, counts.dense, counts.dense, counts.dense)
    assert numerator[0] * before * after == pytest.approx(np.mean(crossed), abs=1e-14)
    assert denominator[0] * before**2 == pytest.approx(np.mean(own), abs=1e-14)


def sampled(rng, recall, recall_after, n, networks):
    """Counts of new test images; outcomes before and after as dependent as they can be."""
    u = rng.random((networks, len(recall), n))
    before, after = u < recall[:, None], u < recall_after[:, None]
    return made(n, before.sum(-1), after.sum(-1), kept=(before & after).sum(-1))


def test_image_noise_is_removed_where_before_and_after_share_it():
    rng = np.random.default_rng(1)
    recall = 0.85 + np.linspace(-0.06, 0.06, 10)
    after = 0.75 + 1.5 * np.linspace(-0.06, 0.06, 10)
    truth = (after / 0.75 - 1) @ (recall / 0.85 - 1) / ((recall / 0.85 - 1) ** 2).sum()
    counts = sampled(rng, recall, after, 100, 4000)
    halves = split_half_pooled(counts, np.ones((1, 4000)))
    pooled = (halves[0] / halves[1])[0]
    assert pooled == pytest.approx(truth, abs=0.02)  # standard error 0.006
    assert abs(plain(counts).mean() - truth) > 0.1  # the plain slope is not
    assert np.nanmean(split_half(counts)) > truth  # means of ratios are biased upwards


def test_endless_images_leave_the_plain_slope():
    rng = np.random.default_rng(2)
    dense, correct = rng.integers(700_000, 900_000, (2, 5, 10))
    counts = made(1_000_000, dense, correct, kept=np.minimum(dense, correct))
    # Image noise has variance 1e-6 of the pattern's.
    np.testing.assert_allclose(split_half(counts), plain(counts), rtol=1e-3, atol=1e-4)


def test_nothing_changed_is_a_slope_of_one():
    dense = np.array([[80, 90, 70], [60, 95, 85]])
    counts = made(100, dense, dense, kept=dense)
    np.testing.assert_allclose(split_half(counts), 1, rtol=1e-12)


def test_undefined_without_kept_with_single_images_and_without_a_pattern():
    dense = np.array([[8, 9, 7]])
    assert np.isnan(split_half(made(10, dense, dense))).all()
    assert np.isnan(split_half(made([1, 10, 10], dense.clip(max=1), dense.clip(max=1),
                                    kept=dense.clip(max=1)))).all()  # fmt: skip
    equal = np.full((1, 3), 8)
    counts = made(10, equal, equal, kept=equal)
    assert np.isnan(split_half(counts)).all()
    assert np.isnan(split_half_pooled(counts, np.ones((1, 1)))[1]).all()


def test_one_class_more_or_in_another_order_changes_what_it_should():
    rng = np.random.default_rng(3)
    dense = rng.integers(60, 95, (3, 6))
    correct = rng.integers(40, 90, (3, 6))
    kept = np.minimum(dense, correct) - 5
    order = rng.permutation(6)
    one = split_half(made(100, dense, correct, kept=kept))
    other = split_half(made(100, dense[:, order], correct[:, order], kept=kept[:, order]))
    np.testing.assert_allclose(one, other, rtol=1e-10)
    x, y = balances(dense, np.full_like(dense, 100)), balances(correct, np.full_like(dense, 100))
    assert not np.allclose(one, (x * y).sum(1) / (x * x).sum(1))
