"""The parameter vector ψ: what stands where, and what it says about the loadings.

ψ is γ_1 … γ_J, τ, σ_v, then φ_1 σ_v … φ_J σ_v where φ is free, then σ_w1 … σ_wJ, then μ arm by
arm. Products φ σ_v rather than φ, because φ means nothing where σ_v is zero; for the same reason
the maximum is looked for with γ τ in the place of γ. The likelihood is even in every SD with its
products, so none needs a bound, and zero is an ordinary stationary point.
"""

from dataclasses import dataclass

import numpy as np

from distortion.fits.mixed.types import Array
from distortion.structural.latent import Loadings


@dataclass(frozen=True, slots=True)
class Parameters:
    """The layout of ψ for J arms beside the dense one and M networks.

    fixed      φ, None where it is free
    products   whether γ τ stands in the place of γ
    """

    arms: int
    networks: int
    fixed: float | None
    products: bool = False

    @property
    def gamma(self) -> slice:
        """Where γ stands, or γ τ."""
        return slice(0, self.arms)

    @property
    def tau(self) -> int:
        """Where τ stands."""
        return self.arms

    @property
    def inherited(self) -> slice:
        """Where σ_v stands, and φ σ_v after it where φ is free."""
        return slice(self.arms + 1, self.arms + 2 + (self.arms if self.fixed is None else 0))

    @property
    def fresh(self) -> slice:
        """Where σ_w stands."""
        return slice(self.inherited.stop, self.inherited.stop + self.arms)

    @property
    def levels(self) -> slice:
        """Where μ stands."""
        return slice(self.fresh.stop, self.fresh.stop + (self.arms + 1) * self.networks)

    def loadings(self, point: Array) -> Loadings:
        """What ψ says."""
        inherited = point[self.inherited]
        if self.fixed is not None:
            inherited = inherited[0] * self._shares()
        after = point[self.gamma] * (1.0 if self.products else point[self.tau])
        return Loadings(
            mu=point[self.levels].reshape(self.arms + 1, self.networks),
            common=np.concatenate([[point[self.tau]], after]),
            inherited=inherited,
            fresh=np.concatenate([[0.0], point[self.fresh]]),
        )

    def gradient(self, point: Array, slopes: Loadings) -> Array:
        """The derivative in ψ, from derivatives in the loadings."""
        inherited = slopes.inherited
        if self.fixed is not None:
            inherited = np.array([inherited @ self._shares()])
        gamma, tau = slopes.common[1:], slopes.common[:1]
        if not self.products:
            tau = tau + point[self.gamma] @ gamma
            gamma = point[self.tau] * gamma
        return np.concatenate([gamma, tau, inherited, slopes.fresh[1:], slopes.mu.ravel()])

    def point(self, loadings: Loadings) -> Array:
        """ψ of loadings; where φ is fixed, σ_v is the dense arm's."""
        inherited = loadings.inherited if self.fixed is None else loadings.inherited[:1]
        tau, after = loadings.common[:1], loadings.common[1:]
        gamma = after if self.products else after / tau
        return np.concatenate([gamma, tau, inherited, loadings.fresh[1:], loadings.mu.ravel()])

    def canonical(self, point: Array) -> Array:
        """The same likelihood with no SD negative."""
        point = point.copy()
        if point[self.tau] < 0.0:
            point[self.tau] *= -1.0
            if self.products:
                point[self.gamma] *= -1.0
        point[self.fresh] = np.abs(point[self.fresh])
        if point[self.inherited][0] < 0.0:
            point[self.inherited] *= -1.0
        return point

    @property
    def deviations(self) -> Array:
        """Indices of all SDs: τ, σ_v and σ_w."""
        fresh = np.arange(self.fresh.start, self.fresh.stop)
        return np.concatenate([[self.tau, self.inherited.start], fresh])

    def _shares(self) -> Array:
        return np.concatenate([[1.0], np.full(self.arms, self.fixed)])
