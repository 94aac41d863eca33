"""What it does that all networks are tested on the same images.

Every image has a difficulty that all networks share, and one that a network shares with its
compressed child. `python -m tests.structural.test_images 25` prints, for several shares of the
first, the SD of γ̂ over new networks on the same images, over sets of images, and the mean standard
error.
"""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit, ndtri

from distortion.structural.fit import fit_structural
from tests.structural.simulated import CIFAR, Truth, conditions

LOSS = CIFAR.but(mu=(2.3, 1.5), n=300)


class Spread(NamedTuple):
    same_images: float
    new_images: float
    std_error: float


def spread(truth: Truth, share: float, sets: int, fits: int, seed: int = 3) -> Spread:
    """SDs of γ̂; `share` is the correlation with the difficulty that all networks share."""
    rng = np.random.default_rng(seed)
    m, c, n = truth.networks, truth.classes, truth.n
    rest = np.sqrt((1 - share**2) / 2)
    estimates, errors = np.empty((sets, fits)), []
    for i in range(sets):
        u = rng.normal(0, truth.tau, c)
        image = rng.normal(size=(c, n))
        for j in range(fits):
            v = rng.normal(0, truth.sigma_v, (m, c))
            w = rng.normal(0, truth.sigma_w[0], (m, c))
            after = truth.mu[1] + truth.gamma[0] * u + truth.phi[0] * v + w
            bound = ndtri(expit(np.stack([truth.mu[0] + u + v, after])))[..., None]
            inherited = rng.normal(size=(m, c, n))
            fresh = rng.normal(size=(2, m, c, n))
            k = (bound > share * image + rest * inherited + rest * fresh).sum(axis=-1)
            fit = fit_structural(conditions(k, np.full(k.shape, n)))
            estimates[i, j] = fit.gamma[0]
            errors.append(float(fit.std_errors["gamma"][0]) * fit.widening)
    within = np.sqrt(estimates.var(axis=1, ddof=1).mean())
    return Spread(float(within), float(estimates[:, 0].std(ddof=1)), float(np.mean(errors)))


@pytest.mark.simulation
@pytest.mark.parametrize("share", [0.0, 0.7, 0.95])
def test_standard_errors_are_large_enough_for_these_images(share):
    found = spread(LOSS, share, sets=8, fits=20)
    # 152 degrees of freedom: the SD is known to 6 %
    assert found.same_images < 1.15 * found.std_error


if __name__ == "__main__":
    for networks in (5, 20):
        for share in (0.0, 0.7, 0.95):
            found = spread(LOSS.but(networks=networks), share, sets=20, fits=int(sys.argv[1]))
            print(f"{networks:3d} networks, share {share:.2f}:", *(f"{x:.3f}" for x in found))
