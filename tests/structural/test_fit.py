"""The fit: special cases, invariances, planted truths, and refusals in words."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from distortion.errors import DesignError, FitError
from distortion.fits.glmm import fit_glmm
from distortion.structural.fit import fit_structural
from distortion.structural.profile import Contrast
from tests.structural.simulated import CIFAR, MNIST, Truth, conditions, draw

TWO = CIFAR.but(
    mu=(2.3, 2.0, 1.5), gamma=(1.0, 1.3), phi=(0.8, 0.4), sigma_w=(0.1, 0.2), sigma_v=0.2
)


def counts_of(found):
    """(A, M, C) arrays of conditions."""
    k = np.stack([found[0].dense, *(c.correct for c in found)])
    return k, np.stack([found[0].n, *(c.n for c in found)])


def test_with_gamma_and_phi_one_it_is_a_crossed_binomial_model():
    found = draw(np.random.default_rng(1), CIFAR.but(n=200, sigma_v=0.3, sigma_w=(0.3,)))
    k, n = counts_of(found)
    arm, network, class_id = np.indices(k.shape)
    table = pl.DataFrame(
        {
            "correct": k.ravel(),
            "n": n.ravel(),
            "cell": [f"{a}-{m}" for a, m in zip(arm.ravel(), network.ravel(), strict=True)],
            "class": class_id.ravel(),
            "pair": network.ravel() * 100 + class_id.ravel(),
            "after": arm.ravel().astype(float),
        }
    )
    glmm = fit_glmm(
        "correct/n ~ 0 + cell + (1 | class) + (1 | pair) + (0 + after | pair)",
        table,
        test_dispersion=False,
    )
    fit = fit_structural(found, inheritance=1.0)
    contrast = Contrast(fit.optimum, np.ones(1))
    others = contrast.coefficient.others(fit.optimum.evaluation.point)
    held = contrast.at(1.0, others)
    # both optimizers stop when −2 log L would fall by less than 1e-9; the model's by 1e-6
    assert held.deviance == pytest.approx(glmm.criterion, abs=1e-6)
    sds = np.sort(np.abs(held.others[:3]))
    assert sds == pytest.approx(np.sort(glmm.variances["sd"].to_numpy()), rel=1e-3)


def test_planted_truth_is_recovered():
    truth = TWO.but(networks=30, classes=30)
    fit = fit_structural(draw(np.random.default_rng(2), truth))
    # four standard errors
    for name in ("gamma", "phi", "sigma_w", "sigma_v", "tau"):
        error = 4 * np.asarray(fit.std_errors[name])
        assert (np.abs(np.asarray(getattr(fit, name)) - getattr(truth, name)) < error).all(), name
    assert fit.converged
    assert fit.notes == ()


def test_standard_errors_are_those_of_the_whole_hessian():
    fit = fit_structural(draw(np.random.default_rng(3), TWO))
    best, criterion = fit.optimum.evaluation, fit.optimum.criterion
    step = 1e-4
    whole = np.array(
        [
            (criterion(best.point + d, best).gradient - criterion(best.point - d, best).gradient)
            / (2 * step)
            for d in step * np.eye(len(best.point))
        ]
    )
    covariance = 2 * np.linalg.inv(whole)
    # differences of the gradient, and the square of the error of the block of μ
    assert fit.covariance == pytest.approx(covariance[:2, :2], rel=1e-3, abs=1e-7)


def test_order_of_classes_networks_and_arms_does_not_matter():
    found = draw(np.random.default_rng(4), TWO)
    k, n = counts_of(found)
    first = fit_structural(found)
    rng = np.random.default_rng(5)
    shuffled = k[:, rng.permutation(k.shape[1])][:, :, rng.permutation(k.shape[2])]
    second = fit_structural(conditions(shuffled, n)[::-1])
    # optimizers stop within 1e-9 of −2 log L
    assert second.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-6)
    assert second.gamma[::-1] == pytest.approx(first.gamma, abs=1e-4)


def test_right_and_wrong_may_be_exchanged():
    found = draw(np.random.default_rng(6), TWO)
    k, n = counts_of(found)
    first, second = fit_structural(found), fit_structural(conditions(n - k, n))
    assert second.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-6)
    assert second.gamma == pytest.approx(first.gamma, abs=1e-4)


@pytest.mark.parametrize("truth", [CIFAR, MNIST.but(networks=10)])
def test_profile_and_wald_agree_roughly_and_the_root_ends_at_the_interval(truth):
    fit = fit_structural(draw(np.random.default_rng(7), truth))
    profile = fit.test([1.0], 1.0)
    wald = fit.test([1.0], 1.0, interval="wald")
    assert profile.conf_low < profile.estimate < profile.conf_high
    assert wald.conf_low == pytest.approx(profile.conf_low, abs=wald.std_error)
    assert wald.conf_high == pytest.approx(profile.conf_high, abs=2 * wald.std_error)
    assert fit.test([1.0], profile.conf_low).p_value == pytest.approx(0.05, abs=1e-4)
    assert fit.test([1.0], profile.conf_high).p_value == pytest.approx(0.05, abs=1e-4)


def test_a_contrast_of_two_arms_uses_their_covariance():
    fit = fit_structural(draw(np.random.default_rng(8), TWO))
    row = np.array([-1.0, 1.0])
    tested = fit.test(row, 0.0, interval="wald")
    assert tested.std_error == pytest.approx(np.sqrt(row @ fit.covariance @ row) * fit.widening)
    profiled = fit.test(row, 0.0)
    assert profiled.conf_low < fit.gamma[1] - fit.gamma[0] < profiled.conf_high


def test_no_class_differences():
    k = np.full((2, 5, 10), 800) + np.random.default_rng(9).integers(-1, 2, (2, 5, 10))
    fit = fit_structural(conditions(k, np.full(k.shape, 1000)))
    assert fit.tau == 0.0
    assert np.isnan(fit.gamma).all()
    assert "no class differences between dense networks: γ not defined" in fit.notes
    assert fit.test([1.0], 1.0).note == "γ not defined"


@pytest.mark.parametrize("n", [5, 50, 10**7])
def test_counts_at_their_ends_and_huge_ones(n):
    truth = Truth(mu=(3.0, 2.0), tau=1.0, sigma_v=0.3, phi=(1.0,), sigma_w=(0.3,), n=n)
    found = draw(np.random.default_rng(11), truth)
    k, support = counts_of(found)
    k[:, :, 0], k[:, :, 1] = 0, n
    fit = fit_structural(conditions(k, support))
    assert fit.converged
    assert fit.gamma == pytest.approx(1.0, abs=0.5)


def test_one_network_is_refused_and_two_fix_phi():
    found = draw(np.random.default_rng(12), CIFAR.but(networks=2))
    fit = fit_structural(found)
    assert fit.phi.tolist() == [1.0]
    assert any("φ taken to be 1" in note for note in fit.notes)
    with pytest.raises(DesignError, match="needs two networks"):
        fit_structural(draw(np.random.default_rng(13), CIFAR.but(networks=1)))


def test_networks_that_an_arm_lacks_are_named():
    one, two = draw(np.random.default_rng(14), TWO)
    shorter = replace(two, seeds=two.seeds[1:], n=two.n[1:], correct=two.correct[1:])
    shorter = replace(shorter, dense=two.dense[1:])
    fit = fit_structural([one, shorter])
    assert fit.seeds == (1, 2, 3, 4)
    assert fit.notes == ("seed(s) 0 left out: not in every arm",)


def test_networks_at_chance_are_left_out_and_named():
    found = draw(np.random.default_rng(15), CIFAR)
    k, n = counts_of(found)
    k[1, 2], k[1, 2, 3] = 0, n[1, 2, 3]
    fit = fit_structural(conditions(k, n))
    assert fit.seeds == (0, 1, 3, 4)
    assert fit.notes == ("seed(s) 2 left out: every class always or never recognised",)


def test_conditions_that_do_not_belong_together_are_refused():
    (one,) = draw(np.random.default_rng(16), CIFAR)
    with pytest.raises(DesignError, match="at least one condition"):
        fit_structural([])
    with pytest.raises(DesignError, match="comes twice"):
        fit_structural([one, one])
    with pytest.raises(DesignError, match="differ in dataset"):
        fit_structural([one, replace(one, condition=one.condition | {"dataset": "other"})])
    with pytest.raises(DesignError, match="share their classes"):
        fit_structural([one, replace(one, class_ids=tuple(range(1, 11)))])
    with pytest.raises(DesignError, match="at least two, and here is one"):
        fit_structural(draw(np.random.default_rng(17), CIFAR.but(classes=1)))
    with pytest.raises(FitError, match="inheritance"):
        fit_structural([one], inheritance="none")


def test_wrong_arguments_of_a_test_are_refused():
    fit = fit_structural(draw(np.random.default_rng(18), CIFAR))
    with pytest.raises(FitError, match="interval"):
        fit.test([1.0], 1.0, interval="bootstrap")
    with pytest.raises(FitError, match="one weight per arm"):
        fit.test([1.0, 0.0], 1.0)
    with pytest.raises(FitError, match="level"):
        fit.test([1.0], 1.0, level=95)


def test_classes_that_leave_the_line_alike_are_noticed():
    rng = np.random.default_rng(19)
    found = draw(rng, CIFAR.but(networks=10))
    k, n = counts_of(found)
    plain = fit_structural(found)
    assert plain.departs[0] > 0.01
    shift = rng.choice([0.7, 1.4], k.shape[2])
    k[1] = n[1] - np.minimum(np.rint((n[1] - k[1]) * shift), n[1])
    bent = fit_structural(conditions(k, n))
    assert bent.departs[0] < 1e-6
    assert bent.departure[0] > 0.1
