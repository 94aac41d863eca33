"""Resampling against loops, enumeration and closed forms; coverage of its intervals."""

from inspect import signature
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distortion.errors import DesignError, FitError
from distortion.resampling.images import (
    Pairs,
    image_draws,
    resampled,
    substituted,
    two_way_draws,
)
from distortion.resampling.intervals import bca, jackknife_t, percentile
from distortion.resampling.networks import Jackknife, bootstrap, jackknife, network_weights

# Four standard errors of a standard deviation of B draws, relative: 4 / √(2 B).
DRAWS = 4000
SD_RTOL = 4 / np.sqrt(2 * DRAWS)
NAN = np.array([np.nan])
# Renamed in SciPy 1.15.
SCIPY_SEED = "rng" if "rng" in signature(stats.bootstrap).parameters else "random_state"


def ratio(x, y):
    """Σy / Σx as a function of weights: the pooled slope in small."""
    return lambda weights: (weights @ y) / (weights @ x)


def skewed(rng, networks):
    x = rng.gamma(2.0, size=networks)
    return x, x * rng.gamma(4.0, 0.25, size=networks)


def tables(rng, networks=4, classes=3, n=200):
    shares = rng.dirichlet([20, 2, 2, 3], size=(networks, classes))
    kinds = rng.multinomial(n, shares)
    kept = kinds[..., 0]
    return Pairs(np.full_like(kept, n), kept + kinds[..., 1], kept + kinds[..., 2], kept)


def accuracy_change(pairs):
    return (pairs.correct - pairs.dense).sum(axis=-1) / pairs.n.sum(axis=-1)


def on_mean(statistic, pairs):
    """The effect of one network's images on the mean of a statistic over networks."""
    values = statistic(pairs)
    return lambda m, drawn: (statistic(drawn) - values[m]) / len(values)


# Networks ---------------------------------------------------------------------------------------


def test_weights_are_resamples_of_the_networks_and_follow_the_seed():
    weights = network_weights(6, 500, 3)
    assert weights.shape == (500, 6)
    assert (weights.sum(axis=1) == 6).all()
    assert (weights == network_weights(6, 500, np.random.default_rng(3))).all()
    assert (network_weights(6, 20, 3) == weights[:20]).all()
    assert (network_weights(6, 500, 4) != weights).any()


@pytest.mark.parametrize(("networks", "draws", "rng"), [(5, 10, None), (0, 10, 1), (5, 0, 1)])
def test_weights_refuse_what_is_no_seed_or_number(networks, draws, rng):
    with pytest.raises(FitError):
        network_weights(networks, draws, rng)


@given(st.integers(1, 60))
def test_blocks_change_nothing(block):
    x, y = np.arange(1.0, 6.0), np.array([2.0, 1.0, 4.0, 3.0, 7.0])
    weights = network_weights(5, 50, 0)
    assert (bootstrap(ratio(x, y), weights, block=block) == ratio(x, y)(weights)).all()


def test_all_resamples_of_three_networks_have_the_moments_in_closed_form():
    y = np.array([1.0, 2.0, 6.0])
    every = np.array([np.bincount(i, minlength=3) for i in product(range(3), repeat=3)])
    means = bootstrap(lambda weights: weights @ y / weights.sum(axis=1), every)
    assert means.mean() == pytest.approx(3.0)
    assert means.var() == pytest.approx(y.var() / 3)
    # Drawn resamples have the same law: each of the 10 distinct ones at its share, within 4 SE.
    drawn = network_weights(3, DRAWS, 1)
    kinds, seen = np.unique(drawn, axis=0, return_counts=True)
    for kind, count in zip(kinds, seen, strict=True):
        share = (every == kind).all(axis=1).mean()
        assert count / DRAWS == pytest.approx(share, abs=4 * np.sqrt(share / DRAWS))


def test_jackknife_of_a_mean_is_its_standard_error_and_of_a_plug_in_variance_its_bias():
    y = np.random.default_rng(0).gamma(2.0, size=9)

    def moments(weights):
        mean = weights @ y / weights.sum(axis=1)
        return np.stack([mean, weights @ y**2 / weights.sum(axis=1) - mean**2], axis=1)

    found = jackknife(moments, 9)
    assert found.estimate == pytest.approx([y.mean(), y.var()])
    assert found.std_error[0] == pytest.approx(stats.sem(y))
    assert found.bias[0] == pytest.approx(0, abs=1e-13)  # rounding of a sum of 9
    assert found.estimate[1] - found.bias[1] == pytest.approx(y.var(ddof=1))
    d = y - y.mean()
    assert found.acceleration[0] == pytest.approx((d**3).sum() / (6 * (d**2).sum() ** 1.5))


