"""−2 log-likelihood by Laplace's approximation, and its exact gradient in ψ.

The modes move with ψ. With h_r = b_r'(I + B'WB)⁻¹ b_r for a row b_r of B, α = h ∘ ∂W/∂η, and
y = (I + B'WB)⁻¹ B'α, a change of parameters that moves η by e at fixed x̂, and B by ∂B, changes

    −2 log L   by   Σ_r (−2 s + α − W ∘ By)_r e_r + s_r ∂b_r'y + 2 W_r ∂b_r'(I + B'WB)⁻¹ b_r.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from distortion.fits.mixed.types import Array
from distortion.structural.latent import Latent, Loadings, State, Successes, find_modes
from distortion.structural.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Evaluation:
    """−2 log L at a point, with the modes there."""

    parameters: Parameters
    point: Array
    state: State
    constant: float

    @cached_property
    def value(self) -> float:
        """−2 log L with all constants."""
        return float((self.state.objective + self.state.arrow.logdet).sum()) + self.constant

    @cached_property
    def gradient(self) -> Array:
        """Derivative in ψ."""
        state, arrow = self.state, self.state.arrow
        loadings, x = state.loadings, state.x
        of_u, of_v, of_w = arrow.row_solutions()
        common, inherited, fresh = (
            of[:, None, None] for of in (loadings.common, loadings.inherited, loadings.fresh)
        )
        leverage = common * of_u + inherited * of_v + fresh * of_w
        alpha = leverage * state.weight * (state.q - state.p)
        y = arrow.solve(loadings.transposed(alpha))
        along = -2.0 * state.score + alpha - state.weight * loadings.times(y)
        twice = 2.0 * state.weight
        slopes = Loadings(
            mu=along.sum(axis=2),
            common=(along * x.u + state.score * y.u + twice * of_u).sum(axis=(1, 2)),
            inherited=(along * x.v + state.score * y.v + twice * of_v).sum(axis=(1, 2)),
            fresh=(along * x.w + state.score * y.w + twice * of_w).sum(axis=(1, 2)),
        )
        return self.parameters.gradient(self.point, slopes)

    @property
    def curvature_of_levels(self) -> Array:
        """Approximate Hessian in μ (A M, A M), with W taken as fixed."""
        loadings, arrow = self.state.loadings, self.state.arrow
        arms, networks, _ = arrow.left.shape
        common, inherited = loadings.common[:, None, None], loadings.inherited[:, None, None]
        share = inherited * arrow.left
        blocks = -np.einsum("imc,jmc->mij", share, share / arrow.network)
        blocks[:, np.arange(arms), np.arange(arms)] += arrow.left.sum(axis=2).T
        joint = common * arrow.left - share * (arrow.crossed / arrow.network)
        columns = (joint / np.sqrt(arrow.top)).reshape(arms * networks, -1)
        found = -columns @ columns.T
        view = found.reshape(arms, networks, arms, networks)
        which = np.arange(networks)
        view[:, which, :, which] += blocks
        return np.asarray(2.0 * found)


class Criterion:
    """−2 log L of counts, as a function of ψ and of an evaluation near it."""

    def __init__(self, successes: Successes, parameters: Parameters) -> None:
        self.successes, self.parameters = successes, parameters
        k, n = successes.k, successes.n
        choose = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
        self.constant = -2.0 * float(choose.sum())

    def __call__(self, point: Array, near: Evaluation | None) -> Evaluation:
        """Evaluate; modes are looked for from those of `near`, or from zero.

        Raises
        ------
        FitError
            The modes are not found.
        """
        x = Latent.zero(self.successes.k.shape) if near is None else near.state.x
        state = find_modes(self.successes, self.parameters.loadings(point), x)
        return Evaluation(self.parameters, point, state, self.constant)
