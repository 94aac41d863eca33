"""Coverage of the profile interval of γ, and false positives, by simulation.

An interval covers where the test of the true γ does not reject, so every fit needs one restricted
optimum. `python -m tests.structural.test_coverage 1000` prints a table.
"""

import sys

import numpy as np
import pytest
from scipy import stats

from distortion.structural.fit import INTERVALS, fit_structural
from tests.structural.simulated import CIFAR, MNIST, Truth, draw

CASES = {
    "CIFAR, inherited noise": CIFAR.but(phi=(1.0,), sigma_w=(0.0,)),
    "CIFAR, fresh noise": CIFAR.but(phi=(0.0,)),
    "CIFAR, class-blind loss": CIFAR.but(mu=(2.3, 1.5)),
    "CIFAR, γ = 1.3": CIFAR.but(mu=(2.3, 1.5), gamma=(1.3,)),
    "MNIST, inherited noise": MNIST.but(phi=(1.0,), sigma_w=(0.0,)),
    "MNIST, fresh noise": MNIST.but(phi=(0.0,)),
    "MNIST, class-blind loss": MNIST.but(mu=(4.4, 3.5)),
    "MNIST, γ = 1.3": MNIST.but(mu=(4.4, 3.5), gamma=(1.3,)),
    "seeds that differ much": CIFAR.but(sigma_v=0.5, sigma_w=(0.5,)),
}


def p_values(truth: Truth, fits: int, seed: int = 1) -> np.ndarray:
    """P-values (fits, 2) of the true γ, by profile and by Wald."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(fits):
        fit = fit_structural(draw(rng, truth))
        found.append([fit.test([1.0], truth.gamma[0], interval=i).p_value for i in INTERVALS])
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "fits"), [("CIFAR, fresh noise", 40), ("MNIST, class-blind loss", 25)]
)
def test_level_is_held(case, fits):
    # As normal scores, all p-values count and not those below .05 alone: a statistic that rejects
    # in 16 % fails here with a probability of .8 and .6.
    scores = stats.norm.isf(p_values(CASES[case], fits)[:, 0] / 2)
    low, high = stats.chi2.ppf([0.01, 0.99], fits)
    assert low < scores @ scores < high


@pytest.mark.simulation
@pytest.mark.parametrize("networks", [5, 10])
@pytest.mark.parametrize("case", CASES)
def test_coverage_is_near_nominal(case, networks):
    share = np.mean(p_values(CASES[case].but(networks=networks), 500)[:, 0] < 0.05)
    # four standard errors of a share of .05 in 500 fits, beside a level that is approximate
    assert 0.01 <= share <= 0.09


if __name__ == "__main__":
    size = int(sys.argv[1])
    for name, truth in CASES.items():
        for networks in (5, 10):
            covered = np.mean(p_values(truth.but(networks=networks), size) >= 0.05, axis=0)
            profile, wald = covered
            print(f"{name:26s} {networks:3d} networks  profile {profile:.3f}  wald {wald:.3f}")
