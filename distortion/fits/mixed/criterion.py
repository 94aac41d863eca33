"""The profiled criterion, −2 log (restricted) likelihood, with its derivatives in θ.

    f(θ) = log|V| + [log|X'V⁻¹X|] + ν (1 + log(2π s / ν)) − Σ log w,   s = y'P y,
    ν = n − p (REML, with the bracket) or n (ML).

Gradient: ∂f/∂Σ_k = T_k − (ν/s) Σ_l c_l c_l', T_k from `Factor.scores`, then 2 (∂f/∂Σ_k) Λ_k.
Hessian: the average information. With h_i = Z dΣ_i Z'P y it needs one more solution per parameter,
(ν/s)(h_i'P h_j − (y'P h_i)(y'P h_j)/s), plus the curvature of Σ in θ.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from distortion.fits.mixed.plan import Plan
from distortion.fits.mixed.products import Products, Responses
from distortion.fits.mixed.system import Factor, Solution, factorise
from distortion.fits.mixed.template import Template, gather, slope
from distortion.fits.mixed.types import Array

# Columns of a dense factor from which the Hessian takes forward differences.
DEAR = 500


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is minimised: data, plan and template, without a value of θ."""

    products: Products
    responses: Responses
    plan: Plan
    template: Template
    reml: bool

    @property
    def nu(self) -> int:
        """Degrees of freedom of σ²: n − p under REML, n under ML."""
        return self.products.n - (self.products.p if self.reml else 0)

    @property
    def scale(self) -> Array:
        """Natural size of every entry of θ, (m,): one over the length of its covariate."""
        lengths = self.products.lengths
        return np.array([1.0 / lengths[k][row] for k, row, _ in self.template.positions])

    def for_responses(self, responses: Responses) -> "Criterion":
        """Return the criterion of another response of the same rows."""
        return replace(self, responses=responses)

    def __call__(self, theta: Array) -> "Evaluation":
        """Evaluate at θ; gradient and Hessian are computed when asked for."""
        factors = self.template.factors(theta)
        factor = factorise(self.products, self.plan, factors)
        return Evaluation(self, theta, factor, factor.solve(self.responses))


@dataclass(frozen=True)
class Evaluation:
    """The criterion at one θ."""

    criterion: Criterion
    theta: Array
    factor: Factor
    solution: Solution

    @property
    def rss(self) -> float:
        """Residual sum of squares s = y'P y."""
        return float(self.solution.rss[0, 0])

    @property
    def sigma(self) -> float:
        """Residual standard deviation, profiled out."""
        return math.sqrt(self.rss / self.criterion.nu)

    @cached_property
    def value(self) -> float:
        """f(θ)."""
        nu, rss = self.criterion.nu, self.rss
        if rss <= 0.0:
            return -math.inf
        logdet = self.factor.logdet_v + (self.factor.logdet_x if self.criterion.reml else 0.0)
        return (
            logdet
            + nu * (1.0 + math.log(2.0 * math.pi * rss / nu))
            - self.criterion.products.log_weights
        )

    @cached_property
    def scores(self) -> list[Array]:
        """∂f/∂Σ_k, (r, r) per grouping."""
        ratio = self.criterion.nu / self.rss
        scores = []
        for trace, c in zip(self.factor.scores(self.criterion.reml), self.solution.c, strict=True):
            split = c.reshape(-1, len(trace))
            scores.append(trace - ratio * split.T @ split)
        return scores

    @cached_property
    def gradient(self) -> Array:
        """∂f/∂θ, (m,)."""
        matrices = [2.0 * g @ f for g, f in zip(self.scores, self.factor.factors, strict=True)]
        return gather(matrices, self.criterion.template)

    @cached_property
    def directions(self) -> list[Array]:
        """dΣ_i Z'P y of every entry of θ, as b: per grouping (L r, m)."""
        template = self.criterion.template
        found = [np.zeros((len(c), template.n_parameters)) for c in self.solution.c]
        for i, (k, row, column) in enumerate(template.positions):
            change = slope(self.factor.factors[k], row, column)
            found[k][:, i] = (self.solution.c[k].reshape(-1, len(change)) @ change).ravel()
        return found

    @cached_property
    def rss_gradient(self) -> Array:
        """∂s/∂θ, (m,)."""
        pairs = zip(self.solution.c, self.directions, strict=True)
        return -np.asarray(sum((c.T @ block)[0] for c, block in pairs))

    @cached_property
    def crossed(self) -> Array:
        """h_i'P h_j, (m, m)."""
        return self.factor.solve(self.criterion.products.responses_of(self.directions)).rss

    @cached_property
    def curvature(self) -> Array:
        """Σ_k ∂f/∂Σ_k · ∂²Σ_k / ∂θ_i ∂θ_j, (m, m)."""
        positions = self.criterion.template.positions
        found = np.zeros((len(positions), len(positions)))
        for i, (k, row, column) in enumerate(positions):
            for j, (other, row_j, column_j) in enumerate(positions):
                if k == other and column == column_j:
                    found[i, j] = self.scores[k][row, row_j] + self.scores[k][row_j, row]
        return found

    @cached_property
    def information(self) -> Array:
        """The Hessian of f in θ with its trace part averaged, (m, m)."""
        nu, rss, linear = self.criterion.nu, self.rss, self.rss_gradient
        return nu / rss * (self.crossed - np.outer(linear, linear) / rss) + self.curvature


def hessian(criterion: Criterion, optimum: Evaluation) -> Array:
    """Return the Hessian of f at an optimum, (m, m), by differences of the exact gradient.

    Central ones; where an evaluation is dear, forward ones with a smaller step. The gradient is
    good to about 1e-10 of its terms, so either is good to about 1e-5 of the Hessian.
    """
    theta = optimum.theta
    dear, scale = criterion.plan.q > DEAR, criterion.scale
    rows: list[Array] = []
    for i in range(len(theta)):
        shift = np.zeros_like(theta)
        shift[i] = (1e-5 if dear else 1e-4) * max(scale[i], abs(theta[i]))
        ahead = criterion(theta + shift).gradient
        behind = optimum.gradient if dear else criterion(theta - shift).gradient
        rows.append((ahead - behind) / ((1.0 if dear else 2.0) * shift[i]))
    matrix = np.array(rows).reshape(len(theta), len(theta))
    return np.asarray((matrix + matrix.T) / 2)
