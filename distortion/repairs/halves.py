"""Split-half slope over test images, in closed form: x from one half, y from the other.

Noise of the test images is in both balances, x and y, and in Σx² (S4). Were the images of every
class split at random into halves A and B, Σ x_A y_B / Σ x_A x_B would be free of it. Its
expectation over all such splits needs no split: for a class with n images, of which k_0 and k_t
are correct before and after and k_0t both,

    E[R_0A R_tB] = (k_0 k_t − k_0t) / (n (n − 1)),    E[R_0A R_0B] = (k_0² − k_0) / (n (n − 1)),

because an image is never in both halves; recalls of two classes are split independently, so their
product stays as it is. With w = n / Σn the balance is B = P R, P = I − 1w', and the sums over
classes are R_0'P'P R_t + Σ_c (P'P)_cc (unbiased − plain product), (P'P)_cc = 1 − 2 w_c + C w_c².
Accuracy, the divisor of B̄, is taken from all images: its noise is smaller by the number of classes.

What remains is the slope that this very network would have on endless test images. Seed noise is
not removed: it is a fact about the network.
"""

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, Values, accuracies
from distortion.repairs.moments import Quotient, weighted_sums

Integers = NDArray[np.int64]


def split_half(counts: Counts) -> Values:
    """Slope of each network (M,) between independent halves of the test images.

    NaN where `kept` is unknown or the products undefined, and for a network whose dense class
    pattern is not larger than image noise alone would make it (denominator ≤ 0).
    """
    numerator, denominator = _products(counts)
    ratio: Values = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def split_half_pooled(counts: Counts, weights: Values) -> Quotient:
    """One such slope for all networks (B,), a ratio of sums over those with both products.

    The one to read where image noise is a large part of the dense pattern: a network's own
    denominator then comes close to 0, and the mean of its ratios is drawn to extremes.
    """
    numerator, denominator = weighted_sums(weights, *_products(counts))
    return numerator, np.where(denominator > 0, denominator, np.nan)


def product_of_halves(
    n: Integers, first: Integers, second: Integers, both: Integers | Values
) -> Values:
    """Expected Σ_c B̄_A B̄'_B (M,) over splits, from counts (M, C) of correct images.

    B̄ is the balance of `first`, B̄' that of `second`, `both` the images that both count; of one
    network with itself all three are the same. NaN where a class has a single image, `both` is
    unknown or an accuracy is 0.
    """
    share = n / n.sum(axis=1, keepdims=True)
    diagonal = 1 - 2 * share + n.shape[1] * share**2
    unbiased = (first * second - both) / np.where(n > 1, n * (n - 1), np.nan)
    one, other = first / n, second / n
    products = _balance(one, share) * _balance(other, share)
    total = (products + diagonal * (unbiased - one * other)).sum(axis=1)
    scale = accuracies(first, n) * accuracies(second, n)
    return np.asarray(total / np.where(scale > 0, scale, np.nan))


def _products(counts: Counts) -> Quotient:
    """Σ_c B̄_0A B̄_tB, NaN where `kept` is unknown, and Σ_c B̄_0A B̄_0B (M,)."""
    n, dense = counts.n, counts.dense
    return (
        product_of_halves(n, dense, counts.correct, counts.kept_by_network),
        product_of_halves(n, dense, dense, dense),
    )


def _balance(recall: Values, share: Values) -> Values:
    return np.asarray(recall - (share * recall).sum(axis=1, keepdims=True))
