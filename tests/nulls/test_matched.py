"""The accuracy-matched null: its shift, its exact cases, the excess and image noise."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit

from distortion.counts import accuracies, balances
from distortion.designs import CONDITION, slopes
from distortion.errors import DesignError
from distortion.nulls.matched import MEASURES, matched, matched_null
from distortion.nulls.shifted import image_noise, inner_recalls, shifted_recalls
from distortion.repairs.intervals import jackknife_test, t_over_networks
from distortion.repairs.networkwise import plain
from tests.logs import worked_example
from tests.repairs.simulated import made

EXAMPLE = "data/example.parquet"
SUPPORTS = np.array([[50, 100, 80, 200]])


@given(
    st.lists(st.floats(0.001, 0.999), min_size=4, max_size=4),
    st.floats(0.0001, 0.9999),
)
def test_shift_is_the_root_that_brentq_finds(recalls, accuracy):
    found = shifted_recalls(np.array([recalls]), SUPPORTS, np.array([accuracy]))[0]
    share = SUPPORTS[0] / SUPPORTS.sum()
    delta = brentq(lambda d: share @ expit(logit(recalls) + d) - accuracy, -50, 50, xtol=1e-13)
    # The root is known to 1e-13 on the logit scale, and recalls move less than logits.
    np.testing.assert_allclose(found, expit(logit(recalls) + delta), atol=1e-12)
    assert share @ found == pytest.approx(accuracy, abs=1e-13)


def test_shift_solves_hard_networks_together():
    """Recalls and targets at the two ends, where Newton's method alone runs away."""
    recalls = np.array([[1e-6, 1 - 1e-6], [0.5, 0.5], [1e-6, 2e-6], [1 - 1e-6, 0.9]])
    n = np.full((4, 2), 10)
    accuracy = np.array([0.9, 1e-6, 1 - 1e-6, 0.0])
    found = shifted_recalls(recalls, n, accuracy)
    np.testing.assert_allclose(found[:3].mean(axis=1), accuracy[:3], rtol=1e-9)
    assert np.isnan(found[3]).all()  # no shift reaches an accuracy of 0


@given(st.integers(0, 1000))
def test_unchanged_accuracy_is_a_slope_of_one(seed):
    rng = np.random.default_rng(seed)
    dense = rng.integers(5, 21, (3, 4))  # recalls of 1 among them
    dense[:, 0] = 4
    found = matched(made(20, dense, rng.permuted(dense, axis=1)))
    # Recalls go to logits and back, to the last digit or two.
    np.testing.assert_allclose(found.alpha, 1.0, rtol=1e-14)
    np.testing.assert_allclose(found.log_kappa, 0.0, atol=1e-14)


def test_a_shift_of_all_logits_has_no_excess():
    n = 10**8
    recall = np.array([[0.95, 0.9, 0.7, 0.85], [0.99, 0.8, 0.75, 0.9]])
    after = expit(logit(recall) - np.array([[0.5], [1.5]]))
    found = matched(made(n, np.rint(n * recall), np.rint(n * after)))
    assert (found.alpha > 1.2).all()
    for excess in found[2:]:
        np.testing.assert_allclose(excess, 0, atol=1e-6)  # counts are rounded at 1e-8


def test_half_an_image_from_the_edge():
    np.testing.assert_allclose(
        inner_recalls(np.array([[0, 3, 10]]), np.array([[10, 10, 10]])), [[0.05, 0.3, 0.95]]
    )


def test_order_of_classes_and_networks_does_not_matter():
    rng = np.random.default_rng(1)
    dense, correct = rng.integers(60, 101, (5, 6)), rng.integers(30, 90, (5, 6))
    classes, networks = rng.permutation(6), rng.permutation(5)
    found = matched(made(100, dense, correct))
    other = matched(made(100, dense[networks][:, classes], correct[networks][:, classes]))
    for one, same in zip(found, other, strict=True):
        np.testing.assert_allclose(one[networks], same, atol=1e-10)


