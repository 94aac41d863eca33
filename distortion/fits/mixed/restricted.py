"""The deviance, −2 log L, with one parameter held: what a profile minimises over the others.

    F(θ, τ) = log|V| + n log 2π + 2 n τ + s e^{−2τ} − Σ log w,   τ = log σ,   s = y'P y

A held SD, correlation or σ leaves free parameters η, with (θ, τ) a function of η. The coefficient
whose SD is held comes first in the factor of its grouping, that whose correlation with it is held
second: then the SD is σ |θ_i|, and the correlation the cosine of an angle between two entries. A
held fixed effect is a shift of y and one column less of X.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from distortion.fits.mixed.criterion import Criterion, Evaluation
from distortion.fits.mixed.template import gather
from distortion.fits.mixed.types import Array


@dataclass(frozen=True)
class Scaled(Evaluation):
    """F with its derivatives in (θ, τ)."""

    tau: float

    @cached_property
    def value(self) -> float:
        """F(θ, τ)."""
        n = self.criterion.products.n
        return (
            self.factor.logdet_v
            + n * (math.log(2.0 * math.pi) + 2.0 * self.tau)
            + self.rss * math.exp(-2.0 * self.tau)
            - self.criterion.products.log_weights
        )

    @cached_property
    def scores(self) -> list[Array]:
        """∂F/∂Σ_k, (r, r) per grouping."""
        scores = []
        for trace, c in zip(self.factor.scores(reml=False), self.solution.c, strict=True):
            split = c.reshape(-1, len(trace))
            scores.append(trace - math.exp(-2.0 * self.tau) * split.T @ split)
        return scores

    @cached_property
    def gradient(self) -> Array:
        """∂F/∂(θ, τ), (m + 1,)."""
        matrices = [2.0 * g @ f for g, f in zip(self.scores, self.factor.factors, strict=True)]
        along = 2.0 * self.criterion.products.n - 2.0 * self.rss * math.exp(-2.0 * self.tau)
        return np.append(gather(matrices, self.criterion.template), along)

    @cached_property
    def information(self) -> Array:
        """The Hessian of F with its trace part averaged, (m + 1, m + 1)."""
        precision = math.exp(-2.0 * self.tau)
        hessian = np.empty((len(self.theta) + 1,) * 2)
        hessian[:-1, :-1] = precision * self.crossed + self.curvature
        hessian[:-1, -1] = hessian[-1, :-1] = -2.0 * precision * self.rss_gradient
        hessian[-1, -1] = 4.0 * precision * self.rss
        return hessian


class Place(Protocol):
    """A parameter at a value: how η gives φ = (θ, τ)."""

    def phi(self, eta: Array) -> Array:
        """φ, (m + 1,)."""

    def jacobian(self, phi: Array) -> Array:
        """∂φ/∂η, (m + 1, len(η))."""

    def along(self, phi: Array) -> Array:
        """∂φ/∂value, (m + 1,)."""


@dataclass(frozen=True)
class Sd:
    """The SD of a coefficient: σ times the entry `index` of θ; η is φ without that entry."""

    index: int
    value: float

    def phi(self, eta: Array) -> Array:
        """See `Place`."""
        return np.insert(eta, self.index, self.value * math.exp(-eta[-1]))

    def jacobian(self, phi: Array) -> Array:
        """See `Place`."""
        jacobian = np.delete(np.eye(len(phi)), self.index, axis=1)
        jacobian[self.index, -1] = -phi[self.index]
        return jacobian

    def along(self, phi: Array) -> Array:
        """See `Place`."""
        return np.asarray(np.eye(len(phi))[self.index] * math.exp(-phi[-1]))


@dataclass(frozen=True)
class Sigma:
    """The residual SD; η is θ."""

    value: float

    def phi(self, eta: Array) -> Array:
        """See `Place`."""
        return np.append(eta, math.log(self.value))

    def jacobian(self, phi: Array) -> Array:
        """See `Place`."""
        return np.eye(len(phi))[:, :-1]

    def along(self, phi: Array) -> Array:
        """See `Place`."""
        return np.asarray(np.eye(len(phi))[-1] / self.value)


@dataclass(frozen=True)
class Angle:
    """A correlation, cos(value): entry `first` of θ is t cos(value), `second` t sin(value).

    η is φ with t in place of the first and without the second entry.
    """

    first: int
    second: int
    value: float

    def phi(self, eta: Array) -> Array:
        """See `Place`."""
        phi = np.insert(eta, self.second, eta[self.first] * math.sin(self.value))
        phi[self.first] *= math.cos(self.value)
        return phi

    def jacobian(self, phi: Array) -> Array:
        """See `Place`."""
        jacobian = np.eye(len(phi))
        jacobian[self.first, self.first] = math.cos(self.value)
        jacobian[self.second, self.first] = math.sin(self.value)
        return np.delete(jacobian, self.second, axis=1)

    def along(self, phi: Array) -> Array:
        """See `Place`."""
        along = np.zeros(len(phi))
        along[[self.first, self.second]] = -phi[self.second], phi[self.first]
        return along


@dataclass(frozen=True)
class HeldEvaluation(Evaluation):
    """F as a function of η; `theta` is η here, and `full` knows φ."""

    full: Scaled
    jacobian: Array

    @property
    def value(self) -> float:
        """F at η."""
        return self.full.value

    @cached_property
    def gradient(self) -> Array:
        """∂F/∂η."""
        return self.jacobian.T @ self.full.gradient

    @cached_property
    def information(self) -> Array:
        """The averaged Hessian in η, without the curvature of φ."""
        return self.jacobian.T @ self.full.information @ self.jacobian


@dataclass(frozen=True)
class Held(Criterion):
    """F with one parameter at a place; a `Criterion` of η."""

    place: Place

    @property
    def scale(self) -> Array:
        """Natural size of every entry of η."""
        phi = np.append(super().scale, 1.0)
        return np.asarray(np.abs(self.place.jacobian(np.zeros(len(phi)))).T @ phi)

    def __call__(self, theta: Array) -> HeldEvaluation:
        """Evaluate at η."""
        phi = self.place.phi(theta)
        at = super().__call__(phi[:-1])
        full = Scaled(self, phi[:-1], at.factor, at.solution, float(phi[-1]))
        jacobian = self.place.jacobian(phi)
        return HeldEvaluation(self, theta, at.factor, at.solution, full, jacobian)
