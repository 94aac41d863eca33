"""Means of measures over networks, with the intervals of each source of variation.

Each function takes K measures and their `values` (M, K) of M networks on their scale of averages
(`distortion.inequality.catalogue.evaluated`), NaN where a network has no value, and returns for
each measure the columns of the table, `why` in words among them.

An interval ends where the measure's possible values end. That leaves its coverage as it is, since
no true value lies beyond; it says that the interval is rough, so near to a bound.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distortion.fits.ttests import one_sample
from distortion.inequality.catalogue import Measure, evaluated
from distortion.resampling.images import Effect, Images, Pairs, image_draws, two_way_draws
from distortion.resampling.intervals import bca
from distortion.resampling.networks import Statistic, bootstrap, jackknife, network_weights

Values = NDArray[np.float64]
Columns = dict[str, Any]
ONE: Final = "no interval: one network"
CUT: Final = "interval cut to what is possible: rough, so near to a bound"
Measures = Sequence[Measure]


def over_networks(measures: Measures, values: Values, level: float) -> list[Columns]:
    """The t test and interval of each measure."""
    return [
        _t_interval(measure, column[np.isfinite(column)], level)
        for measure, column in zip(measures, values.T, strict=True)
    ]


def over_images(
    measures: Measures,
    values: Values,
    pairs: Pairs,
    level: float,
    draws: int,
    rng: np.random.Generator,
    images: Images,
) -> list[Columns]:
    """The bias-corrected bootstrap interval of these networks on other test images."""
    estimate = _mean(values)(_everyone(values))[0]
    effect = _effect(measures, values)
    drawn = image_draws(effect, pairs, estimate, draws, rng, images=images)
    return _bootstrap_interval(measures, drawn, estimate, level, pairs)


def over_both(
    measures: Measures,
    values: Values,
    pairs: Pairs,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> list[Columns]:
    """The BCa bootstrap interval of other networks on other test images."""
    mean = _mean(values)
    estimate = mean(_everyone(values))[0]
    if len(values) < 2:
        return _without_interval(measures, estimate)
    weights = network_weights(len(values), draws, rng)
    effect = _effect(measures, values)
    drawn = two_way_draws(effect, pairs, bootstrap(mean, weights), weights, rng)
    acceleration = jackknife(mean, len(values)).acceleration
    return _bootstrap_interval(measures, drawn, estimate, level, pairs, acceleration)


def over_redrawn_images(
    measures: Measures,
    values: Values,
    redrawn: Values,
    level: float,
    rng: np.random.Generator | None,
) -> list[Columns]:
    """The bootstrap interval from values (B, M, K) of the same redrawn images of all networks.

    With `rng` the networks vary, too (BCa); without, they are these (bias-corrected).
    """
    mean, acceleration = _mean(values), np.zeros(len(measures))
    estimate = mean(_everyone(values))[0]
    weights = np.ones(redrawn.shape[:2], dtype=np.int64)
    if rng is not None:
        if len(values) < 2:
            return _without_interval(measures, estimate)
        weights = network_weights(len(values), len(redrawn), rng)
        acceleration = jackknife(mean, len(values)).acceleration
    known = np.isfinite(values)
    # A network without a value, or not in a draw, does not make it undefined.
    used = (weights > 0)[..., None] & known
    total = np.where(used, weights[..., None] * redrawn, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.asarray(total / (weights @ known))
    return _bootstrap_interval(measures, drawn, estimate, level, None, acceleration)


def _without_interval(measures: Measures, estimate: Values) -> list[Columns]:
    return [
        {"estimate": measure.unscaled(float(value)), "why": ONE}
        for measure, value in zip(measures, estimate, strict=True)
    ]


def _t_interval(measure: Measure, values: Values, level: float) -> Columns:
    if len(values) == 0:
        return {}
    null = np.nan if measure.null is None else float(measure.scaled(np.array(measure.null)))
    sd = values.std(ddof=min(1, len(values) - 1))
    result = one_sample(values.mean(), sd, len(values), null, "two-sided", level)
    low, high, cut = _possible(measure, float(result.conf_low), float(result.conf_high))
    why = CUT if cut else ""
    if np.isnan(low):
        why = "no interval: the networks do not vary" if len(values) > 1 else ONE
    return {
        "estimate": measure.unscaled(float(result.estimate)),
        **{f: float(getattr(result, f)) for f in ("std_error", "df", "statistic", "p_value")},
        "conf_low": low,
        "conf_high": high,
        "why": why,
    }


def _possible(measure: Measure, low: float, high: float) -> tuple[float, float, bool]:
    """The interval unscaled, within the possible values, and whether these cut it; NaN stays."""
    ends = np.array([measure.unscaled(low), measure.unscaled(high)])
    inside = np.clip(ends, *measure.bounds)
    return float(inside[0]), float(inside[1]), bool((inside != ends)[np.isfinite(ends)].any())


def _mean(values: Values) -> Statistic:
    """The weighted mean over those networks that have a value."""
    known = np.isfinite(values)

    def statistic(weights: NDArray[np.int64]) -> Values:
        size = weights @ known
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(weights @ np.where(known, values, 0.0) / size)

    return statistic


def _effect(measures: Measures, values: Values) -> Effect:
    """What other images of one network do to that mean."""
    known = np.isfinite(values)
    size = np.maximum(known.sum(axis=0), 1)

    def effect(m: int, drawn: Pairs) -> Values:
        change = evaluated(drawn, measures) - values[m]
        return np.asarray(np.where(known[m], change / size, 0.0))

    return effect


def _everyone(values: Values) -> NDArray[np.int64]:
    return np.ones((1, len(values)), dtype=np.int64)


def _bootstrap_interval(
    measures: Measures,
    drawn: Values,
    estimate: Values,
    level: float,
    counted: Pairs | None,
    acceleration: Any = 0.0,
) -> list[Columns]:
    """The interval of each measure; `counted` are the counts, where only they were redrawn."""
    found = bca(drawn, estimate, level, acceleration=acceleration)
    unpaired = "before and after resampled as if independent: kept is unknown"
    rows = []
    for i, measure in enumerate(measures):
        low, high, cut = _possible(measure, float(found.conf_low[i]), float(found.conf_high[i]))
        why = [CUT] if cut else []
        if np.isfinite(estimate[i]) and found.reason[i]:
            why.append(f"no interval: {found.reason[i]}")
        if 0 < found.undefined[i] < len(drawn):
            why.append(f"{found.undefined[i]:,} of {len(drawn):,} draws undefined")
        if measure.needs == "predicted" and why and counted is not None:
            why = ["no interval: counts do not tell how to redraw false positives"]
        if counted is not None and counted.kept is None and measure.needs is None:
            why.append(unpaired)
        rows.append(
            {
                "estimate": measure.unscaled(float(estimate[i])),
                "std_error": float(found.std_error[i]),
                "conf_low": low,
                "conf_high": high,
                "why": "; ".join(why),
            }
        )
    return rows
