"""Networks with a known truth: class patterns, seed noise, what compression does, shared images.

On the logit scale, for class c of network m:

    before   η_0 = μ_0 + u_c + v_cm
    after    η_t = μ_t + γ u_c + φ v_cm + √(1 − φ²) v'_cm

u is one fixed pattern of the classes, so that there is a truth to be recovered; v and v' are seed
noise of the same size, so that φ is the share of a network's own deviations that it keeps and
nothing else changes when φ < 1. Both networks see the same n images of a class, and what they get
right is correlated.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from distortion.counts import Counts

Values = NDArray[np.float64]
CLASSES: Final = 10
IMAGES: Final = 1000
# Correlation over images of being right before and after, at given recalls.
AGREEMENT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Spread:
    """A data set: logit of a typical recall, SD of classes and of seeds in logits."""

    level: float
    classes: float
    seeds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens: γ, share φ of seed noise inherited, shift of all logits."""

    gamma: float
    inherited: float
    shift: float


# Recalls of .83 to .98 around .93 with SD .01 over seeds; of .975 to .996 around .99 with .002.
SPREADS: Final = {"cifar-like": Spread(2.75, 0.8, 0.15), "mnist-like": Spread(4.6, 0.6, 0.2)}
SCENARIOS: Final = {
    "fresh noise": Scenario(1.0, 0.0, 0.0),
    "class-blind loss": Scenario(1.0, 0.7, -0.9),
    "intensification": Scenario(1.4, 0.7, -0.9),
}


def pattern(spread: Spread, classes: int = CLASSES) -> Values:
    """The truth u (C,): normal quantiles, so that their SD is that of the spread."""
    u = ndtri((np.arange(classes) + 0.5) / classes)
    return np.asarray(spread.classes * u / u.std())


def recalls(
    rng: np.random.Generator, spread: Spread, scenario: Scenario, networks: int
) -> tuple[Values, Values, Values]:
    """Expected recalls (M, C) before, after compression and after the control's fine-tuning."""
    u = pattern(spread)

    def noise() -> Values:
        return rng.normal(0.0, spread.seeds, (networks, len(u)))

    own, fresh = noise(), np.sqrt(1.0 - scenario.inherited**2)
    before = spread.level + u + own
    kept = scenario.inherited * own
    after = spread.level + scenario.shift + scenario.gamma * u + kept + fresh * noise()
    control = spread.level + u + kept + fresh * noise()
    return expit(before), expit(after), expit(control)


def counted(
    rng: np.random.Generator, dense: NDArray[np.int64], before: Values, after: Values
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images right after, and both before and after (M, C), given those right before."""
    spread = np.sqrt(before * (1 - before) * after * (1 - after))
    lowest, highest = np.maximum(0.0, before + after - 1), np.minimum(before, after)
    both = np.clip(before * after + AGREEMENT * spread, lowest, highest)
    kept = rng.binomial(dense, both / before)
    gained = rng.binomial(IMAGES - dense, (after - both) / (1 - before))
    return kept + gained, kept


def study(
    rng: np.random.Generator, spread: Spread, scenario: Scenario, networks: int
) -> tuple[Counts, Counts]:
    """One study: the counts of the compressed networks, and of their controls."""
    before, after, tuned = recalls(rng, spread, scenario, networks)
    dense = rng.binomial(IMAGES, before)
    correct, kept = counted(rng, dense, before, after)
    control, kept_control = counted(rng, dense, before, tuned)
    return (
        _counts("finetuned", "simulated", 10.0, dense, correct, kept, control),
        _counts("control", "none", 1.0, dense, control, kept_control, control),
    )


def _counts(
    arm: str,
    method: str,
    ratio: float,
    dense: NDArray[np.int64],
    correct: NDArray[np.int64],
    kept: NDArray[np.int64],
    control: NDArray[np.int64],
) -> Counts:
    networks, classes = dense.shape
    names = ("study", "dataset", "model", "recipe", "intervention", "split")
    values = ("simulated", "simulated", "net", "", "pruning", "test")
    condition = dict(zip(names, values, strict=True)) | {
        "method": method,
        "ratio": ratio,
        "arm": arm,
    }
    return Counts(
        condition=condition,
        seeds=tuple(range(networks)),
        networks=tuple(f"network {m}" for m in range(networks)),
        class_ids=tuple(range(classes)),
        class_names=tuple(map(str, range(classes))),
        n=np.full(dense.shape, IMAGES),
        dense=dense,
        correct=correct,
        kept=kept,
        control=control.astype(np.float64),
        ratio_achieved=np.full(networks, ratio),
    )
