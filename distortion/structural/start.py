"""Where to begin: moments of empirical logits.

    y = log((k + ½) / (n − k + ½)),  Var(y | p) ≈ 1 / (k + ½) + 1 / (n − k + ½)     (Haldane, Gart)

with the mean over classes taken off. What two networks share is u: cross-products of different
networks estimate τ², γ τ². What they do not share is v, w and the sampling of images.
"""

import numpy as np

from distortion.fits.mixed.types import Array
from distortion.structural.latent import Loadings, Successes
from distortion.structural.parameters import Parameters

# Smallest SD to begin with, as a share of the SD of the sampling of images: an SD of zero is a
# stationary point.
LEAST = 0.3


def start(successes: Successes, parameters: Parameters) -> Array:
    """ψ by the method of moments."""
    k, n = successes.k, successes.n
    logits = empirical_logits(successes)
    sampling = np.median(1.0 / (k + 0.5) + 1.0 / (n - k + 0.5), axis=(1, 2))
    mu = logits.mean(axis=2)
    rest = logits - mu[:, :, None]
    networks, classes = rest.shape[1:]
    df = networks * (classes - 1)
    # Σ over networks m' ≠ m and classes of rest_0m rest_im', and the same with m' = m
    same = np.einsum("mc,imc->i", rest[0], rest)
    apart = (np.einsum("mc,inc->i", rest[0], rest) - same) / (df * (networks - 1))
    within = rest - rest.mean(axis=1, keepdims=True)
    df_within = (networks - 1) * (classes - 1)
    covariance = np.einsum("imc,jmc->ij", within, within) / df_within
    covariance[np.diag_indices(len(covariance))] -= sampling
    floors = LEAST**2 * sampling
    tau_squared = max(apart[0], floors[0])
    gain = np.clip(apart / tau_squared, 0.2, 5.0)
    deviation = np.sqrt(max(covariance[0, 0], floors[0]))
    shares = np.clip(covariance[0] / deviation**2, -1.0, 2.0)
    if parameters.fixed is not None:
        shares = np.full(len(shares), parameters.fixed)
    fresh = np.diagonal(covariance) - (shares * deviation) ** 2
    return parameters.point(
        Loadings(
            mu=mu,
            common=np.sqrt(tau_squared) * np.concatenate([[1.0], gain[1:]]),
            inherited=np.concatenate([[deviation], deviation * shares[1:]]),
            fresh=np.concatenate([[0.0], np.sqrt(np.maximum(fresh, floors))[1:]]),
        )
    )


def empirical_logits(successes: Successes) -> Array:
    """Logits that are finite also for k = 0 and k = n, (A, M, C)."""
    return np.asarray(np.log((successes.k + 0.5) / (successes.n - successes.k + 0.5)))
