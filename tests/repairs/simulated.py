"""Counts made directly, and studies with a planted class pattern, inheritance and noise."""

from dataclasses import dataclass

import numpy as np

from distortion.counts import Counts
from distortion.designs import CONDITION

WORDS = ("s", "d", "m", "r", "pruning", "magnitude", 2.0, "finetuned", "test")


def made(n, dense, correct, *, kept=None, control=None, **words) -> Counts:
    """Counts of one condition from arrays (M, C); n may be a number or (C,)."""
    dense, correct = np.asarray(dense), np.asarray(correct)
    networks, classes = dense.shape
    return Counts(
        condition=dict(zip(CONDITION, WORDS, strict=True)) | words,
        seeds=tuple(range(networks)),
        networks=tuple(f"net {m}" for m in range(networks)),
        class_ids=tuple(range(classes)),
        class_names=tuple(map(str, range(classes))),
        n=np.broadcast_to(np.asarray(n), dense.shape).copy(),
        dense=dense,
        correct=correct,
        kept=None if kept is None else np.asarray(kept),
        control=None if control is None else np.asarray(control, dtype=float),
        ratio_achieved=np.full(networks, np.nan),
    )


@dataclass(frozen=True, kw_only=True)
class World:
    """x = u + e and y = βu + φe + f, each centred over classes; SDs are those before centring.

    λ = S² / (S² + σ_e² (1 − 1/C)) with S² the mean squared pattern.
    """

    beta: float = 1.3
    phi: float = 0.5
    spread: float = 0.057
    sd_before: float = 0.012
    sd_after: float = 0.012
    classes: int = 10

    @property
    def reliability(self) -> float:
        noise = self.sd_before**2 * (1 - 1 / self.classes)
        return self.spread**2 / (self.spread**2 + noise)

    def balances(self, rng, networks, studies=()) -> tuple[np.ndarray, np.ndarray]:
        """Balances x and y (*studies, networks, classes); the pattern u is the same in all."""
        u = np.linspace(-1, 1, self.classes) ** 3
        u = self.spread * (u - u.mean()) / u.std()
        shape = (*studies, networks, self.classes)
        e, f = (_centred(rng.normal(0, sd, shape)) for sd in (self.sd_before, self.sd_after))
        return u + e, self.beta * u + self.phi * e + f

    def counts(self, rng, networks, *, n=100_000, accuracy=0.85, accuracy_after=0.75) -> Counts:
        """The same as counts; supports so large that rounding is nothing."""
        x, y = self.balances(rng, networks)
        dense, correct = (
            np.rint(n * a * (1 + b)).astype(np.int64)
            for a, b in ((accuracy, x), (accuracy_after, y))
        )
        return made(n, dense, correct)


def _centred(values):
    return values - values.mean(axis=-1, keepdims=True)