def test_jackknife_equals_a_loop_and_counts_what_is_undefined():
    x, y = skewed(np.random.default_rng(1), 7)
    loop = [np.delete(y, i).sum() / np.delete(x, i).sum() for i in range(7)]
    assert jackknife(ratio(x, y), 7).values == pytest.approx(loop)
    broken = jackknife(lambda w: np.where(w[:, 0] > 0, w @ np.ones(3), np.nan), 3)
    assert broken.undefined == 1
    assert np.isnan(broken.std_error)
    with pytest.raises(DesignError, match="leaves out one network"):
        jackknife(ratio(x, y), 1)


def test_weights_let_an_estimator_leave_out_all_copies_of_a_network():
    """Each network against the mean of the others: by weights as by rows that know their origin."""
    x, y = np.array([1.0, 2.0, 4.0, 3.0]), np.array([2.0, 1.0, 5.0, 4.0])

    def by_weights(weights):
        others = (weights @ x)[:, None] - weights * x
        z = others / (weights.sum(axis=1, keepdims=True) - weights)
        return (weights * z * y).sum(axis=1) / (weights * z * x).sum(axis=1)

    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = np.append(rng.integers(0, 4, size=3), [0, 1])
        z = np.array([x[rows[rows != r]].mean() for r in rows])
        expected = (z * y[rows]).sum() / (z * x[rows]).sum()
        weights = np.bincount(rows, minlength=4)[None]
        assert by_weights(weights)[0] == pytest.approx(expected)


# Intervals --------------------------------------------------------------------------------------


def test_percentiles_are_order_statistics():
    draws = np.random.default_rng(0).permutation(np.arange(1.0, 1000.0))
    found = percentile(draws, np.array(500.0), 0.95)
    assert (found.conf_low, found.conf_high) == pytest.approx((25, 975))  # (999 + 1) × 0.025
    assert found.std_error == pytest.approx(draws.std(ddof=1))
    assert found.undefined == 0


def test_bca_without_bias_and_skewness_is_the_percentile_interval():
    draws = np.random.default_rng(0).normal(size=(999, 2))
    centre = np.median(draws, axis=0)
    one, other = bca(draws, centre), percentile(draws, centre)
    assert one.conf_low == pytest.approx(other.conf_low)
    assert (one.reason == "").all()
    assert one.conf_high == pytest.approx(other.conf_high)


@given(st.floats(-0.1, 0.1), st.floats(-0.5, 0.5))
def test_bca_follows_efron_and_respects_transformations(a, shift):
    draws, estimate = np.random.default_rng(0).normal(size=1999), np.array(shift)
    found = bca(draws, estimate, 0.9, acceleration=a)
    z0 = stats.norm.ppf((draws < shift).mean())
    z = z0 + stats.norm.ppf([0.05, 0.95])
    wanted = np.sort(draws), stats.norm.cdf(z0 + z / (1 - a * z)) * 2000 - 1
    expected = np.interp(wanted[1], np.arange(1999), wanted[0])
    assert [found.conf_low, found.conf_high] == pytest.approx(list(expected))
    above = bca(np.exp(draws), np.exp(estimate), 0.9, acceleration=a)
    # Interpolated on another scale, hence equal only as to the neighbours they lie between.
    for end in ("conf_low", "conf_high"):
        place = np.searchsorted(wanted[0], getattr(found, end))
        assert np.searchsorted(wanted[0], np.log(getattr(above, end))) == place


