"""Do two ways reach the same test accuracy, as far as the noise between seeds lets one see?

Per model, dense and control networks and the fine-tuned ones (mean over their ratios) are samples
over seeds. Every way is compared with the reference by Welch's t-test; p-values are corrected by
Holm's method over all comparisons of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean, stdev

import numpy as np
from scipy import stats

from distortion.corrections import holm
from distortion.schema import CONTROL, DENSE, FINETUNED
from tests.benchmarks.training.work import Count

ARMS = (DENSE, CONTROL, FINETUNED)
LEVEL = 0.01  # a run is wrong by chance once in a hundred


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of a way less that of the reference, its standard error, and Holm's p-value."""

    way: str
    model: str
    arm: str
    estimate: float
    std_error: float
    p_value: float


def by_seed(counts: Sequence[Count], model: str, arm: str) -> list[float]:
    """Return the accuracy of every network of a model, mean over its ratios."""
    mine = [count for count in counts if (count.model, count.arm) == (model, arm)]
    seeds = sorted({count.seed for count in mine})
    return [fmean(count.accuracy for count in mine if count.seed == seed) for seed in seeds]


def mean_and_sd(counts: Sequence[Count], arm: str) -> tuple[float, float]:
    """Return the mean accuracy of an arm and its SD between seeds, within models."""
    samples = [by_seed(counts, model, arm) for model in sorted({count.model for count in counts})]
    variance = fmean(stdev(sample) ** 2 for sample in samples)
    return fmean(map(fmean, samples)), variance**0.5


def differences(
    ways: Mapping[str, Sequence[Count]], reference: Sequence[Count]
) -> list[Difference]:
    """Compare every way with the reference; smallest p-value first.

    Raises
    ------
    ValueError
        There are fewer than three seeds, or a way counted other cells or other test images than
        the reference.
    """
    wanted = _cells(reference)
    models = sorted({count.model for count in reference})
    found = []
    for way, counts in ways.items():
        if _cells(counts) != wanted:
            raise ValueError(f"{way} did not count the cells and test images of the reference.")
        for model, arm in product(models, ARMS):
            sample, other = by_seed(counts, model, arm), by_seed(reference, model, arm)
            if len(sample) < 3:
                raise ValueError("Noise between seeds needs at least three of them.")
            error = ((stdev(sample) ** 2 + stdev(other) ** 2) / len(sample)) ** 0.5
            estimate = fmean(sample) - fmean(other)
            p_value = float(stats.ttest_ind(sample, other, equal_var=False).pvalue) if error else 0
            found.append(Difference(way, model, arm, estimate, error, p_value if estimate else 1))
    corrected = holm(np.array([one.p_value for one in found]))
    pairs = zip(found, corrected.tolist(), strict=True)
    return sorted(
        (replace(one, p_value=p) for one, p in pairs), key=lambda difference: difference.p_value
    )


def beyond_noise(found: Sequence[Difference], level: float = LEVEL) -> list[Difference]:
    """Return the differences that noise between seeds does not explain."""
    return [difference for difference in found if difference.p_value < level]


def _cells(counts: Sequence[Count]) -> set[tuple[str, int, str, float, int]]:
    return {(one.model, one.seed, one.arm, one.ratio, one.n) for one in counts}
