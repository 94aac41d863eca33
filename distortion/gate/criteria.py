"""From the counts of a condition to what each limit is compared with.

Target network: the one network at hand; what varies is the test images.
Target recipe: the population of networks that the recipe yields; what varies is the seed, and the
intervals are Student's t over networks, on these test images. A mean over networks can be within a
limit although one network in many collapses: `Criterion.beyond` names those that certainly do.

κ and α have one definition for both: sums over the networks at hand, freed of what a finite test
set adds to them (`distortion.gate.imbalance`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.corrections import holm
from distortion.counts import Counts, balances
from distortion.fits.ttests import one_sample
from distortion.gate.imbalance import Measure, pooled, quotients
from distortion.gate.limits import Limits, Name, Target
from distortion.gate.proportions import Bounds, Tails, clopper_pearson, drop_bounds, mcnemar

Values = NDArray[np.float64]
# Bounds with `scale` (m,) times as many images or networks, the estimates as they are.
Interval = Callable[[Values, Tails], Bounds]
CLASSWISE: Final = ("class drop", "worst recall")
UNVARIED: Final = (
    "the networks do not vary: interval of the least variation that can be counted, one image in "
    "one network"
)
UNDEFINED: Final = "undefined: the recalls spread no more than so few test images do by themselves"
UNBOUNDED: Final = "no interval: the dense recalls hardly spread more than so few images explain"


@dataclass(frozen=True, slots=True, eq=False)
class Single:
    """Networks one by one: values (M, m) and their bounds over test images."""

    values: Values
    bounds: Callable[[Tails], Bounds]


@dataclass(frozen=True, slots=True, eq=False)
class Criterion:
    """One limit and the m estimates that it is about: one per class, or one.

    Attributes
    ----------
    at_most : whether the limit is the largest value allowed; else the smallest
    before, after : (m,) of the dense network and of the compressed one; NaN for κ and α
    size : (m,) images or networks that the interval rests on
    observed : (m,) the plain measure where the estimate is another, else the estimate
    p_value, p_corrected : (m,) of no change, two-sided; over classes by Holm; NaN without a test
    std_error, df : (m,) of t intervals, else NaN
    single : a recipe's networks, each by itself; None of κ and α, and of one network
    """

    name: Name
    limit: float
    at_most: bool
    estimate: Values
    before: Values
    after: Values
    size: Values
    interval: Interval
    observed: Values
    p_value: Values
    p_corrected: Values
    std_error: Values
    df: Values
    caveats: tuple[str, ...]
    single: Single | None = None

    def beyond(self, error: float) -> NDArray[np.bool_]:
        """Which networks (M, m) certainly exceed the limit, at an error rate for each of the m.

        Divided among networks (Bonferroni); M is 0 where `single` is None.
        """
        if self.single is None:
            return np.zeros((0, len(self.estimate)), dtype=np.bool_)
        tail = error / len(self.single.values)
        low, high = self.single.bounds((tail, tail))
        return low > self.limit if self.at_most else high < self.limit


def criteria(counts: Counts, limits: Limits, target: Target) -> list[Criterion]:
    """One criterion for each limit asked for, in the order of `Limits.asked`."""
    build = _of_network if target == "network" else _of_recipe
    return [build(counts, name, limit) for name, limit in limits.asked()]


def observed_imbalance(counts: Counts, measure: Measure) -> Values:
    """κ or α (1,) as counted, of the networks' sums added up; NaN where undefined."""
    x, y = balances(counts.dense, counts.n), balances(counts.correct, counts.n)
    with np.errstate(invalid="ignore", divide="ignore"):
        xx = (x * x).sum(keepdims=True)[0]
        if measure == "kappa":
            return np.asarray(np.where(xx > 0, np.sqrt((y * y).sum() / xx), np.nan))
        return np.asarray(np.where(xx > 0, (x * y).sum() / xx, np.nan))


def _of_network(counts: Counts, name: Name, limit: float) -> Criterion:
    n, dense, correct = (a[0] for a in (counts.n, counts.dense, counts.correct))
    kept = None if counts.kept is None else counts.kept[0]
    if name == "accuracy drop":
        # The classes' tables added up. With class sizes fixed by design this counts the variation
        # between classes too, which errs on the careful side.
        n, dense, correct = (a.sum(keepdims=True) for a in (n, dense, correct))
        kept = None if kept is None else kept.sum(keepdims=True)
    if name in ("class drop", "accuracy drop"):
        p_value = np.full(len(n), np.nan) if kept is None else mcnemar(dense - kept, correct - kept)

        def drop(scale: Values, tails: Tails) -> Bounds:
            overlap = None if kept is None else kept * scale
            return drop_bounds(n * scale, dense * scale, correct * scale, overlap, tails)

        return _criterion(
            name, limit, (dense - correct) / n, n, drop, dense / n, correct / n, p_value=p_value
        )
    if name == "worst recall":
        return _criterion(
            name,
            limit,
            correct / n,
            n,
            lambda scale, tails: clopper_pearson(correct * scale, n * scale, tails),
            dense / n,
            correct / n,
        )
    return _imbalance_of_network(counts, "kappa" if name == "kappa" else "alpha", limit)