def test_bca_agrees_with_scipy():
    x, y = skewed(np.random.default_rng(5), 20)
    reference = stats.bootstrap(
        (x, y),
        lambda x, y, axis=-1: y.sum(axis) / x.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        **{SCIPY_SEED: np.random.default_rng(0)},
    ).confidence_interval
    a = jackknife(ratio(x, y), 20).acceleration
    estimate = ratio(x, y)(np.ones((1, 20)))[0]
    found = bca(bootstrap(ratio(x, y), network_weights(20, 20_000, 1)), estimate, acceleration=a)
    # Two sets of 20,000 draws: the 2.5 % points differ by about 2 % of the interval.
    width = reference.high - reference.low
    assert found.conf_low == pytest.approx(reference.low, abs=0.03 * width)
    assert found.conf_high == pytest.approx(reference.high, abs=0.03 * width)


def test_ties_count_half():
    draws = np.repeat([0.0, 1.0, 2.0], [300, 400, 299])
    found = bca(draws, np.array(1.0))
    assert (found.conf_low, found.conf_high) == (0, 2)
    # Equal up to rounding is a tie as well, whatever side the rounding falls on.
    assert bca(draws + 1e-15, np.array(1.0)).conf_low == pytest.approx(0, abs=1e-14)


def test_undefined_draws_are_counted_and_impossible_intervals_say_why():
    draws = np.random.default_rng(0).normal(size=(500, 4))
    draws[:7, 0] = np.nan
    draws[:, 1] = 3.0
    draws[:, 3] = np.nan
    found = bca(draws, np.array([0.0, 3.0, 50.0, 1.0]))
    assert found.undefined.tolist() == [7, 0, 0, 500]
    assert found.reason.tolist() == [
        "",
        "the draws do not vary",
        "an end lies beyond all 500 draws: bias, or too few draws",
        "the statistic or its draws are undefined",
    ]
    assert np.isfinite(found.conf_low).tolist() == [True, False, False, False]
    assert percentile(draws[:, 0], np.array(np.nan)).reason.item().startswith("the statistic")
    assert percentile(draws[:30, 2], np.array(0.0)).reason.item().startswith("an end lies beyond")
    with pytest.raises(DesignError, match="level"):
        percentile(draws, np.zeros(4), 95)


def test_jackknife_t_of_a_mean_is_the_t_interval():
    y = np.random.default_rng(2).normal(size=8)
    found = jackknife_t(jackknife(lambda w: w @ y / w.sum(axis=1), 8), 0.9)
    low, high = stats.t.interval(0.9, 7, y.mean(), stats.sem(y))
    assert (found.conf_low, found.conf_high) == pytest.approx((low, high))
    constant = jackknife_t(jackknife(lambda w: np.ones(len(w)), 4))
    assert np.isnan(constant.conf_low)
    assert constant.reason == "the networks do not vary"
    undefined = jackknife_t(Jackknife(NAN[0], NAN, NAN[0], NAN[0], NAN[0], np.array(1)))
    assert undefined.reason == "undefined without one of the networks"


def coverage(networks, simulations, draws, seed):
    """Shares of intervals of a skewed ratio that hold the truth 1: percentile, BCa, jackknife t."""
    rng = np.random.default_rng(seed)
    hits = np.zeros(3)
    for _ in range(simulations):
        statistic = ratio(*skewed(rng, networks))
        without = jackknife(statistic, networks)
        drawn = bootstrap(statistic, network_weights(networks, draws, rng))
        found = (
            percentile(drawn, without.estimate),
            bca(drawn, without.estimate, acceleration=without.acceleration),
            jackknife_t(without),
        )
        hits += [i.conf_low <= 1 <= i.conf_high for i in found]
    return hits / simulations


def test_bca_and_jackknife_t_cover_a_skewed_ratio():
    found = coverage(networks=20, simulations=300, draws=500, seed=0)
    # SE 0.02 at 300 simulations; 3,000 give 0.88 and 0.92 for 20 networks.
    assert found[1] > 0.83
    assert found[2] > 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("networks", "least"), [(10, (0.83, 0.90)), (30, (0.89, 0.92))])
def test_coverage_rises_to_the_level_with_the_networks(networks, least):
    # SE 0.006; measured 0.86 and 0.92 for 10 networks, 0.91 and 0.94 for 30.
    found = coverage(networks, simulations=3000, draws=2000, seed=1)
    assert found[1] > least[0]
    assert found[2] > least[1]


# Test images ------------------------------------------------------------------------------------


