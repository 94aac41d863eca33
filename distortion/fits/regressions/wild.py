"""Wild cluster bootstrap of a linear regression: arrays in, arrays out.

    y = X β + u, clusters g = 1..G;  A = (X'X)⁻¹;  null hypothesis l'β = c
    restricted residuals  ũ = û + δ X A l,  δ = (l'β̂ − c) / l'A l
    bootstrap errors      u*_i = v_g ũ_i,  v_g a weight of the cluster with mean 0, variance 1

symbol     name here  size     meaning
S0, S1     S0, S1     (G, p)   Σ x_i û_i and Σ x_i x_i'A l over i in g; the scores are S0 + δ S1
a          a0, a1     (G,)     S0 A l and S1 A l
V          V          (G, m)   weights of m draws
t*²        –          (m,)     (a'V)² / (c Σ_g W_g²), W = diag(a) V − S1 A S'V

Cameron, Gelbach & Miller (2008), Rev. Econ. Stat. 90(3): null imposed, t statistics. Everything but
V is computed once (Roodman et al. 2019, Stata J. 19(1)), and t* is a ratio of polynomials in δ, so
that an interval costs a few evaluations of (m,) arrays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
WildWeights = Literal["rademacher", "webb"]
POINTS: Final[dict[WildWeights, Values]] = {
    "rademacher": np.array([1.0, -1.0]),
    "webb": np.sqrt([0.5, 1.0, 1.5, 0.5, 1.0, 1.5]) * [1, 1, 1, -1, -1, -1],
}
BLOCK: Final = 4_000_000
# |t*| counts as reaching |t| in spite of rounding; exact ties are common with few clusters.
TIE: Final = 1e-9
FARTHEST: Final = 2.0**20


@dataclass(frozen=True, slots=True)
class Scores:
    """What the bootstrap of one hypothesis needs of the data.

    Attributes
    ----------
    estimate : l'β̂
    h : l'A l
    S0, S1 : (G, p) scores by cluster; a0, a1 (G,) their products with A l
    B : (G, p) S1 A
    """

    estimate: float
    h: float
    S0: Values
    S1: Values
    a0: Values
    a1: Values
    B: Values


@dataclass(frozen=True, slots=True)
class Draws:
    """Numerators and squared denominators (m,) of t* as polynomials in δ, without c."""

    N0: Values
    N1: Values
    Q00: Values
    Q01: Values
    Q11: Values
    enumerated: bool


def scores(
    X: Values,
    residuals: Values,
    codes: Codes,
    n_clusters: int,
    A: Values,
    beta: Values,
    row: Values,
) -> Scores:
    """Sum over the rows of X (n, p) by cluster codes (n,); `row` (p,) is l."""
    direction = A @ row
    S0 = sums_by_code(X, residuals, codes, n_clusters)
    S1 = sums_by_code(X, X @ direction, codes, n_clusters)
    h = float(row @ direction)
    return Scores(float(row @ beta), h, S0, S1, S0 @ direction, S1 @ direction, S1 @ A)


def sums_by_code(X: Values, factor: Values, codes: Codes, n_clusters: int) -> Values:
    """Σ x_i factor_i over the rows of each code: (G, p)."""
    columns = [np.bincount(codes, column * factor, n_clusters) for column in X.T]
    return np.stack(columns, axis=1)


def n_enumerated(n_clusters: int, weights: WildWeights) -> int:
    """Number of weight vectors that differ in more than their sign, which |t*| does not see."""
    return int(len(POINTS[weights]) ** n_clusters // 2)


def enumerations(n_clusters: int, weights: WildWeights) -> Values:
    """All weight vectors (G, m) up to their sign."""
    points = POINTS[weights]
    positive = points[points > 0]
    rest = product(points, repeat=n_clusters - 1)
    return np.array([(first, *others) for others in rest for first in positive]).T


def draw(found: Scores, weights: WildWeights, n: int, rng: np.random.Generator | None) -> Draws:
    """Statistics of all weight vectors where they are at most `n`, else of `n` random ones."""
    n_clusters = len(found.a0)
    enumerated = n_enumerated(n_clusters, weights) <= n
    parts = [_statistics(found, V) for V in _vectors(n_clusters, weights, n, rng, enumerated)]
    N0, N1, Q00, Q01, Q11 = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Draws(N0, N1, Q00, Q01, Q11, enumerated)


def _vectors(
    n_clusters: int,
    weights: WildWeights,
    n: int,
    rng: np.random.Generator | None,
    enumerated: bool,
) -> Iterator[Values]:
    if enumerated:
        yield enumerations(n_clusters, weights)
        return
    if rng is None:
        raise ValueError("random weights need a generator")
    size = max(1, BLOCK // n_clusters)
    for start in range(0, n, size):
        yield POINTS[weights][
            rng.integers(len(POINTS[weights]), size=(min(size, n - start), n_clusters))
        ].T


def _statistics(found: Scores, V: Values) -> tuple[Values, ...]:
    W0 = found.a0[:, None] * V - found.B @ (found.S0.T @ V)
    W1 = found.a1[:, None] * V - found.B @ (found.S1.T @ V)
    sums = (np.einsum("gm,gm->m", a, b) for a, b in ((W0, W0), (W0, W1), (W1, W1)))
    return (found.a0 @ V, found.a1 @ V, *sums)


def p_value(found: Scores, drawn: Draws, null: float) -> float:
    """Share of |t*| that reach |t|; random draws count the sample itself as one of them."""
    delta = (found.estimate - null) / found.h
    squares = drawn.Q00 + 2 * delta * drawn.Q01 + delta**2 * drawn.Q11
    numerator = (drawn.N0 + delta * drawn.N1) ** 2 * np.sum(found.a0**2)
    reached = int((numerator >= (1 - TIE) * (found.h * delta) ** 2 * squares).sum())
    m = len(squares)
    return reached / m if drawn.enumerated else (1 + reached) / (1 + m)


def interval(found: Scores, drawn: Draws, level: float) -> tuple[float, float]:
    """The null values that the test at 1 − `level` does not reject; infinite where it never does.

    Each bound is where p first falls below 1 − level, going outwards from the estimate.
    """
    step = float(np.sqrt(np.sum(found.a0**2)))

    def above(distance: float) -> bool:
        return p_value(found, drawn, found.estimate + distance) < 1 - level

    def below(distance: float) -> bool:
        return above(-distance)

    low, high = _boundary(below, step), _boundary(above, step)
    return found.estimate - low, found.estimate + high


def _boundary(rejected: Callable[[float], bool], step: float) -> float:
    """The first distance rejected, found by doubling and halving; infinite beyond FARTHEST."""
    high = step
    while not rejected(high):
        high *= 2
        if high > FARTHEST * step:
            return np.inf
    low = high / 2 if high > step else 0.0
    while high - low > 1e-7 * step:
        middle = (low + high) / 2
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return high
