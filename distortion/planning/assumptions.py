"""A study that nobody has run yet: what is assumed of its networks, and what follows.

symbol  name here  meaning
S       spread     root mean square of the true normalized balances of the dense networks
A       accuracy   of dense and compressed networks alike
C, n    classes    and test images of each
σ_e     noise      SD over networks of a class's normalized balance B̄, before compression
σ_f                the same after it; noise before and after is independent

SD(α_m) ≈ √(σ_f² + α² σ_e²) / (S √C) to first order in the noise, SD(log κ_m) is that over α. Noise
that a compressed network inherits from its parent cancels, and would make both smaller.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from distortion.errors import DesignError, did_you_mean

Measure = Literal["alpha", "kappa"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a study without a pilot is planned from.

    Attributes
    ----------
    spread : S, relative to accuracy
    seed_sd : SD over networks of the recall of a class, as a share: 0.01 is one point
    accuracy : share between 0 and 1
    classes : at least 2, of equal size
    alpha : slope around which the study is planned
    images : test images of each class, whose sampling variance is added to that of the seeds;
        None: `seed_sd` is what a test set shows, sampling included
    seed_sd_after : of compressed networks; None: as before compression
    discordance : share of a class's images that one of two networks alone gets right, for
        questions about a class
    source : where the values are from

    Raises
    ------
    DesignError
        If a value is out of its range.
    """

    spread: float
    seed_sd: float
    accuracy: float
    classes: int = 10
    alpha: float = 1.0
    images: int | None = None
    seed_sd_after: float | None = None
    discordance: float = 0.05
    source: str = "own assumptions"

    def __post_init__(self) -> None:
        ranges = {
            "spread": (0, math.inf),
            "seed_sd": (0, 1),
            "accuracy": (0, 1),
            "alpha": (0, math.inf),
            "discordance": (0, 1),
            "seed_sd_after": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low < value < high:
                beyond = "above 0" if high == math.inf else f"between {low} and {high}"
                raise DesignError(f"{name} is {value!r}: give a number {beyond}.")
        for name, least in (("classes", 2), ("images", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise DesignError(f"{name} is {value!r}: give a whole number from {least} on.")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Assumptions":
        """One of PRESETS, with some values changed.

        Raises
        ------
        DesignError
            If there is no such preset or value.
        """
        if name not in PRESETS:
            raise DesignError(f"No preset {name!r}. {did_you_mean(name, PRESETS)}")
        known = [field.name for field in fields(cls)]
        if wrong := [change for change in changes if change not in known]:
            raise DesignError(f"Assumptions have no {wrong[0]!r}. {did_you_mean(wrong[0], known)}")
        return replace(PRESETS[name], **changes)

    @property
    def sampling(self) -> float:
        """Variance of a class's B̄ over draws of test images; 0 where `images` is None."""
        binomial = 0.0 if self.images is None else self.accuracy * (1 - self.accuracy) / self.images
        return binomial / self.accuracy**2

    @property
    def noise(self) -> tuple[float, float]:
        """Variances (σ_e², σ_f²) of a class's B̄ over networks, before and after compression."""
        after = self.seed_sd if self.seed_sd_after is None else self.seed_sd_after
        before, after = (sd**2 / self.accuracy**2 + self.sampling for sd in (self.seed_sd, after))
        return before, after

    @property
    def reliability(self) -> float:
        """Share λ of the spread of dense balances that is no noise.

        The slope expected where nothing but fresh noise happens.
        """
        noise = self.noise[0] * (1 - 1 / self.classes)
        return self.spread**2 / (self.spread**2 + noise)

    def variance(self, measure: Measure, *, paired: bool, effect: float = 0.0) -> float:
        """Variance over networks of α or log κ, or of the difference between two cells of one net.

        In that difference the noise of the parent cancels; of α, but for `effect`, the difference.
        """
        before, after = self.noise
        left = effect**2 * before if measure == "alpha" else 0.0
        variance = 2 * after + left if paired else after + self.alpha**2 * before
        scale = self.alpha**2 if measure == "kappa" else 1.0
        return variance / (self.spread**2 * self.classes * scale)


# What was run to measure each is said in `source`; all three are rounded.
PRESETS: Final[Mapping[str, Assumptions]] = {
    "cifar10-like": Assumptions(
        spread=0.057,
        seed_sd=0.01,
        accuracy=0.9,
        source="assumed for CIFAR-10 with ResNet-56 (accuracy 0.90, Good et al. 2022, figure 5)",
    ),
    "fashion-like": Assumptions(
        spread=0.10,
        seed_sd=0.01,
        accuracy=0.89,
        source="ten LeNets on Fashion-MNIST, data/fashion.parquet",
    ),
    "mnist-like": Assumptions(
        spread=0.0046,
        seed_sd=0.0028,
        accuracy=0.988,
        source="six LeNets on MNIST: 30,000 training images, five epochs, one-cycle rate of 0.1",
    ),
}
