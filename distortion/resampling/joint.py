"""Bootstrap over the test images that networks share, from their predictions.

symbol  name here        size         meaning
n       images           ()           test images; n_c of class c
V       image_weights    (B, n)       how often a draw holds each image; n_c in sum over class c
a       dense, after     (M, n)       predicted classes, before and after
k(V)    counts in Pairs  (B, M, C)    Σ_i V_i [image i is of class c and network m is right]
θ(V)    values           (B, M, K)    measures of those counts, network by network
W       weights          (B, M)       how often a draw holds each network

Criticism S4 asks which noise an interval shows. A draw takes images with replacement within each
class, so that supports stay, and the *same* images for all networks, before and after: errors that
networks share stay shared, the pairs stay pairs, and false positives are drawn with the images
that cause them. Where counts leave only bounds (`distortion.resampling.images`), this is the
bootstrap itself. Images with networks fixed: θ* = mean over m of θ_m(V). Both: θ* = Σ W_m θ_m(V) /
Σ W_m, with V and W drawn independently, the pigeonhole bootstrap of Owen (2007), Ann. Appl. Stat.
1, 386-411. It has the variance over networks and that over images, and is conservative by twice
their interaction (what other images do to one network only), of order 1 / (M n).

With weights a count is a matrix product: V (B, n_c) times hits (n_c, networks), in float32, which
is exact for counts below 2²⁴.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from distortion.errors import DesignError
from distortion.fits.results.arguments import Seed, count, generator
from distortion.resampling.images import BLOCK, Pairs

Values = NDArray[np.float64]
Classes = NDArray[np.integer[Any]]
ImageWeights = NDArray[np.uint16]
# Up to this number, float32 holds every whole number and uint16 every weight of an image.
MOST_IMAGES: Final = 2**16 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What M networks answer on the same n images.

    Attributes
    ----------
    labels : (n,) true classes
    dense, after : (M, n) predicted classes, of the dense parents and of the networks themselves
    """

    labels: Classes
    dense: Classes
    after: Classes

    @property
    def pairs(self) -> Pairs:
        """The counts (M, C) of the images as they are, in the order of the class numbers."""
        once = np.ones((1, len(self.labels)), dtype=np.uint16)
        drawn = self.reweighted(once)
        return Pairs(*(getattr(drawn, field)[0] for field in Pairs.__slots__))

    def reweighted(self, weights: ImageWeights, *, false_positives: bool = True) -> Pairs:
        """The counts (B, M, C) of every row of weights (B, n).

        `predicted_dense` and `predicted` take most of the time; they are None unless
        `false_positives`.
        """
        before, after = self.dense == self.labels, self.after == self.labels
        hits = np.concatenate([before, after, before & after]).astype(np.float32)
        classes, networks, draws = np.unique(self.labels), len(self.after), len(weights)
        drawn = weights.astype(np.float32)
        counts = np.empty((3, draws, networks, len(classes)), dtype=np.int64)
        n = np.empty((draws, networks, len(classes)), dtype=np.int64)
        for c, label in enumerate(classes):
            of_class = self.labels == label
            part = drawn[:, of_class]
            product = (part @ hits[:, of_class].T).reshape(draws, 3, networks)
            counts[..., c] = product.swapaxes(0, 1)
            n[..., c] = part.sum(axis=1)[:, None]
        dense, correct, kept = counts
        if not false_positives:
            return Pairs(n, dense, correct, kept)
        named = [_named(predicted, classes, drawn) for predicted in (self.dense, self.after)]
        return Pairs(n, dense, correct, kept, *named)


def image_weights(labels: Classes, draws: int, rng: Seed) -> ImageWeights:
    """Weights (draws, n): each row takes as many images of each class as there are, by lot.

    Raises
    ------
    DesignError
        If a class has more images than a weight can count.
    FitError
        `rng` is neither a seed nor a Generator, or `draws` is not a positive whole number.
    """
    rng, draws = generator(rng), count("draws", draws)
    weights = np.empty((draws, len(labels)), dtype=np.uint16)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        size = len(members)
        if size > MOST_IMAGES:
            raise DesignError(
                f"Class {label} has {size:,} images; at most {MOST_IMAGES:,} of a class can be "
                "resampled. Their noise is tiny: let networks vary (source='networks')."
            )
        # Rows of numbers become numbers of a single row, which one bincount counts.
        step = max(1, BLOCK // size)
        for start in range(0, draws, step):
            rows = min(step, draws - start)
            chosen = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
            counted = np.bincount(chosen.ravel(), minlength=rows * size).reshape(rows, size)
            weights[start : start + rows, members] = counted
    return weights


def joint_values(
    evaluate: Callable[[Pairs], Values],
    answers: Answers,
    weights: ImageWeights,
    *,
    false_positives: bool = True,
    block: int = BLOCK,
) -> Values:
    """What `evaluate` makes of the counts (b, M, C) of every draw: values (B, M, ...).

    `block` bounds the memory: numbers per array at a time.
    """
    size = max(1, block // max(len(answers.labels), answers.after.shape[0]))
    parts = (weights[start : start + size] for start in range(0, len(weights), size))
    return np.concatenate(
        [evaluate(answers.reweighted(part, false_positives=false_positives)) for part in parts]
    )


def _named(predicted: Classes, classes: Classes, drawn: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many images (B, M, C) are predicted as each class; other classes do not count."""
    networks, images = predicted.shape
    column = np.searchsorted(classes, predicted)
    column = np.minimum(column, len(classes) - 1)
    m, i = np.nonzero(classes[column] == predicted)
    row = m * len(classes) + column[m, i]
    shape = (networks * len(classes), images)
    said = csr_array((np.ones(len(m), dtype=np.float32), (row, i)), shape=shape)
    counts = (said @ np.ascontiguousarray(drawn.T)).T
    return np.asarray(counts.reshape(len(drawn), networks, -1), dtype=np.int64)
