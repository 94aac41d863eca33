"""Counts drawn from the structural model."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from distortion.counts import Counts
from distortion.designs import CONDITION

CONDITION_OF = dict.fromkeys(CONDITION, "x") | {"arm": "finetuned"}


@dataclass(frozen=True)
class Truth:
    """One value per arm beside the dense one; mu has one more."""

    mu: tuple[float, ...] = (2.3, 2.3)
    tau: float = 0.6
    gamma: tuple[float, ...] = (1.0,)
    sigma_v: float = 0.12
    phi: tuple[float, ...] = (0.5,)
    sigma_w: tuple[float, ...] = (0.12,)
    networks: int = 5
    classes: int = 10
    n: int = 1000

    def but(self, **changes) -> "Truth":
        return replace(self, **changes)


# Recalls of .8 to .97 and of .97 to .995, 1,000 images per class.
CIFAR = Truth()
MNIST = Truth(mu=(4.4, 4.4), tau=0.5, sigma_v=0.15, sigma_w=(0.15,))


def draw(rng: np.random.Generator, truth: Truth) -> list[Counts]:
    """One condition for every arm."""
    arms, m, c = len(truth.gamma), truth.networks, truth.classes
    u = rng.normal(0, truth.tau, c)
    v = rng.normal(0, truth.sigma_v, (m, c))
    mu = np.array(truth.mu)[:, None] + rng.normal(0, 0.1, (arms + 1, m))
    logits = [mu[0][:, None] + u + v]
    for j in range(arms):
        w = rng.normal(0, truth.sigma_w[j], (m, c))
        logits.append(mu[j + 1][:, None] + truth.gamma[j] * u + truth.phi[j] * v + w)
    k = rng.binomial(truth.n, expit(np.array(logits)))
    return conditions(k, np.full(k.shape, truth.n))


def conditions(k: np.ndarray, n: np.ndarray) -> list[Counts]:
    """Counts k out of n, (A, M, C), as conditions at ratios 2, 4, … with seeds 0, 1, …"""
    _, m, c = k.shape
    k, n = k.astype(np.int64), n.astype(np.int64)
    return [
        Counts(
            condition=CONDITION_OF | {"ratio": 2.0**j},
            seeds=tuple(range(m)),
            networks=tuple(f"net {i}" for i in range(m)),
            class_ids=tuple(range(c)),
            class_names=tuple(map(str, range(c))),
            n=n[0],
            dense=k[0],
            correct=k[j],
            kept=None,
            control=None,
            ratio_achieved=np.full(m, np.nan),
        )
        for j in range(1, len(k))
    ]
