"""Measures of inequality with intervals, in one table; and one row per network."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from distortion.counts import Counts, counts
from distortion.designs import CONDITION
from distortion.errors import DesignError, did_you_mean
from distortion.fits.results.arguments import Seed, count, generator
from distortion.inequality.arguments import check_split
from distortion.inequality.catalogue import MEASURES, Measure, chosen, evaluated, pairs_of
from distortion.inequality.estimates import (
    over_both,
    over_images,
    over_networks,
    over_redrawn_images,
)
from distortion.inequality.redrawn import Redrawn
from distortion.log import Source
from distortion.predictions import PredictionSource, read_predictions
from distortion.resampling.images import Images
from distortion.resampling.intervals import check_level

Values = NDArray[np.float64]
Variation = Literal["networks", "test images", "both"]
SOURCES: Final = {
    "networks": "networks",
    "test images": "test images",
    "both": "networks and test images",
}
TEST: Final = ("estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high")
TEST_TYPES: Final = dict.fromkeys((*TEST, "conf_level", "null"), pl.Float64())
CONDITION_TYPES: Final = {c: pl.Float64() if c == "ratio" else pl.String() for c in CONDITION}
INEQUALITY: Final = pl.Schema(
    CONDITION_TYPES
    | {"measure": pl.String()}
    | TEST_TYPES
    | {"networks": pl.Int64(), "source": pl.String(), "caveat": pl.String()}
)


def inequality(
    log: Source,
    *,
    arm: str | None = None,
    split: str = "test",
    measures: str | Sequence[str] | None = None,
    level: float = 0.95,
    source: Variation = "networks",
    draws: int = 2000,
    rng: Seed | None = None,
    images: Images = "shared",
    predictions: PredictionSource | None = None,
) -> pl.DataFrame:
    """Measures of inequality of every condition, with an interval.

    The measures and their formulas: `distortion.inequality.formulas`. The estimate is the mean
    over the condition's networks (of κ: the geometric mean), whatever the source of variation.

    Parameters
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    measures : names of `distortion.inequality.catalogue.MEASURES`; default: all. A bootstrap takes
        as long as they are many
    level : confidence of each interval, two-sided, not corrected for their number
    source : what varies in the interval. "networks": other seeds on these test images, by t.
        "test images": these networks on other images, by the bias-corrected bootstrap. "both":
        other seeds on other images, by the BCa bootstrap of networks and the images within them
    draws, rng : of the bootstrap; a seed or Generator is needed where it draws
    images : how far networks err on the same images, which counts do not tell: "shared" (the
        default) gives the upper bound of the standard error, "independent" the lower; see
        `distortion.resampling.images`. "both" always takes the upper bound
    predictions : of the networks of the log (what `distortion.read_predictions` reads). They do
        tell: the same images are redrawn for all networks, and the interval is no bound but the
        bootstrap's own, also for CEV and SDE; see `distortion.resampling.joint`

    Returns
    -------
    The columns of `INEQUALITY`, one row per condition and measure. `std_error` of kappa is that
    of log κ; `df`, `statistic` and `p_value` belong to the t interval, the latter two where
    there is a `null` to test. `networks`: those with a value; `caveat` says how many have none
    and why. Intervals end where possible values end, with a caveat. Networks of a condition that
    were tested on other classes than most are in rows of their own.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, an option is unknown or has no effect, or
        the predictions are not those of the log.
    FitError
        If a bootstrap is asked for without `rng`, or `draws` is not a positive whole number.
    """
    if source not in SOURCES:
        raise DesignError(f"source is {source!r}. {did_you_mean(str(source), SOURCES)}")
    check_level(level)
    check_split(split)
    asked = chosen(measures)
    drawn = None if source == "networks" else generator(rng)
    redrawn = None
    if predictions is not None:
        if drawn is None or images != "shared":
            raise DesignError(
                "predictions are redrawn with the images that networks share: set source to 'test "
                "images' or 'both', and leave `images` out."
            )
        redrawn = Redrawn(read_predictions(predictions), count("draws", draws), drawn)
    found = counts(log, arm=arm, split=split)
    conditions = Counter(tuple(c.condition.values()) for c in found)
    rows = []
    for condition in found:
        if redrawn is not None:
            condition, answers = redrawn.join(condition)
        pairs = pairs_of(condition)
        values = evaluated(pairs, asked)
        if drawn is None:
            estimates = over_networks(asked, values, level)
        elif redrawn is not None:
            varied = drawn if source == "both" else None
            many = redrawn.values(answers, asked)
            estimates = over_redrawn_images(asked, values, many, level, varied)
        elif source == "both":
            estimates = over_both(asked, values, pairs, level, draws, drawn)
        else:
            estimates = over_images(asked, values, pairs, level, draws, drawn, images)
        doubts = [] if condition.balanced else ["unbalanced classes"]
        if conditions[tuple(condition.condition.values())] > 1:
            doubts.append(f"only networks tested on the classes {list(condition.class_ids)}")
        fixed = dict(condition.condition) | {"conf_level": level, "source": SOURCES[source]}
        for measure, column, estimate in zip(asked, values.T, estimates, strict=True):
            row = fixed | _described(measure, column, condition) | estimate
            caveats = [row.pop("absence"), row.pop("why", ""), *doubts]
            rows.append(row | {"caveat": "; ".join(filter(None, caveats))})
    return pl.DataFrame(rows, schema=INEQUALITY).with_columns(cs.float().fill_nan(None))


def cell_measures(counts: Counts) -> pl.DataFrame:
    """Every measure of every network of a condition.

    Returns
    -------
    One row per network: the CONDITION columns, `network`, `seed`, then a column per measure, null
    where undefined.
    """
    pairs = pairs_of(counts)
    fixed = [pl.lit(value).alias(name) for name, value in counts.condition.items()]
    table = pl.DataFrame(
        {"network": counts.networks, "seed": counts.seeds}
        | {measure.name: measure.of(pairs) for measure in MEASURES}
    )
    return table.select(*fixed, pl.all()).with_columns(cs.float().fill_nan(None))


def _described(measure: Measure, values: Values, counts: Counts) -> dict[str, Any]:
    """The measure, its networks, and how many of them have no value, and why."""
    networks, known = len(values), int(np.isfinite(values).sum())
    absence = ""
    if measure.needs == "kept" and counts.kept is None:
        absence = "undefined: the log lacks kept"
    elif measure.needs == "predicted" and (
        counts.predicted is None or counts.predicted_dense is None
    ):
        absence = "undefined: the log lacks predicted, of these networks or of their dense parents"
    elif known < networks:
        absence = f"{networks - known} of {networks} networks undefined: {measure.undefined}"
    return {"measure": measure.name, "null": measure.null, "networks": known, "absence": absence}
