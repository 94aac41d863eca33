"""Conditional modes û by penalised iteratively reweighted least squares (PIRLS).

Minimises h = −2 Σ ℓ(η) + u'u by Newton steps with halving. With s and H at the current η, a step
solves (Λ'Z'H ZΛ + I) du = Λ'Z's − u, which vanishes with it, so that no digits are lost near the
minimum. The fixed effects are either held, or minimised over as well (lme4's nAGQ = 0).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.family import Family, Step
from distortion.fits.laplace.weighting import Weighting
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.system import Factor
from distortion.fits.mixed.types import Array

MOST_STEPS = 100
SHORTEST = 1e-8
# Stop where a step would lower h by less than this: û is then good to about its square root.
TOLERANCE = 1e-18
# Where rounding keeps a step from getting smaller, this is good enough.
ROUNDING = 1e-12
# Below this, H is expected to be positive, and steps with it converge faster.
NEAR = 1e-2
# Singular values of Λ below this share of the largest are zero.
SINGULAR = 1e-13


@dataclass(frozen=True, eq=False)
class Modes:
    """Where PIRLS stopped.

    u, b        per grouping (L r,); b = Λ u
    beta        (p,)
    eta         (n,)
    collected   Z's, per grouping (L r,)
    penalised   h
    factor      of Λ'Z'H ZΛ + I, if `exact`; else of what stands for H
    steps       how many were taken
    """

    u: list[Array]
    b: list[Array]
    beta: Array
    eta: Array
    step: Step
    collected: list[Array]
    penalised: float
    factor: Factor
    exact: bool
    steps: int


@dataclass(frozen=True, eq=False)
class _State:
    """One iterate."""

    u: list[Array]
    beta: Array
    eta: Array
    step: Step
    value: float


@dataclass(frozen=True, eq=False)
class Search:
    """What does not change during the iterations.

    factors   Λ, (r, r) per grouping
    shape     ν
    free      whether β is minimised over too
    """

    weighting: Weighting
    family: Family
    factors: list[Array]
    shape: float
    free: bool

    @cached_property
    def inverses(self) -> list[Array]:
        """Pseudo-inverses of Λ: what is not in the range of Λ' is no random effect."""
        return [np.asarray(np.linalg.pinv(factor, rcond=SINGULAR)) for factor in self.factors]

    def start(self, u: list[Array], beta: Array, before: Step | None) -> _State:
        """Return the first iterate."""
        design = self.weighting.design
        u = [
            times(factor.T, times(inverse.T, block))
            for factor, inverse, block in zip(self.factors, self.inverses, u, strict=True)
        ]
        eta = design.fixed(beta)
        eta += design.spread(self._scaled(u))
        return self._state(u, beta, eta, before)

    def _state(self, u: list[Array], beta: Array, eta: Array, before: Step | None) -> _State:
        step = self.family.step(eta, self.weighting.design.counts, self.shape, before)
        value = -2.0 * float(step.loglik.sum()) + sum(float(block @ block) for block in u)
        return _State(u, beta, eta, step, value)

    def _scaled(self, u: Sequence[Array]) -> list[Array]:
        """Return Λ u."""
        return [times(factor, block) for factor, block in zip(self.factors, u, strict=True)]

    def run(self, state: _State) -> Modes:
        """Iterate to the minimum.

        Raises
        ------
        FitError
            There is none, or the steps do not get there.
        """
        last = np.inf
        for steps in range(MOST_STEPS):
            if not np.isfinite(state.value):
                raise _lost("lead out of the range of numbers")
            factor, exact = self._factor(state.step, near=last < NEAR)
            collected = self.weighting.design.collect(state.step.score)
            du, dbeta, decrement = self._newton(state, factor, collected)
            stuck = decrement < ROUNDING and decrement > 0.9 * last
            if decrement <= TOLERANCE or stuck:
                return self._modes(state, collected, factor, exact, steps)
            last = decrement
            state = self._halved(state, du, dbeta)
        raise _lost(f"do not end in {MOST_STEPS} steps")

    def stay(self, state: _State) -> Modes:
        """Take an iterate for the minimum."""
        factor, exact = self._factor(state.step, near=True)
        collected = self.weighting.design.collect(state.step.score)
        return self._modes(state, collected, factor, exact, 0)

    def _factor(self, step: Step, *, near: bool) -> tuple[Factor, bool]:
        """Factorise with H near the minimum, if M is positive then, else with what stands for it.

        Returns the factor, and whether it is of H.

        Raises
        ------
        FitError
            The weights leave a column of X nothing to be estimated from.
        """
        if near and step.positive is not step.curvature:
            with suppress(FitError):
                return self.weighting.factorise(step.curvature, self.factors, fixed=self.free), True
        factor = self.weighting.factorise(step.positive, self.factors, fixed=self.free)
        return factor, step.positive is step.curvature

    def _modes(
        self, state: _State, collected: list[Array], factor: Factor, exact: bool, steps: int
    ) -> Modes:
        return Modes(
            state.u,
            self._scaled(state.u),
            state.beta,
            state.eta,
            state.step,
            collected,
            state.value,
            factor,
            exact,
            steps,
        )

    def _newton(
        self, state: _State, factor: Factor, collected: list[Array]
    ) -> tuple[list[Array], Array, float]:
        """Return the step in u and β, and by how much it is expected to lower h."""
        right = [
            times(lam.T, z) - u for lam, z, u in zip(self.factors, collected, state.u, strict=True)
        ]
        zy = tuple(
            times(inverse.T, block)[:, None]
            for inverse, block in zip(self.inverses, right, strict=True)
        )
        xs = self.weighting.design.x.T @ state.step.score if self.free else np.zeros(0)
        solution = factor.solve(Responses(zy, xs[:, None], np.zeros((1, 1))), fixed=self.free)
        du = [times(lam.T, c[:, 0]) for lam, c in zip(self.factors, solution.c, strict=True)]
        decrement = sum(float(step @ block) for step, block in zip(du, right, strict=True))
        if not self.free:
            return du, np.zeros_like(state.beta), decrement
        dbeta = solution.beta[:, 0]
        return du, dbeta, decrement + float(dbeta @ xs)

    def _halved(self, state: _State, du: list[Array], dbeta: Array) -> _State:
        """Return the next iterate, the step halved until h falls."""
        design = self.weighting.design
        deta = design.spread(self._scaled(du))
        if self.free:
            deta += design.x @ dbeta
        length = 1.0
        slack = 1e-13 * (1.0 + abs(state.value))
        while length > SHORTEST:
            new = self._state(
                [old + length * change for old, change in zip(state.u, du, strict=True)],
                state.beta + length * dbeta,
                state.eta + length * deta,
                state.step,
            )
            if new.value <= state.value + slack:
                return new
            length /= 2.0
        raise _lost("do not lower the deviance")


def _lost(how: str) -> FitError:
    return FitError(
        f"The iterations towards the conditional modes of the random effects {how}. Rescale the "
        "covariates, or simplify the random terms."
    )


def times(factor: Array, u: Array) -> Array:
    """Return Λ u of every level: (L r,) gives (L r,)."""
    if len(factor) == 1:
        return np.asarray(u * factor[0, 0])
    return np.asarray((u.reshape(-1, len(factor)) @ factor.T).ravel())
