"""−2 log-likelihood by adaptive Gauss–Hermite quadrature, for one scalar random term.

Levels are independent given the parameters. With û_l and M_l of Laplace's approximation, nodes
u_lj = û_l + a_j M_l^(−1/2) and h_l(u) = −2 Σ_l ℓ + u²,

    F = Σ_l [ log M_l − 2 log Σ_j c_j exp(−h_l(u_lj) / 2) ] + constant.

Nodes move with ψ, so the gradient also holds the derivatives in û_l and M_l,

    A_l = Σ_j π_lj h_l'(u_lj),    C_l = 1/M_l − Σ_j π_lj h_l'(u_lj) a_j M_l^(−3/2) / 2,

π_lj being the share of node j. One node is Laplace's approximation.
Source: Pinheiro and Chao (2006), J. Comput. Graph. Stat. 15, 58.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial.hermite import hermgauss
from scipy.special import logsumexp

from distortion.fits.laplace.design import by_level
from distortion.fits.laplace.deviance import Evaluation, Problem, find_modes, split
from distortion.fits.laplace.family import Step, Weighing
from distortion.fits.laplace.modes import Modes
from distortion.fits.mixed.types import Array


@dataclass(frozen=True, eq=False)
class Quadrature:
    """The criterion with `n_points` nodes; a point is θ (one number), β and ν."""

    problem: Problem
    n_points: int

    @cached_property
    def rule(self) -> tuple[Array, Array]:
        """Nodes a_j on the scale of u, and log c_j."""
        nodes, weights = hermgauss(self.n_points)
        return np.sqrt(2.0) * nodes, np.log(weights) - 0.5 * np.log(np.pi) + nodes**2

    def __call__(self, point: Array, near: Evaluation | None = None) -> "QuadratureEvaluation":
        """See `Criterion`."""
        theta, beta, shape = split(self.problem, point, profiled=False)
        assert beta is not None
        return self.at(point, find_modes(self.problem, theta, beta, shape, near, free=False))

    def at(self, point: Array, modes: Modes) -> "QuadratureEvaluation":
        """See `Criterion`."""
        shape = split(self.problem, point, profiled=False)[2]
        return QuadratureEvaluation(self.problem, point, modes, shape, self.rule)


@dataclass(frozen=True, eq=False)
class _Node:
    """What is needed of one node: h (L,), Σ z s (L,), s (n,), and ∂ℓ/∂ν summed over levels."""

    u: Array
    penalised: Array
    pulled: Array
    score: Array
    shape: Array | None


@dataclass(frozen=True, eq=False)
class QuadratureEvaluation:
    """`Quadrature` at one point."""

    problem: Problem
    point: Array
    modes: Modes
    shape: float
    rule: tuple[Array, Array]

    @cached_property
    def weighing(self) -> Weighing:
        """W at the conditional modes."""
        counts = self.problem.weighting.design.counts
        return self.problem.family.weigh(self.modes.eta, counts, self.shape, self.modes.step)

    @property
    def _theta(self) -> float:
        return float(self.point[0])

    def _by_level(self, values: Array, power: int = 1) -> Array:
        """Return Σ z^power values of every level, (L,)."""
        design = self.problem.weighting.design
        column = design.covariates[0][0]
        if column is not None:
            values = values * column**power
        return by_level(design.codes[0], values, design.shapes[0][0])

    def _of_rows(self, values: Array) -> Array:
        """Return z times a value of every level, (n,)."""
        return self.problem.weighting.design.spread([values])

    @cached_property
    def curvature(self) -> Array:
        """M_l, (L,)."""
        return 1.0 + self._theta**2 * self._by_level(self.weighing.weight, 2)

    @cached_property
    def nodes(self) -> list[_Node]:
        """All nodes."""
        family, counts = self.problem.family, self.problem.weighting.design.counts
        fixed = self.modes.eta - self._of_rows(self.modes.b[0])
        found = []
        for node in self.rule[0]:
            u = self.modes.u[0] + node / np.sqrt(self.curvature)
            eta = fixed + self._of_rows(self._theta * u)
            step: Step = family.step(eta, counts, self.shape, self.modes.step)
            codes, n_levels = self.problem.weighting.design.codes[0], len(u)
            of_shape = None
            if family.shaped:
                slopes = family.weigh(eta, counts, self.shape, step).shape
                assert slopes is not None
                of_shape = by_level(codes, slopes.loglik, n_levels)
            penalised = u**2 - 2.0 * by_level(codes, step.loglik, n_levels)
            found.append(_Node(u, penalised, self._by_level(step.score), step.score, of_shape))
        return found

    @cached_property
    def _logs(self) -> Array:
        """Logs of the terms: log c_j − h_l(u_lj) / 2, (nodes, L)."""
        return np.array([
            log_c - node.penalised / 2.0
            for log_c, node in zip(self.rule[1], self.nodes, strict=True)
        ])  # fmt: skip

    @cached_property
    def value(self) -> float:
        """F."""
        total = np.log(self.curvature) - 2.0 * logsumexp(self._logs, axis=0)
        return float(total.sum()) + self.problem.constant

    @cached_property
    def gradient(self) -> Array:
        """dF/dψ."""
        design, theta, modes = self.problem.weighting.design, self._theta, self.modes
        weighing, m = self.weighing, self.curvature
        shares = np.exp(self._logs - logsumexp(self._logs, axis=0))
        of_u, of_m = np.zeros_like(m), 1.0 / m
        of_theta, score = 0.0, np.zeros(design.n)
        of_shape = 0.0
        for a, share, node in zip(self.rule[0], shares, self.nodes, strict=True):
            slope = share * (2.0 * node.u - 2.0 * theta * node.pulled)
            of_u += slope
            of_m -= slope * a / (2.0 * m**1.5)
            of_theta -= 2.0 * float(share @ (node.pulled * node.u))
            score += share[design.codes[0]] * node.score
            if node.shape is not None:
                of_shape -= 2.0 * float(share @ node.shape)
        spread = self._of_rows(np.ones_like(m))  # z
        leverage = self._of_rows(of_m) * spread * theta**2
        pull = leverage * weighing.slope
        half_hessian = 1.0 + theta**2 * self._by_level(modes.step.curvature, 2)
        v = (of_u + theta * self._by_level(pull)) / half_hessian
        shift = self._of_rows(theta * v)
        pull -= modes.step.curvature * shift
        of_theta += float(modes.u[0] @ self._by_level(pull) + v @ modes.collected[0])
        of_theta += 2.0 * theta * float(of_m @ self._by_level(weighing.weight, 2))
        found = [np.array([of_theta]), design.x.T @ (pull - 2.0 * score)]
        if weighing.shape is not None:
            of_shape += float(leverage @ weighing.shape.weight + weighing.shape.score @ shift)
            found.append(np.array([of_shape]))
        return np.concatenate(found)
