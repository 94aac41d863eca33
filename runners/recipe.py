"""Training recipes: optimizer, schedule, batches, augmentation. Data in the study file."""

import math
from dataclasses import dataclass
from typing import Literal

from distortion.errors import StudyError

Shape = Literal["constant", "cosine", "one-cycle"]
Phase = tuple[int, float] | tuple[int, float, Shape]
# Epochs of a longer phase: how many, its learning rate and shape, epochs before them, all epochs.
PartOfPhase = tuple[int, float, Shape, int, int]
Schedule = tuple[Phase | PartOfPhase, ...]

WARM_UP = 0.25  # share of a one-cycle phase in which the learning rate rises


@dataclass(frozen=True, slots=True)
class Recipe:
    """How dense networks are trained and pruned ones are fine-tuned.

    dense, finetune   phases [epochs, learning rate] or [epochs, learning rate, shape], in order;
                      shape "constant" (default), "cosine" (falls to 0) or "one-cycle" (rises over
                      the first quarter, falls to 0)
    checkpoint        "last": weights after the last epoch; "best-validation": those of the epoch
                      with the lowest validation loss. Never chosen on test images
    crop_padding      random crops after padding by this many black pixels; 0 for none
    precision         of matrix products and convolutions in training; weights, normalisation and
                      evaluation are always float32
    weight_decay      coefficient of decay on all parameters; also the default epsilon of scores
    """

    dense: tuple[Phase, ...]
    finetune: tuple[Phase, ...]
    name: str = ""
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    batch_size: int = 128
    flip: bool = False
    crop_padding: int = 0
    checkpoint: Literal["last", "best-validation"] = "last"
    precision: Literal["float32", "bfloat16"] = "float32"

    def check(self, where: str) -> "Recipe":
        """Return the recipe itself; raise StudyError where a value is out of its range."""
        rules = {
            "momentum must be at least 0 and below 1": 0 <= self.momentum < 1,
            "nesterov needs momentum above 0": self.momentum > 0 or not self.nesterov,
            "weight_decay must be a finite number of at least 0": (
                math.isfinite(self.weight_decay) and self.weight_decay >= 0
            ),
            "batch_size must be at least 1": self.batch_size >= 1,
            "crop_padding must not be negative": self.crop_padding >= 0,
        }
        for part in ("dense", "finetune"):
            phases = getattr(self, part)
            rules[f"{part} needs at least one phase [epochs, learning rate]"] = bool(phases)
            rules[f"{part}: epochs must be at least 1, learning rates finite and above 0"] = all(
                epochs >= 1 and 0 < rate < math.inf for epochs, rate, *_ in phases
            )
        for rule, holds in rules.items():
            if not holds:
                raise StudyError(f"{where}: {rule}.")
        return self


def n_epochs(schedule: Schedule) -> int:
    """Return the epochs of all phases together."""
    return sum(phase[0] for phase in schedule)


def split(schedule: Schedule, epochs: int) -> tuple[Schedule, Schedule]:
    """Return the first `epochs` epochs of a schedule, and the rest; learning rates stay as are."""
    before: list[PartOfPhase] = []
    after: list[PartOfPhase] = []
    for phase in schedule:
        n, rate, shape, skipped, whole = _in_full(phase)
        first = min(n, epochs)
        epochs -= first
        if first:
            before.append((first, rate, shape, skipped, whole))
        if first < n:
            after.append((n - first, rate, shape, skipped + first, whole))
    return tuple(before), tuple(after)


def learning_rates(schedule: Schedule, steps_per_epoch: int) -> list[float]:
    """Return the learning rate of every step of a schedule."""
    rates = []
    for phase in schedule:
        epochs, rate, shape, skipped, whole = _in_full(phase)
        n_steps = whole * steps_per_epoch
        for step in range(skipped * steps_per_epoch, (skipped + epochs) * steps_per_epoch):
            rates.append(rate * _factor(shape, (step + 0.5) / n_steps))
    return rates


def _in_full(phase: Phase | PartOfPhase) -> PartOfPhase:
    if len(phase) == 5:
        return phase
    return (phase[0], phase[1], phase[2] if len(phase) == 3 else "constant", 0, phase[0])


def _factor(shape: Shape, done: float) -> float:
    if shape == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if shape == "one-cycle":
        return min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
    return 1.0