def test_undefined_where_accuracy_is_gone_or_classes_are_equal():
    found = matched(made(10, [[8, 6], [8, 8]], [[0, 0], [7, 5]]))
    assert np.isnan(found).all()


def test_figures_of_a_network_like_those_of_cifar_10():
    """S2 of the statistics: accuracy .90, spread of balances .057, hardest class .78."""
    z = np.array([0.91, 0.96, 0.87, 0.80, 0.91, 0.85, 0.94, 0.93, 0.95, 0.94])
    recall = 0.9 * (1 + 0.057 * (z - z.mean()) / z.std())
    n = np.full((3, 10), 1000)
    dense = np.tile(recall, (3, 1))
    x, y = (
        balances(r * n, n)
        for r in (dense, shifted_recalls(dense, n, np.array([0.881, 0.858, 0.787])))
    )
    alpha = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    np.testing.assert_allclose(alpha, [1.19, 1.41, 2.07], atol=0.015)


def test_image_noise_is_what_redrawn_images_add():
    """Closed form against redrawn dense recalls, other accuracies and supports per class."""
    rng = np.random.default_rng(2)
    n = np.array([[3000, 5000, 4000, 2000]])
    recalls = np.array([[0.95, 0.85, 0.9, 0.75]])
    accuracy, draws = np.array([0.7]), 40_000
    shifted = shifted_recalls(recalls, n, accuracy)

    def products(p, q):
        share = n / n.sum()
        one, other = (r - (share * r).sum(axis=1, keepdims=True) for r in (p, q))
        return (one * other).sum(axis=1), (other * other).sum(axis=1)

    drawn = rng.binomial(n, recalls, (draws, 4)) / n
    redrawn = shifted_recalls(drawn, np.broadcast_to(n, drawn.shape), np.full(draws, 0.7))
    for added, noisy, exact in zip(
        image_noise(recalls, shifted, n),
        products(drawn, redrawn),
        products(recalls, shifted),
        strict=True,
    ):
        error = noisy.std() / np.sqrt(draws)
        # Second-order terms are a few per cent of the noise at these supports.
        assert noisy.mean() - exact[0] == pytest.approx(added[0], abs=4 * error + 0.05 * added[0])
        assert added[0] > 5 * error


CIFAR = {"scores": (1.4, 3.2), "shift": -0.9}
MNIST = {"scores": (4.0, 5.5), "shift": -0.7}


def lost_accuracy(rng, networks, *, scores, shift, n=1000, classes=10):
    """Class-blind loss: every network keeps its logits but for one shift of them all."""
    score = np.linspace(*scores, classes) + rng.normal(0, 0.1, (networks, classes))
    dense, after = expit(score), expit(score + shift)
    # Images in three kinds, as if sorted by difficulty: right in both, before only, in neither.
    kept = rng.binomial(n, after)
    lost = rng.binomial(n - kept, (dense - after) / (1 - after))
    return made(n, kept + lost, kept, kept=kept)


def rejections(world, networks, studies):
    """Share of studies in which each excess, and the plain slope against 1, is rejected at 5 %."""
    rng = np.random.default_rng(networks)
    tested = {m.name: m for m in MEASURES if "excess" in m.name}
    found = dict.fromkeys([*tested, "plain"], 0)
    for _ in range(studies):
        counts = lost_accuracy(rng, networks, **world)
        for name, measure in tested.items():
            if measure.by_network is not None:
                test = t_over_networks(measure.by_network(counts), 0.0, 0.95)
            else:
                test, _ = jackknife_test(counts, measure, 0.95)
            found[name] += bool(test.p_value < 0.05)
        found["plain"] += bool(t_over_networks(plain(counts), 1.0, 0.95).p_value < 0.05)
    return {name: number / studies for name, number in found.items()}


@pytest.mark.parametrize("world", [CIFAR, MNIST], ids=["cifar", "mnist"])
def test_class_blind_loss_is_not_taken_for_distortion(world):
    rates = rejections(world, 10, 200)
    # 200 studies: standard error of 0.05 is 0.015.
    assert max(rates["alpha_excess_corrected"], rates["log_kappa_excess_corrected"]) < 0.10, rates
    assert rates["plain"] > 0.95


