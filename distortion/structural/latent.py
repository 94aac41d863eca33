"""Conditional modes of the latent variables, for all classes at once.

Given ψ the classes are independent, and within one the networks given u: Newton steps cost a few
sums over arms and networks. Every class has a step length of its own.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distortion.errors import FitError
from distortion.fits.mixed.types import Array

MOST_STEPS = 100
# A Newton step that lowers a class's −2 log joint density by less than this is the last one; what
# is left after it is of the order of its square.
TOLERANCE = 1e-10
SHORTEST = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Successes:
    """Counts k out of n, (A, M, C) each."""

    k: Array
    n: Array


@dataclass(frozen=True, slots=True, eq=False)
class Loadings:
    """What multiplies the latent variables; see the table of symbols of this package.

    mu (A, M); common (τ g), inherited (a), fresh (d), (A,) each
    """

    mu: Array
    common: Array
    inherited: Array
    fresh: Array

    def times(self, x: "Latent") -> Array:
        """B x, (A, M, C)."""
        found = _arms(self.common) * x.u + _arms(self.inherited) * x.v
        return np.asarray(found + _arms(self.fresh) * x.w)

    def transposed(self, rows: Array) -> "Latent":
        """B' of a value per row, (A, M, C)."""
        u = np.einsum("i,imc->c", self.common, rows)
        return Latent(u, np.einsum("i,imc->mc", self.inherited, rows), _arms(self.fresh) * rows)


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """Standardised latent variables: u (C,), v (M, C), w (A, M, C)."""

    u: Array
    v: Array
    w: Array

    @classmethod
    def zero(cls, size: tuple[int, ...]) -> "Latent":
        """All at their means."""
        return cls(np.zeros(size[2]), np.zeros(size[1:]), np.zeros(size))

    def moved(self, step: "Latent", length: Array) -> "Latent":
        """After a step; `length` is (C,)."""
        return Latent(self.u + length * step.u, self.v + length * step.v, self.w + length * step.w)

    def dot(self, other: "Latent") -> Array:
        """Inner products, (C,)."""
        within = self.v * other.v + np.einsum("imc,imc->mc", self.w, other.w)
        return np.asarray(self.u * other.u + within.sum(axis=0))

    def minus(self, other: "Latent") -> "Latent":
        """The difference."""
        return Latent(self.u - other.u, self.v - other.v, self.w - other.w)


class State:
    """Log-likelihood and its derivatives at given latent variables, and the arrow I + B'WB.

    objective   −2 Σ ℓ + x'x without constants, (C,)
    """

    def __init__(self, successes: Successes, loadings: Loadings, x: Latent) -> None:
        self.loadings, self.x = loadings, x
        k, n = successes.k, successes.n
        eta = loadings.mu[:, :, None] + loadings.times(x)
        small = np.exp(-np.abs(eta))
        large = 1.0 / (1.0 + small)
        up = eta >= 0.0
        self.p = np.where(up, large, small * large)
        self.q = np.where(up, small * large, large)
        loglik = (n - k) * np.maximum(eta, 0.0) + k * np.maximum(-eta, 0.0) + n * np.log1p(small)
        self.objective = 2.0 * loglik.sum(axis=(0, 1)) + x.dot(x)
        self.score = k * self.q - (n - k) * self.p
        self.weight = n * self.p * self.q

    @cached_property
    def arrow(self) -> "Arrow":
        """I + B'WB."""
        return Arrow(self.loadings, self.weight)

    @cached_property
    def slope(self) -> Latent:
        """Half the negative derivative of the objective in x."""
        return self.loadings.transposed(self.score).minus(self.x)


class Arrow:
    """I + B'WB of every class, w eliminated, then v, then u.

    own       1 + d²W, (A, M, C)
    left      W / own: weight left to v and u
    network   what is left on the diagonal of v, (M, C)
    crossed   Σ_i a τ g left, (M, C), which couples v and u
    top       what is left on the diagonal of u, (C,)
    """

    def __init__(self, loadings: Loadings, weight: Array) -> None:
        common, inherited = loadings.common, loadings.inherited
        self.loadings, self.weight = loadings, weight
        self.own = 1.0 + _arms(loadings.fresh**2) * weight
        self.left = weight / self.own
        self.network = 1.0 + np.einsum("i,imc->mc", inherited**2, self.left)
        self.crossed = np.einsum("i,imc->mc", inherited * common, self.left)
        alone = np.einsum("i,imc->mc", common**2, self.left) - self.crossed**2 / self.network
        self.top = 1.0 + alone.sum(axis=0)

    @property
    def logdet(self) -> Array:
        """Log-determinants, (C,)."""
        found = np.log(self.own).sum(axis=(0, 1)) + np.log(self.network).sum(axis=0)
        return np.asarray(found + np.log(self.top))

    def solve(self, right: Latent) -> Latent:
        """(I + B'WB)⁻¹ of latent variables."""
        loadings = self.loadings
        common, inherited = loadings.common, loadings.inherited
        share = _arms(loadings.fresh) * self.left
        passed = share * right.w
        v = right.v - np.einsum("i,imc->mc", inherited, passed)
        u = right.u - np.einsum("i,imc->c", common, passed)
        coupling = self.crossed / self.network
        u = (u - (coupling * v).sum(axis=0)) / self.top
        v = v / self.network - coupling * u
        w = right.w / self.own - share * (_arms(inherited) * v + _arms(common) * u)
        return Latent(u, v, w)

    def row_solutions(self) -> tuple[Array, Array, Array]:
        """(I + B'WB)⁻¹ of every row of B: its parts in the u, v and w that the row loads on."""
        loadings = self.loadings
        common, inherited, fresh = (
            _arms(of) for of in (loadings.common, loadings.inherited, loadings.fresh)
        )
        u = (common - self.crossed / self.network * inherited) / self.own / self.top
        v = (inherited / self.own - self.crossed * u) / self.network
        w = fresh / self.own - fresh * self.left * (inherited * v + common * u)
        return u, v, w


def find_modes(successes: Successes, loadings: Loadings, x: Latent) -> State:
    """Newton's method from x on; the objective is convex.

    Raises
    ------
    FitError
        The modes are not found: parameters are out of all proportion.
    """
    state = State(successes, loadings, x)
    for _ in range(MOST_STEPS):
        step = state.arrow.solve(state.slope)
        decrement = state.slope.dot(step)
        if not np.isfinite(decrement).all():
            break
        length = np.ones_like(decrement)
        if decrement.max() <= TOLERANCE:
            return State(successes, loadings, state.x.moved(step, length))
        slack = 1e-12 * np.abs(state.objective)
        while True:
            following = State(successes, loadings, state.x.moved(step, length))
            fallen = state.objective - following.objective
            poor = ~(fallen >= 1e-4 * length * decrement - slack)
            if not poor.any() or length.min() < SHORTEST:
                break
            length = np.where(poor, length / 2.0, length)
        state = following
    raise FitError("The latent variables of a class were not found. Leave out its network or arm.")


def _arms(values: Array) -> Array:
    return values[:, None, None]
