"""Planned studies run many times over: the share of them that show what they were for.

A log is resampled (Efron & Tibshirani 1993, section 25.6): networks of the pilot are drawn with
replacement and their mean is moved to the effect, so that skewed slopes keep their shape.
Assumptions are drawn from their model, counts and all: a fixed true pattern of balances, fresh
noise before and after, the measure computed as it would be from a log. There the noise before
compression also pulls the measure towards no association, as it does in reality.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.fits.ttests import one_sample, two_sample
from distortion.planning.assumptions import Assumptions, Measure
from distortion.planning.pilot import INDEPENDENT, PAIRED, Question
from distortion.planning.power import Kind

Values = NDArray[np.float64]
STUDIES: Final = 2_000


def shown(groups: Sequence[Values], kind: Kind, error: float, sides: int, margin: float) -> float:
    """Share of the studies in `groups`, one or two (studies, seeds), whose test shows it.

    Values are differences from the null value. The effect is positive: a significant difference
    in the other direction does not show it.
    """
    level = 1 - (2 if kind != "difference" or sides == 1 else 1) * error
    moments = [(g.mean(axis=1), g.std(axis=1, ddof=1), g.shape[1]) for g in groups]
    if len(moments) == 1:
        result = one_sample(*moments[0], 0.0, "two-sided", level)
    else:
        result = two_sample(*moments[0], *moments[1], 0.0, "two-sided", level)
    low, high = result.conf_low, result.conf_high
    if kind == "equivalence":
        return float(((low > -margin) & (high < margin)).mean())
    if kind == "non-inferiority":
        return float((low > -margin).mean())
    return float((low > 0).mean())


def resampled(
    groups: Sequence[Values], effect: float, seeds: int, rng: np.random.Generator
) -> list[Values]:
    """Studies (STUDIES, seeds) drawn from the networks of a pilot, with the mean at `effect`.

    Deviations are scaled up by √(M / (M − 1)), so that their variance is the pilot's.
    """
    found = []
    for i, group in enumerate(groups):
        inflation = np.sqrt(group.size / (group.size - 1))
        deviations = (group - group.mean()) * inflation
        drawn = rng.choice(deviations, size=(STUDIES, seeds))
        found.append(drawn + (effect if i == 0 else 0.0))
    return found


def drawn(
    assumptions: Assumptions,
    question: Question,
    measure: Measure,
    effect: float,
    seeds: int,
    rng: np.random.Generator,
) -> list[Values]:
    """Studies (STUDIES, seeds) drawn from the model; `effect` is the difference of α or log κ.

    Of a question about a class, it is the change of its recall.
    """
    if question == "class":
        return [_class_changes(assumptions, effect, seeds, rng)]
    true = _pattern(assumptions)
    alpha = assumptions.alpha

    def cells(slopes: list[float]) -> list[Values]:
        x = _balances(assumptions, true, assumptions.seed_sd, seeds, rng)
        after = assumptions.seed_sd_after or assumptions.seed_sd
        found = []
        for slope in slopes:
            y = _balances(assumptions, slope * true, after, seeds, rng)
            xy, xx, yy = ((a * b).sum(axis=-1) for a, b in ((x, y), (x, x), (y, y)))
            found.append(xy / xx if measure == "alpha" else np.log(yy / xx) / 2)
        return found

    moved = alpha + effect if measure == "alpha" else alpha * np.exp(effect)
    if question == "cell":
        start = alpha if measure == "alpha" else np.log(alpha)
        return [cells([moved])[0] - start]
    if question in PAIRED:
        treated, other = cells([moved, alpha])
        return [treated - other]
    assert question in INDEPENDENT
    return [cells([moved])[0], cells([alpha])[0]]


def _pattern(assumptions: Assumptions) -> Values:
    """True normalized balances (C,), evenly spaced, with sum 0 and mean square S²."""
    even = np.linspace(-1, 1, assumptions.classes)
    return np.asarray(even * assumptions.spread / np.sqrt((even**2).mean()))


def _balances(
    assumptions: Assumptions, true: Values, sd: float, seeds: int, rng: np.random.Generator
) -> Values:
    """Observed balances (STUDIES, seeds, C): true ones, noise of the seeds, then of the images."""
    shape = (STUDIES, seeds, assumptions.classes)
    recall = assumptions.accuracy * (1 + true) + rng.normal(0, sd, shape)
    if assumptions.images is not None:
        counted = rng.binomial(assumptions.images, np.clip(recall, 0, 1))
        recall = counted / assumptions.images
    accuracy = recall.mean(axis=-1, keepdims=True)
    return np.asarray(recall / accuracy - 1)


def _class_changes(
    assumptions: Assumptions, effect: float, seeds: int, rng: np.random.Generator
) -> Values:
    after = assumptions.seed_sd_after or assumptions.seed_sd
    noise = rng.normal(0, np.hypot(assumptions.seed_sd, after), (STUDIES, seeds))
    if assumptions.images is None:
        return noise + effect
    gained, lost = ((assumptions.discordance + side * effect) / 2 for side in (1, -1))
    images = rng.multinomial(assumptions.images, [gained, lost, 1 - gained - lost], noise.shape)
    return np.asarray(noise + (images[..., 0] - images[..., 1]) / assumptions.images)
