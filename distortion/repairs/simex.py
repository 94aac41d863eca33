"""SIMEX: add test-image noise to the dense balances, watch the slope fall, extrapolate back.

Cook and Stefanski (1994); S3 (e). The noise of a recall is binomial, its share of the balance
√(R(1 − R) / n) / A. Balances with ζ times that variance added, ζ = 0, ½, …, 2, give slopes α(ζ);
a quadratic through them is read off at ζ = −1, where no image noise is left.

The method takes the noise of x to be independent of y. Where before and after are counted on the
same test images, as in every log, they share part of it: the correction is then too large for a
slope on these images (what it aims at is new images), and `split_half`, which counts the shared
part, is the better answer wherever `kept` is known.
"""

from typing import Final

import numpy as np

from distortion.counts import Counts, Values, accuracies, balances
from distortion.repairs.networkwise import slopes

ADDED: Final = (0.0, 0.5, 1.0, 1.5, 2.0)


def simex(counts: Counts, rng: np.random.Generator, *, draws: int = 200) -> Values:
    """Slope of each network (M,), extrapolated to no image noise.

    Parameters
    ----------
    draws : of the added noise, half of them mirror images of the others. With 10 classes of 1,000
        images, 200 leave an error of less than 0.001 in the mean over ten networks.
    """
    n = counts.n
    accuracy = accuracies(counts.dense, n)[:, None]
    x, y = balances(counts.dense, n), balances(counts.correct, n)
    recall = counts.dense / n
    with np.errstate(divide="ignore", invalid="ignore"):
        std_error = np.sqrt(recall * (1 - recall) / n) / accuracy
    noise = std_error * rng.standard_normal((draws // 2, *x.shape))
    # Noise of recalls moves accuracy too: balances still sum to zero over images.
    noise -= (n / n.sum(axis=1, keepdims=True) * noise).sum(axis=-1, keepdims=True)
    noise = np.concatenate([noise, -noise])
    at = [slopes(x + np.sqrt(added) * noise, y).mean(axis=0) for added in ADDED]
    return np.asarray(_extrapolation() @ np.stack(at))


def _extrapolation() -> Values:
    """Weights of α(ζ) in the value at ζ = −1 of the quadratic fitted to them."""
    design = np.vander(np.array(ADDED), 3)
    return np.asarray(np.vander([-1.0], 3)[0] @ np.linalg.pinv(design))