def test_resampled_counts_are_possible_counts_and_do_not_depend_on_blocks():
    pairs = tables(np.random.default_rng(0))
    whole = next(resampled(pairs, 40, np.random.default_rng(1)))
    parts = list(resampled(pairs, 40, np.random.default_rng(1), block=7 * pairs.n.size))
    assert len(parts) == 6
    for field in ("n", "dense", "correct", "kept"):
        joined = np.concatenate([getattr(p, field) for p in parts])
        assert (joined == getattr(whole, field)).all()
    assert (whole.kept <= np.minimum(whole.dense, whole.correct)).all()
    assert (whole.kept >= whole.dense + whole.correct - whole.n).all()
    unpaired = Pairs(pairs.n, pairs.dense, pairs.correct)
    whole = next(resampled(unpaired, 40, np.random.default_rng(1)))
    parts = list(resampled(unpaired, 40, np.random.default_rng(1), block=7 * pairs.n.size))
    assert (np.concatenate([p.correct for p in parts]) == whole.correct).all()
    assert whole.kept is None


def test_a_class_that_is_all_correct_stays_so():
    n = np.array([[50, 50]])
    drawn = next(resampled(Pairs(n, n, n - [[0, 50]], n - [[0, 50]]), 30, np.random.default_rng(0)))
    assert (drawn.dense == 50).all()
    assert (drawn.correct == [50, 0]).all()


@pytest.mark.parametrize("paired", [True, False])
def test_recall_changes_vary_as_in_closed_form(paired):
    """Var(R_t − R) = (n10 + n01 − (n10 − n01)² / n) / n² of pairs; of binomials their sum."""
    pairs = tables(np.random.default_rng(2), networks=2)
    n, n10, n01 = pairs.n, pairs.dense - pairs.kept, pairs.correct - pairs.kept
    expected = (n10 + n01 - (n10 - n01) ** 2 / n) / n**2
    if not paired:
        shares = np.stack([pairs.dense, pairs.correct]) / n
        expected = (shares * (1 - shares) / n).sum(axis=0)
        pairs = Pairs(n, pairs.dense, pairs.correct)
    drawn = next(resampled(pairs, DRAWS, np.random.default_rng(3)))
    change = (drawn.correct - drawn.dense) / n
    assert change.std(axis=0) == pytest.approx(np.sqrt(expected), rel=SD_RTOL)


def slope(pairs):
    def balance(k):
        accuracy = k.sum(axis=-1, keepdims=True) / pairs.n.sum(axis=-1, keepdims=True)
        return k / pairs.n / accuracy - 1

    x, y = balance(pairs.dense), balance(pairs.correct)
    return (x * y).sum(axis=-1) / (x * x).sum(axis=-1)


def test_a_slope_varies_as_the_delta_method_says():
    rng = np.random.default_rng(4)
    pairs = tables(rng, networks=1, classes=5, n=20_000)
    one, n, step = pairs.network(0), 20_000, 1
    variance = 0.0
    for c in range(5):
        unit = np.eye(5, dtype=int)[c] * step
        base = slope(one)
        shares = np.array([one.kept[c], one.dense[c] - one.kept[c], one.correct[c] - one.kept[c]])
        shares = np.append(shares, n - shares.sum()) / n
        before = slope(Pairs(one.n, one.dense + unit, one.correct)) - base
        after = slope(Pairs(one.n, one.dense, one.correct + unit)) - base
        influence = np.array([before + after, before, after, 0.0]) / step
        variance += n * (shares @ influence**2 - (shares @ influence) ** 2)
    drawn = next(resampled(one, DRAWS, rng))
    assert slope(drawn).std() == pytest.approx(np.sqrt(variance), rel=SD_RTOL)


def test_both_bounds_of_a_mean_over_networks():
    pairs = tables(np.random.default_rng(5), networks=5)
    lost, gained = pairs.dense - pairs.kept, pairs.correct - pairs.kept
    n = pairs.n
    of_one = (lost + gained - (lost - gained) ** 2 / n).sum(axis=1) / n.sum(axis=1) ** 2
    estimate, effect = accuracy_change(pairs).mean(), on_mean(accuracy_change, pairs)
    shared = image_draws(effect, pairs, estimate, DRAWS, 0)
    independent = image_draws(effect, pairs, estimate, DRAWS, 0, images="independent")
    assert shared.std() == pytest.approx(np.sqrt(of_one).mean(), rel=SD_RTOL)
    assert independent.std() == pytest.approx(np.sqrt(of_one.sum()) / 5, rel=SD_RTOL)
    # Four standard errors of a mean.
    assert shared.mean() == pytest.approx(estimate, abs=4 * shared.std() / np.sqrt(DRAWS))
    with pytest.raises(DesignError, match="images is 'some'"):
        image_draws(effect, pairs, estimate, 10, 0, images="some")


