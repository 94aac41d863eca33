"""The estimators as data: what each estimates, its null value, how it is computed and doubted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts, Values
from distortion.repairs import needs, networkwise, pooled
from distortion.repairs.halves import split_half, split_half_pooled
from distortion.repairs.moments import Moments, Quotient, moments_of
from distortion.repairs.needs import Need
from distortion.repairs.simex import simex

NO_TEST: Final = float("nan")
ONLY_NETWORKS: Final = "interval holds the variation of networks, not that of test images"
# Of the sums, not of every network.
PATTERN: Final = Need(words="dense recalls that differ between classes")
BEYOND_SEEDS: Final = Need(words="a class pattern beyond seed noise")
BEYOND_IMAGES: Final = Need(words="a dense pattern beyond image noise")
POPULATION: Final = "class pattern of the population of networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """One way to estimate a slope, or a number that says how to read one.

    Attributes
    ----------
    name, estimand : what it is called; what it estimates, in short words
    null : value under the null hypothesis, NaN where there is nothing to test
    by_network : counts to one number per network (M,), whose mean is the estimate; or
    by_sums : counts and weights (B, M) to numerator and denominator (B,) of the estimate
    needs : what a network, or the whole, must have for it to be defined
    caveat : what a reader must know even where it is defined
    unbalanced : only of interest where classes differ in support; elsewhere the same as plain, or 0
    """

    name: str
    estimand: str
    null: float = 1.0
    by_network: Callable[[Counts], Values] | None = None
    by_sums: Callable[[Counts, Values], Quotient] | None = None
    needs: tuple[Need, ...] = (needs.ACCURACY, needs.SPREAD)
    caveat: str = ""
    unbalanced: bool = False

    def quotient(self, counts: Counts, weights: NDArray[Any]) -> Quotient:
        """Numerator and denominator (B,) of the estimate for weights (B, M) of the networks.

        Networks without a defined value count as if they had weight 0.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if self.by_sums is not None:
            return self.by_sums(counts, weights)
        assert self.by_network is not None
        values = self.by_network(counts)
        usable = np.isfinite(values)
        size = weights[:, usable].sum(axis=1)
        return weights[:, usable] @ values[usable], np.where(size > 0, size, np.nan)

    def estimates(self, counts: Counts, weights: NDArray[Any]) -> Values:
        """The estimate (B,) for each row of weights (B, M), NaN where undefined.

        Weights are how often a network counts: all 1 for the estimate itself, one 0 for a
        delete-one jackknife, a multinomial draw for a bootstrap over networks.
        """
        numerator, denominator = self.quotient(counts, weights)
        return numerator / denominator


def _sums(quotient: Callable[[Moments], Quotient]) -> Callable[[Counts, Values], Quotient]:
    return lambda counts, weights: quotient(moments_of(counts, weights))


ESTIMATORS: Final = (
    Estimator(name="plain", estimand="this network, these images", by_network=networkwise.plain),
    Estimator(
        name="pooled",
        estimand="this network, these images; wide patterns count more",
        by_sums=_sums(pooled.pooled),
        needs=(needs.ACCURACY, PATTERN),
    ),
    Estimator(
        name="log_kappa",
        estimand="spread after over spread before, this network, these images",
        null=0.0,
        by_network=networkwise.log_kappa,
        needs=(needs.ACCURACY, needs.SPREAD, needs.SPREAD_AFTER),
    ),
    Estimator(
        name="reliability",
        estimand="share of the dense pattern that other networks repeat",
        null=NO_TEST,
        by_sums=_sums(pooled.reliability),
        needs=(needs.ACCURACY, needs.TWO, PATTERN),
    ),
    Estimator(
        name="alpha_minus_lambda",
        estimand="slope beyond what fresh seed noise leaves",
        null=0.0,
        by_sums=_sums(pooled.alpha_minus_lambda),
        needs=(needs.ACCURACY, needs.TWO, PATTERN),
        caveat="null value right only if no seed noise is inherited: see within",
    ),
    Estimator(
        name="alpha_over_lambda",
        estimand=f"{POPULATION}, if no seed noise is inherited",
        by_sums=_sums(pooled.alpha_over_lambda),
        needs=(needs.ACCURACY, needs.TWO, BEYOND_SEEDS),
        caveat="null value right only if no seed noise is inherited: see within",
    ),
    Estimator(
        name="between",
        estimand=POPULATION,
        by_sums=_sums(pooled.between),
        needs=(needs.ACCURACY, needs.TWO, BEYOND_SEEDS),
    ),
    Estimator(
        name="within",
        estimand="share of the network's own deviation that it keeps",
        null=NO_TEST,
        by_sums=_sums(pooled.within),
        needs=(needs.ACCURACY, needs.TWO, Need(words="networks that differ")),
    ),
    Estimator(
        name="deming",
        estimand=f"{POPULATION}, if no seed noise is inherited",
        by_sums=_sums(pooled.deming),
        needs=(
            needs.ACCURACY,
            needs.TWO,
            Need(words="networks that differ, and class means that go together"),
        ),
        caveat="takes all classes to lie on one line and seed noise to be fresh",
    ),
    Estimator(
        name="split_half",
        estimand="this network, new images",
        by_network=split_half,
        caveat=ONLY_NETWORKS,
        needs=(needs.ACCURACY, needs.KEPT, needs.IMAGES, BEYOND_IMAGES),
    ),
    Estimator(
        name="split_half_pooled",
        estimand="this network, new images; wide patterns count more",
        by_sums=split_half_pooled,
        caveat=ONLY_NETWORKS,
        needs=(needs.ACCURACY, needs.KEPT, needs.IMAGES, BEYOND_IMAGES),
    ),
    Estimator(
        name="control_alpha",
        estimand="slope beyond that of the control",
        null=0.0,
        by_network=partial(networkwise.beyond_control, measure=networkwise.slopes),
        needs=(needs.ACCURACY, needs.SPREAD, needs.HAS_CONTROL),
    ),
    Estimator(
        name="control_log_kappa",
        estimand="log spread beyond that of the control",
        null=0.0,
        by_network=partial(networkwise.beyond_control, measure=networkwise.log_spreads),
        needs=(
            needs.ACCURACY,
            needs.SPREAD,
            needs.SPREAD_AFTER,
            needs.HAS_CONTROL,
            Need(words="recalls of the control that differ between classes"),
        ),
    ),
    Estimator(
        name="support_weighted",
        estimand="this network, these images; every image counts the same",
        by_network=networkwise.support_weighted,
        unbalanced=True,
    ),
    Estimator(
        name="macro",
        estimand="this network, these images; against macro recall",
        by_network=networkwise.macro,
        unbalanced=True,
    ),
    Estimator(
        name="intercept",
        estimand="balance after of a class with balance 0 before",
        null=0.0,
        by_network=networkwise.intercepts,
        unbalanced=True,
    ),
)


def simex_with(rng: np.random.Generator) -> Estimator:
    """SIMEX as an estimator; each call draws anew."""
    return Estimator(
        name="simex",
        estimand="this network, new images",
        by_network=partial(simex, rng=rng),
        caveat="over-corrects where before and after share test images: see split_half",
    )
