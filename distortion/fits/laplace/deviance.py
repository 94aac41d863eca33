"""−2 log-likelihood by Laplace's approximation, with its exact gradient.

    F(ψ) = −2 Σ ℓ(η̂) + û'û + log|M| + Σ extra − 2 Σ normaliser

The gradient is derived in the docstring of this package. With `profiled` fixed effects, û and β̂
minimise the penalised deviance together and only θ and ν are left (lme4's nAGQ = 0): the formulas
stay the same, with v solving the equations of u and β.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from distortion.fits.laplace.family import Family, Weighing
from distortion.fits.laplace.leverage import leverages
from distortion.fits.laplace.modes import Modes, Search, times
from distortion.fits.laplace.weighting import Weighting
from distortion.fits.mixed.system import Factor, Solution
from distortion.fits.mixed.template import Template, gather
from distortion.fits.mixed.types import Array

# A start this much worse than where it comes from is compared with u = 0.
FAR = 100.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows, distribution and random effects: all but the parameters."""

    weighting: Weighting
    family: Family
    template: Template

    @cached_property
    def constant(self) -> float:
        """−2 Σ normaliser."""
        return -2.0 * float(self.family.normaliser(self.weighting.design.counts).sum())

    @property
    def m(self) -> int:
        """Length of θ."""
        return self.template.n_parameters

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return self.weighting.design.p


class Evaluation(Protocol):
    """A criterion at one point."""

    @property
    def problem(self) -> Problem:
        """Of what."""

    @property
    def point(self) -> Array:
        """Where."""

    @property
    def value(self) -> float:
        """−2 log-likelihood."""

    @property
    def gradient(self) -> Array:
        """Its derivative."""

    @property
    def modes(self) -> Modes:
        """Conditional modes."""

    @property
    def weighing(self) -> Weighing:
        """W at the conditional modes."""


class Criterion(Protocol):
    """−2 log-likelihood as a function of a point."""

    def __call__(self, point: Array, near: Evaluation | None = None) -> Evaluation:
        """Evaluate; conditional modes are searched from those of `near`."""

    def at(self, point: Array, modes: Modes) -> Evaluation:
        """Evaluate at given conditional modes."""


@dataclass(frozen=True, eq=False)
class Laplace:
    """The criterion; a point is θ, then β unless `profiled`, then ν if the family has a shape."""

    problem: Problem
    profiled: bool

    def __call__(self, point: Array, near: Evaluation | None = None) -> "LaplaceEvaluation":
        """Evaluate; conditional modes are searched from those of `near`.

        Raises
        ------
        FitError
            There are no conditional modes at this point.
        """
        problem = self.problem
        theta, beta, shape = split(problem, point, self.profiled)
        if beta is None:
            beta = np.zeros(problem.p) if near is None else near.modes.beta
        return self.at(point, find_modes(problem, theta, beta, shape, near, free=self.profiled))

    def at(self, point: Array, modes: Modes) -> "LaplaceEvaluation":
        """See `Criterion`."""
        shape = split(self.problem, point, self.profiled)[2]
        return LaplaceEvaluation(self.problem, point, modes, shape, self.profiled)


def split(problem: Problem, point: Array, profiled: bool) -> tuple[Array, Array | None, float]:
    """Return θ, β (None where profiled) and ν (0 without one)."""
    m, p = problem.m, 0 if profiled else problem.p
    shape = float(point[m + p]) if problem.family.shaped else 0.0
    return point[:m], None if profiled else point[m : m + p], shape


def find_modes(
    problem: Problem,
    theta: Array,
    beta: Array,
    shape: float,
    near: Evaluation | None,
    *,
    free: bool,
) -> Modes:
    """Return the conditional modes, searched from those of a nearby evaluation."""
    factors = problem.template.factors(theta)
    search = Search(problem.weighting, problem.family, factors, shape, free)
    zero = [np.zeros(n_levels * r) for n_levels, r in problem.weighting.design.shapes]
    if near is None:
        return search.run(search.start(zero, beta, None))
    state = search.start(near.modes.u, beta, near.modes.step)
    if not state.value < near.modes.penalised + FAR:
        fresh = search.start(zero, beta, None)
        state = state if state.value < fresh.value else fresh
    return search.run(state)


@dataclass(frozen=True, eq=False)
class LaplaceEvaluation:
    """`Laplace` at one point."""

    problem: Problem
    point: Array
    modes: Modes
    shape: float
    profiled: bool

    @cached_property
    def weighing(self) -> Weighing:
        """W at the conditional modes."""
        counts = self.problem.weighting.design.counts
        return self.problem.family.weigh(self.modes.eta, counts, self.shape, self.modes.step)

    @cached_property
    def observed(self) -> Factor:
        """Factor of Λ'Z'H ZΛ + I, half the Hessian of the penalised deviance in u."""
        step, modes = self.modes.step, self.modes
        if modes.exact:
            return modes.factor
        return self._factorise(step.curvature)

    @cached_property
    def factor(self) -> Factor:
        """Factor of M."""
        if self.problem.family.observed:
            return self.observed
        return self._factorise(self.weighing.weight)

    def _factorise(self, weight: Array) -> Factor:
        factors = self.modes.factor.factors
        return self.problem.weighting.factorise(weight, factors, fixed=self.profiled)

    @cached_property
    def value(self) -> float:
        """F."""
        extra = float(np.sum(self.weighing.extra))
        return self.modes.penalised + self.factor.logdet_v + extra + self.problem.constant

    @cached_property
    def leverage(self) -> Array:
        """h, (n,)."""
        return leverages(self.problem.weighting.design, self.factor)

    @cached_property
    def _pull(self) -> Array:
        """∂ log|M| / ∂η, (n,)."""
        return self.leverage * self.weighing.slope + self.weighing.extra_slope

    @cached_property
    def _solved(self) -> Solution:
        """Λv and what belongs to it."""
        free = self.profiled
        return self.observed.solve(
            self.problem.weighting.response(self._pull, fixed=free), fixed=free
        )

    @cached_property
    def shift(self) -> Array:
        """ZΛv, (n,); with profiled fixed effects also X times their part of v."""
        design = self.problem.weighting.design
        shift = design.spread([block[:, 0] for block in self._solved.b])
        if self.profiled:
            shift += design.x @ self._solved.beta[:, 0]
        return shift

    @cached_property
    def gradient(self) -> Array:
        """dF/dψ."""
        problem, modes, weighing = self.problem, self.modes, self.weighing
        design = problem.weighting.design
        total = self._pull - modes.step.curvature * self.shift - 2.0 * modes.step.score
        matrices = []
        parts = zip(
            modes.factor.factors,
            self.factor.scores(reml=False),
            design.collect(total),
            modes.collected,
            modes.u,
            self._solved.c,
            strict=True,
        )
        for factor, score, of_total, of_score, u, c in parts:
            r = len(factor)
            v = times(factor.T, c[:, 0]).reshape(-1, r)
            change = 2.0 * score @ factor
            change += of_total.reshape(-1, r).T @ u.reshape(-1, r)
            change += of_score.reshape(-1, r).T @ v
            matrices.append(change)
        found = [gather(matrices, problem.template)]
        if not self.profiled:
            found.append(design.x.T @ total)
        if weighing.shape is not None:
            slopes = weighing.shape
            of_shape = self.leverage @ slopes.weight + slopes.score @ self.shift
            found.append(np.array([of_shape + np.sum(slopes.extra - 2.0 * slopes.loglik)]))
        return np.concatenate(found)