@given(st.integers(0, 1000))
def test_no_dependence_varies_more_than_shared_images(seed):
    pairs = tables(np.random.default_rng(seed), n=30)
    effect, estimate = on_mean(accuracy_change, pairs), accuracy_change(pairs).mean()
    one, other = (
        image_draws(effect, pairs, estimate, 100, seed, images=images)
        for images in ("shared", "independent")
    )
    assert one.std() >= other.std()
    assert one.mean() == pytest.approx(other.mean())


def test_networks_that_are_copies_vary_as_one():
    one = tables(np.random.default_rng(6), networks=1, n=5000)
    copies = Pairs(*(np.repeat(k, 6, axis=0) for k in (one.n, one.dense, one.correct, one.kept)))
    alone, together = (
        image_draws(on_mean(slope, p), p, slope(p).mean(), DRAWS, 0) for p in (one, copies)
    )
    assert together.std() == pytest.approx(alone.std(), rel=SD_RTOL)


def test_a_statistic_of_all_networks_gets_the_same_draws_as_its_mean_form():
    pairs = tables(np.random.default_rng(7))
    mean, estimate = on_mean(accuracy_change, pairs), accuracy_change(pairs).mean()
    pooled = substituted(lambda p: accuracy_change(p).mean(axis=-1), pairs)
    for images in ("shared", "independent"):
        one, other = (
            image_draws(e, pairs, estimate, 50, 3, images=images, block=block)
            for e, block in ((mean, 10_000), (pooled, 30))
        )
        assert one == pytest.approx(other, abs=1e-15)  # sums in another order
    unpaired = Pairs(pairs.n, pairs.dense, pairs.correct)
    ratio_of_sums = substituted(lambda p: p.correct.sum((1, 2)) / p.dense.sum((1, 2)), unpaired)
    drawn = image_draws(ratio_of_sums, unpaired, np.array(1.0), 50, 3)
    assert drawn.shape == (50,)
    assert np.isfinite(drawn).all()


def test_two_ways_equal_a_loop_over_draws_and_networks():
    pairs, draws = tables(np.random.default_rng(8)), 30
    values, effect = accuracy_change(pairs), on_mean(accuracy_change, pairs)
    rng = np.random.default_rng(9)
    weights = network_weights(4, draws, rng)
    found = two_way_draws(effect, pairs, weights @ values / 4, weights, rng)
    rng = np.random.default_rng(9)
    network_weights(4, draws, rng)
    of_networks = [
        np.sort(accuracy_change(next(resampled(pairs.network(m), draws, rng)))) for m in range(4)
    ]
    for b in range(draws):
        copies = np.repeat(np.arange(4), weights[b])
        assert found[b] == pytest.approx(np.mean([of_networks[m][b] for m in copies]))


def test_two_variances_add():
    rng = np.random.default_rng(10)
    pairs = tables(rng, networks=8)
    values, effect = accuracy_change(pairs), on_mean(accuracy_change, pairs)
    weights = network_weights(8, DRAWS, rng)
    both = two_way_draws(effect, pairs, weights @ values / 8, weights, rng)
    images = image_draws(effect, pairs, values.mean(), DRAWS, rng)
    # Σ W ψ with random weights: at most 1 / M more than with weights of one.
    assert both.var() == pytest.approx(values.var() / 8 + images.var(), rel=2 * SD_RTOL + 1 / 8)


def test_undefined_draws_stay_undefined_unless_their_network_is_not_drawn():
    pairs = tables(np.random.default_rng(11), networks=2)
    weights = np.array([[2, 0], [0, 2], [1, 1]])
    found = two_way_draws(
        lambda m, drawn: np.full(len(drawn.n), [0.0, np.nan][m]), pairs, np.ones(3), weights, 0
    )
    assert np.isnan(found).tolist() == [False, True, True]
