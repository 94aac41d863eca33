"""Bootstrap over test images from counts alone, and over networks and images together.

symbol  name here   size       meaning
n       n           (..., C)   test images of the class
k_0     dense       (..., C)   correct in the dense parent
k_t     correct     (..., C)   correct after
k_0t    kept        (..., C)   correct in both, or None
ψ_m     effect      (B, ...)   change of the statistic when the images of network m are resampled

The n images of a class fall into four kinds: correct in both (k_0t), lost (k_0 − k_0t), gained
(k_t − k_0t), wrong in both. Drawing n images with replacement is drawing the four counts from a
multinomial with those shares, so before and after stay paired without any prediction at hand. Where
`kept` is unknown so are the pairs, and before and after are drawn as independent binomials: changes
then vary more than they should. False positives cannot be drawn: which class a wrong answer
names takes the confusion matrix. A class that is all correct, or all wrong, stays so in every draw.

All networks are tested on the same images, and counts do not tell how far they err on the same
ones. Two bounds are offered:

shared       (default, the conservative one) every network errs as the others do: the draws of
             each network are put in order of ψ_m and added rank by rank. No dependence between
             networks gives a sum that varies more (comonotone sum, largest in convex order;
             Dhaene et al. 2002, Insur. Math. Econ. 31, 3-33). The SD of a mean over networks is the
             mean of their SDs: that of one network, not divided by √M.
independent  every network has images of its own: the SD falls with √M.

The statistic is taken as additive in its networks, θ* = θ + Σ ψ_m: exact for means over networks,
first-order for others. The two-way bootstrap resamples networks and then, within those drawn, the
shared images, θ* = θ(W) + Σ W_m ψ_m. It is conservative: a network's share of the noise of images
is in both parts (Owen 2007, Ann. Appl. Stat. 1, 386-411). Were images independent, resampling
networks alone would hold both sources, hence no such option.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from distortion.errors import DesignError
from distortion.fits.results.arguments import Seed, count, generator
from distortion.resampling.networks import Weights

Values = NDArray[np.float64]
Integers = NDArray[np.int64]
Images = Literal["shared", "independent"]
# Cells (draws × classes) resampled at once; four counts of 8 bytes each.
BLOCK: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Paired counts (..., C) of classes, before and after.

    `predicted_dense` and `predicted` (images predicted as the class) do not survive resampling.
    """

    n: Integers
    dense: Integers
    correct: Integers
    kept: Integers | None = None
    predicted_dense: Integers | None = None
    predicted: Integers | None = None

    def network(self, m: int) -> "Pairs":
        """The counts (C,) of one network."""
        kept = None if self.kept is None else self.kept[m]
        return Pairs(self.n[m], self.dense[m], self.correct[m], kept)


Effect = Callable[[int, Pairs], Values]
"""ψ: a network's number and its resampled counts (B, C) to the statistic's changes (B, ...)."""


def resampled(
    pairs: Pairs, draws: int, rng: np.random.Generator, *, block: int = BLOCK
) -> Iterator[Pairs]:
    """Draws of the images of each class: counts (b, ..., C), b adding up to `draws`.

    The numbers drawn do not depend on `block`.
    """
    size = max(1, block // pairs.n.size)
    for start in range(0, draws, size):
        yield _drawn(pairs, min(size, draws - start), rng)


def _drawn(pairs: Pairs, draws: int, rng: np.random.Generator) -> Pairs:
    n = np.broadcast_to(pairs.n, (draws, *pairs.n.shape))
    if pairs.kept is None:
        shares = np.stack([pairs.dense, pairs.correct]) / pairs.n
        both = rng.binomial(pairs.n, shares, size=(draws, *shares.shape))
        return Pairs(n, both[:, 0], both[:, 1])
    lost, gained = pairs.dense - pairs.kept, pairs.correct - pairs.kept
    wrong = pairs.n - pairs.kept - lost - gained
    shares = np.stack([pairs.kept, lost, gained, wrong], axis=-1) / pairs.n[..., None]
    kinds = rng.multinomial(pairs.n, shares, size=(draws, *pairs.n.shape))
    kept = kinds[..., 0]
    return Pairs(n, kept + kinds[..., 1], kept + kinds[..., 2], kept)


def image_draws(
    effect: Effect,
    pairs: Pairs,
    estimate: Values,
    draws: int,
    rng: Seed,
    *,
    images: Images = "shared",
    block: int = BLOCK,
) -> Values:
    """The statistic (draws, ...) of resampled test images.

    Parameters
    ----------
    effect : what resampling one network does to the statistic; for a statistic that is not a mean
        over networks, `substituted` makes it
    pairs : counts (M, C)
    estimate : (...) of the data
    images : "shared" (the upper bound) or "independent", see above

    Raises
    ------
    DesignError
        If `images` is neither.
    FitError
        `rng` is neither a seed nor a Generator, or `draws` is not a positive whole number.
    """
    if images not in ("shared", "independent"):
        raise DesignError(f"images is {images!r}: the bounds are 'shared' and 'independent'.")
    base = np.broadcast_to(estimate, (count("draws", draws), *np.shape(estimate)))
    ones = np.ones((draws, len(pairs.n)), dtype=np.int64)
    return _added(effect, pairs, base, ones, generator(rng), images == "shared", block)


def two_way_draws(
    effect: Effect,
    pairs: Pairs,
    networks: Values,
    weights: Weights,
    rng: Seed,
    *,
    block: int = BLOCK,
) -> Values:
    """The statistic (B, ...) of resampled networks and, within them, of the images they share.

    Parameters
    ----------
    effect, pairs : as in `image_draws`
    networks : (B, ...) the statistic of resampled networks, as `bootstrap` gives it
    weights : (B, M) those of `networks`, from `network_weights`
    rng : the generator that drew the weights; their seed again would draw dependent images
    """
    return _added(effect, pairs, networks, weights, generator(rng), True, block)


def substituted(statistic: Callable[[Pairs], Values], pairs: Pairs) -> Effect:
    """The effect of a statistic of all networks, `statistic(counts (B, M, C)) -> (B, ...)`.

    The counts of one network are replaced by their draws while the others stay.
    """

    def effect(m: int, drawn: Pairs) -> Values:
        counts = (_with_row(getattr(pairs, f), m, getattr(drawn, f)) for f in fields)
        return np.asarray(statistic(Pairs(*counts)) - estimate)

    fields = ("n", "dense", "correct") if pairs.kept is None else ("n", "dense", "correct", "kept")
    estimate = statistic(Pairs(*(getattr(pairs, f)[None] for f in fields)))
    return effect


def _with_row(counts: Integers, m: int, drawn: Integers) -> Integers:
    copies = np.repeat(counts[None], len(drawn), axis=0)
    copies[:, m] = drawn
    return copies


def _added(
    effect: Effect,
    pairs: Pairs,
    base: Values,
    weights: Weights,
    rng: np.random.Generator,
    shared: bool,
    block: int,
) -> Values:
    """Base (B, ...) plus the weighted effects of resampling the images of each network."""
    total = np.array(base, dtype=np.float64)
    columns = (-1, *(1 for _ in total.shape[1:]))
    for m in range(len(pairs.n)):
        tables = resampled(pairs.network(m), len(total), rng, block=block)
        change = np.concatenate([effect(m, table) for table in tables])
        if shared:
            change = np.sort(change, axis=0)
        times = weights[:, m].reshape(columns)
        # A network that is not in a draw does not make it undefined.
        total += np.where(times > 0, times * change, 0.0)
    return total