@pytest.mark.simulation
@pytest.mark.parametrize("networks", [5, 10, 30])
@pytest.mark.parametrize("world", [CIFAR, MNIST], ids=["cifar", "mnist"])
def test_corrected_excess_holds_its_level(world, networks):
    rates = rejections(world, networks, 1000)
    # 1,000 studies: standard error 0.007.
    assert max(rates["alpha_excess_corrected"], rates["log_kappa_excess_corrected"]) < 0.08, rates
    if networks == 30:  # as the module says of the uncorrected ones
        assert rates["alpha_excess"] > 0.2, rates


def test_distortion_beyond_lost_accuracy_is_found():
    """Logits are shifted and stretched by 1.3: the excess is that of the noiseless recalls."""
    rng = np.random.default_rng(3)
    score = np.linspace(1.4, 3.2, 10)
    after = expit(1.3 * (score - 2.3) + 1.2)
    counts = made(
        1000, rng.binomial(1000, expit(score), (200, 10)), rng.binomial(1000, after, (200, 10))
    )
    exact = made(10**8, [np.rint(1e8 * expit(score))], [np.rint(1e8 * after)])
    estimate = MEASURES[-1].estimates(counts, np.ones((1, 200)))[0]
    assert MEASURES[-1].name == "log_kappa_excess_corrected"
    assert estimate == pytest.approx(matched(exact).log_kappa_excess[0], abs=0.015)
    assert estimate > 0.15


def test_table_has_every_measure_for_each_condition():
    table = matched_null(EXAMPLE)
    assert table.columns[: len(CONDITION) + 1] == [*CONDITION, "measure"]
    for _, part in table.group_by(CONDITION, maintain_order=True):
        assert part["measure"].to_list() == [m.name for m in MEASURES]
    described = table.filter(pl.col("measure").str.ends_with("null"))
    tested = table.filter(pl.col("measure").str.contains("excess"))
    assert tested["null"].to_list() == [0.0] * tested.height
    assert described["null"].null_count() == described.height
    assert described["p_value"].null_count() == described.height
    assert table.filter(pl.col("caveat").str.contains("half an image")).height > 0


def test_excess_is_what_is_left_of_the_mean_slope():
    table = matched_null(EXAMPLE).pivot(on="measure", index=CONDITION, values="estimate")
    means = slopes(EXAMPLE).group_by(CONDITION).agg(pl.col("alpha").mean())
    both = table.join(means, on=CONDITION)
    total = both["alpha_null"] + both["alpha_excess"]
    np.testing.assert_allclose(total, both["alpha"], rtol=1e-9)


def test_one_network_has_no_interval():
    row = matched_null(worked_example()).row(0, named=True)
    assert row["measure"] == "alpha_null"
    assert row["conf_low"] is None
    assert row["caveat"].endswith("no interval: one network")


def test_undefined_without_kept_says_so():
    rows = matched_null(worked_example())
    corrected = rows.filter(pl.col("measure") == "alpha_excess_corrected").row(0, named=True)
    assert corrected["estimate"] is None
    assert "kept" in corrected["caveat"]


def test_the_slope_beyond_the_null_warns_of_seed_noise():
    table = matched_null(EXAMPLE).filter(pl.col("estimate").is_not_null())
    warned = table.filter(pl.col("caveat").str.contains("pulled down by fresh seed noise"))
    assert warned["measure"].unique().to_list() == ["alpha_excess_corrected"]
    assert warned.height == table.filter(pl.col("measure") == "alpha_excess_corrected").height


def test_supports_weigh_in_the_accuracy_that_is_matched():
    n = np.array([900, 100])
    counts = made(n, [[855, 70]], [[765, 60]])
    found = shifted_recalls(inner_recalls(counts.dense, counts.n), counts.n, np.array([0.825]))
    assert accuracies(found * counts.n, counts.n)[0] == pytest.approx(0.825, abs=1e-14)


def test_level_is_a_confidence():
    with pytest.raises(DesignError, match="confidence"):
        matched_null(EXAMPLE, level=1.0)