def _imbalance_of_network(counts: Counts, name: Measure, limit: float) -> Criterion:
    n, dense, correct = (a[0] for a in (counts.n, counts.dense, counts.correct))
    kept = None if counts.kept is None else counts.kept[0]
    found = quotients(name, n, dense, correct, kept)

    def interval(scale: Values, tails: Tails) -> Bounds:
        lows, highs = zip(*(q.bounds(scale, tails) for q in found), strict=True)
        return np.min(lows, axis=0), np.max(highs, axis=0)

    estimate = np.array([np.mean([q.estimate for q in found])])
    caveats: tuple[str, ...] = ()
    if np.isnan(estimate).any():
        caveats = (UNDEFINED,)
    elif np.isnan(interval(np.ones(1), (0.05, 0.05))[1]).any():
        caveats = (UNBOUNDED,)
    size = np.array([n.sum()])
    observed = observed_imbalance(counts, name)
    return _criterion(name, limit, estimate, size, interval, observed=observed, caveats=caveats)


def _of_recipe(counts: Counts, name: Name, limit: float) -> Criterion:
    if name in ("kappa", "alpha"):
        return _imbalance_of_recipe(counts, "kappa" if name == "kappa" else "alpha", limit)
    n, dense, correct, kept = counts.n, counts.dense, counts.correct, counts.kept
    if name == "accuracy drop":
        n, dense, correct = (a.sum(axis=1, keepdims=True) for a in (n, dense, correct))
        kept = None if kept is None else kept.sum(axis=1, keepdims=True)
    before, after, step = dense / n, correct / n, 1 / n.mean(axis=0)
    if name == "worst recall":
        single = Single(after, lambda tails: clopper_pearson(correct, n, tails))
    else:
        single = Single(before - after, lambda tails: drop_bounds(n, dense, correct, kept, tails))
    return _t(name, limit, single.values, step, before, after, single=single)


def _imbalance_of_recipe(counts: Counts, name: Measure, limit: float) -> Criterion:
    """By the delete-one jackknife over networks, of κ on the log scale."""
    whole, without = pooled(name, counts)
    networks = len(without)
    # Pseudo-values about the estimate: their t interval is the jackknife's.
    values = whole + (networks - 1) * (without.mean() - without)
    return _t(
        name,
        limit,
        values[:, None],
        np.zeros(1),
        exponential=name == "kappa",
        observed=observed_imbalance(counts, name),
        caveats=() if np.isfinite(values).all() else (UNDEFINED,),
    )


def _t(
    name: Name,
    limit: float,
    values: Values,
    step: Values,
    before: Values | None = None,
    after: Values | None = None,
    *,
    exponential: bool = False,
    observed: Values | None = None,
    caveats: tuple[str, ...] = (),
    single: Single | None = None,
) -> Criterion:
    """A t interval over the networks (rows of `values`).

    `step` (m,) is the least that a value can change by. It bounds the standard deviation from
    below: that of M networks of which one differs by one step is step / √M.
    """
    networks, m = values.shape
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    floored = np.maximum(sd, step / np.sqrt(networks))

    def interval(scale: Values, tails: Tails) -> Bounds:
        size = networks * scale
        spread = np.maximum(sd, step / np.sqrt(size))
        low, high = (one_sample(mean, spread, size, 0.0, "two-sided", 1 - 2 * t) for t in tails)
        bounds = low.conf_low, high.conf_high
        return (np.exp(bounds[0]), np.exp(bounds[1])) if exponential else bounds

    test = one_sample(mean, floored, networks, 0.0, "two-sided", 0.9)
    if (sd < floored).any():
        caveats = (*caveats, UNVARIED)
    estimate = np.exp(mean) if exponential else mean
    return _criterion(
        name,
        limit,
        estimate,
        np.full(m, networks),
        interval,
        None if before is None else before.mean(axis=0),
        None if after is None else after.mean(axis=0),
        observed=observed,
        p_value=test.p_value if name in ("class drop", "accuracy drop") else None,
        std_error=test.std_error,
        df=test.df,
        caveats=caveats,
        single=single,
    )


def _criterion(
    name: Name,
    limit: float,
    estimate: Values,
    size: NDArray[np.int64] | Values,
    interval: Interval,
    before: Values | None = None,
    after: Values | None = None,
    *,
    observed: Values | None = None,
    p_value: Values | None = None,
    std_error: Values | None = None,
    df: Values | None = None,
    caveats: tuple[str, ...] = (),
    single: Single | None = None,
) -> Criterion:
    unknown = np.full(len(estimate), np.nan)
    p_value = unknown if p_value is None else p_value
    return Criterion(
        name,
        limit,
        name != "worst recall",
        np.asarray(estimate, dtype=np.float64),
        unknown if before is None else before,
        unknown if after is None else after,
        np.asarray(size, dtype=np.float64),
        interval,
        estimate if observed is None else observed,
        p_value,
        holm(p_value),
        unknown if std_error is None else std_error,
        unknown if df is None else df,
        caveats,
        single,
    )
