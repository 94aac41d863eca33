"""Bootstrap and jackknife over networks.

symbol  name here     size      meaning
M                     ()        networks
W       weights       (B, M)    how often a draw holds each network; rows sum to M (bootstrap) or
                                M − 1 (jackknife, one 0 among ones)
θ(W)    statistic(W)  (B, ...)  the statistic of each row of weights, NaN where undefined
θ̂       estimate      (...)     θ at weights of one
θ₍ᵢ₎    values        (M, ...)  θ without network i
a       acceleration  (...)     Σ dᵢ³ / 6 (Σ dᵢ²)^³⁄², dᵢ = mean θ₍·₎ − θ₍ᵢ₎

A statistic is a function of weights rather than of rows, so that a leave-one-network-out estimator
can leave out *all* copies of a network: with copies among the others it would be its own
instrument.

Sources: Efron & Tibshirani (1993), chapters 6, 11 and 14 (equation 14.15 for a).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.errors import DesignError
from distortion.fits.results.arguments import Seed, count, generator

Values = NDArray[np.float64]
Weights = NDArray[np.int64]
Statistic = Callable[[Weights], Values]
# Draws evaluated at once: bounds the memory of a statistic that holds arrays (B, M, C).
BLOCK: Final = 250


@dataclass(frozen=True, slots=True, eq=False)
class Jackknife:
    """The delete-one values of a statistic and what follows from them.

    Attributes
    ----------
    estimate : (...) of all networks
    values : (M, ...) without one network
    bias, std_error, acceleration : (...), NaN where a delete-one value is undefined
    undefined : (...) how many delete-one values are undefined
    """

    estimate: Values
    values: Values
    bias: Values
    std_error: Values
    acceleration: Values
    undefined: NDArray[np.int64]


def network_weights(networks: int, draws: int, rng: Seed) -> Weights:
    """Multinomial weights (draws, networks): each row is a resample of networks with replacement.

    Raises
    ------
    FitError
        `rng` is neither a seed nor a Generator, or a number is not a positive whole one.
    """
    networks, draws = count("networks", networks), count("draws", draws)
    return generator(rng).multinomial(networks, np.full(networks, 1 / networks), size=draws)


def bootstrap(statistic: Statistic, weights: Weights, *, block: int = BLOCK) -> Values:
    """The statistic (B, ...) of every row of weights, evaluated `block` rows at a time."""
    starts = range(0, len(weights), block)
    return np.concatenate([_floats(statistic(weights[i : i + block])) for i in starts])


def jackknife(statistic: Statistic, networks: int, *, block: int = BLOCK) -> Jackknife:
    """Leave out each network in turn.

    Raises
    ------
    DesignError
        If there are fewer than two networks.
    """
    if networks < 2:
        raise DesignError(
            f"A jackknife leaves out one network in turn, and there is {networks}. Add networks "
            "(seeds); the test images of a single one can still be resampled."
        )
    estimate = _floats(statistic(np.ones((1, networks), dtype=np.int64)))[0]
    values = bootstrap(statistic, 1 - np.eye(networks, dtype=np.int64), block=block)
    deviation = values.mean(axis=0) - values
    squares = (deviation**2).sum(axis=0)
    # Without any variation, and so without skewness, the acceleration is 0.
    scale = np.where(squares == 0, 1.0, squares**1.5)
    return Jackknife(
        estimate=estimate,
        values=values,
        bias=_floats((networks - 1) * (values.mean(axis=0) - estimate)),
        std_error=_floats(np.sqrt((networks - 1) / networks * squares)),
        acceleration=_floats((deviation**3).sum(axis=0) / (6 * scale)),
        undefined=np.asarray(np.isnan(values).sum(axis=0)),
    )


def _floats(values: NDArray[np.float64]) -> Values:
    return np.asarray(values, dtype=np.float64)
