"""Do classes leave the line μ + γ u alike in all networks? An analysis of variance of logits.

With y empirical logits less their mean over classes, and z = y_j − γ_j y_0, the model says that z
varies between networks only. So the variance of its class means over networks, times M, is that
within classes:

    F = M Σ_c z̄_c² / (C − 2)  over  Σ (z − z̄)² / ((M − 1)(C − 1))

"""

import numpy as np
from scipy.special import fdtrc

from distortion.fits.mixed.types import Array
from distortion.structural.latent import Successes
from distortion.structural.start import empirical_logits


def departures(successes: Successes, gamma: Array) -> tuple[Array, Array]:
    """SD (J,) of the classes' departures beyond noise, in logits, and its p-value (J,).

    NaN with two classes, through which every line goes, or where γ is.
    """
    logits = empirical_logits(successes)
    rest = logits - logits.mean(axis=2, keepdims=True)
    z = rest[1:] - gamma[:, None, None] * rest[0]
    means = z.mean(axis=1)
    _, networks, classes = z.shape
    df, df_within = classes - 2, (networks - 1) * (classes - 1)
    if df == 0:
        return np.full(len(gamma), np.nan), np.full(len(gamma), np.nan)
    between = networks * (means**2).sum(axis=1) / df
    within = ((z - means[:, None]) ** 2).sum(axis=(1, 2)) / df_within
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = between / within
    size = np.sqrt(np.maximum(between - within, 0.0) / networks)
    return np.where(np.isnan(gamma), np.nan, size), np.asarray(fdtrc(df, df_within, ratio))
