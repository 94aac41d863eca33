"""Sandwich covariances of least squares, by statsmodels.

    A = (X'X)⁻¹;  û residuals (n,), h leverages (n,), p columns

covariance   of β̂                                                           tests
nonrobust    σ̂² A                                                           t, n − p df
HC0 … HC3    A X' diag(û²) X A; HC1 × n/(n − p); û²/(1 − h); û²/(1 − h)²       t, n − p df
clustered    A Σ_g s_g s_g' A · G/(G − 1) · (n − 1)/(n − p), s_g = X_g'û_g      t, G − 1 df
two-way      clustered by a + clustered by b − clustered by a:b               t, min(G) − 1 df

MacKinnon & White (1985), J. Econometrics 29; Cameron, Gelbach & Miller (2011), J. Bus. Econ. Stat.
29(2).
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.regressions.clusters import Clustering

Values = NDArray[np.float64]
Covariance = Literal["nonrobust", "HC0", "HC1", "HC2", "HC3"]
NEGLIGIBLE: Final = 1e-12
COVARIANCES: Final = ("nonrobust", "HC0", "HC1", "HC2", "HC3")


def covariance_type(asked: Covariance | None, clustered: bool) -> Covariance:
    """The covariance asked for; HC3 where nothing is.

    Raises
    ------
    FitError
        It is unknown, or asked for together with clusters.
    """
    if asked is not None and clustered:
        raise FitError(f"Give cluster= or covariance={asked!r}, not both.")
    if asked is not None and asked not in COVARIANCES:
        raise FitError(f"{asked!r} is no covariance. Known: {', '.join(COVARIANCES)}.")
    return asked or "HC3"


def robust_covariance(X: Values, A: Values, result: Any, covariance: Covariance) -> Values:
    """Covariance (p, p) of the coefficients of a statsmodels result.

    Raises
    ------
    FitError
        HC2 or HC3 where a row has leverage 1.
    """
    if covariance == "nonrobust":
        return np.asarray(result.cov_params())
    if covariance in ("HC2", "HC3"):
        leverage = np.einsum("ij,ij->i", X @ A, X)
        if (alone := np.flatnonzero(leverage > 1 - 1e-9)).size:
            raise FitError(
                f"{len(alone)} row(s), the first being row {alone[0]} of those used, determine a "
                f"coefficient alone, so that {covariance} is undefined. Drop them, use "
                'fewer terms, or covariance="HC1".'
            )
    return np.asarray(getattr(result, f"cov_{covariance}"))


def clustered_covariance(
    scores: Values, A: Values, ways: Sequence[Clustering]
) -> tuple[Values, list[str]]:
    """CR1 (p, p) of scores x_i û_i (n, p), one- or two-way, by statsmodels."""
    from statsmodels.stats.sandwich_covariance import cov_cluster

    def one_way(codes: NDArray[np.intp]) -> Values:
        return np.asarray(cov_cluster((scores, A), codes.astype(int)))

    if len(ways) == 1:
        return one_way(ways[0].codes), []
    first, second = ways
    both = np.unique(first.codes * second.size + second.codes, return_inverse=True)[1]
    covariance = one_way(first.codes) + one_way(second.codes) - one_way(both)
    return possible(covariance, described(ways, ""), np.sqrt(np.diagonal(A)))


def possible(
    covariance: Values, name: str, scale: Values | None = None
) -> tuple[Values, list[str]]:
    """A covariance (p, p) without negative eigenvalues, and a note where it had some.

    Eigenvalues are those of columns divided by `scale` (p,), so that units do not matter.
    """
    if scale is None:
        scale = np.sqrt(np.abs(np.diagonal(covariance)))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    if values[0] >= -NEGLIGIBLE * values[-1]:
        return covariance, []
    repaired = (vectors * np.maximum(values, 0)) @ vectors.T * np.outer(scale, scale)
    return repaired, [
        f"The covariance of the coefficients ({name}) has negative eigenvalues, which were set to "
        "zero (Cameron, Gelbach & Miller 2011): it is only roughly known."
    ]


def described(ways: Sequence[Clustering], covariance: str) -> str:
    """The covariance in words."""
    return f"clustered by {' and '.join(way.name for way in ways)}" if ways else covariance


def small_sample_note(ways: Sequence[Clustering]) -> str:
    """How clustered errors are corrected for few clusters."""
    smallest = min(way.size for way in ways)
    return (
        "Clustered errors have the factor G/(G − 1) · (n − 1)/(n − p) for G clusters, and t tests "
        f"with {smallest - 1} degrees of freedom, one fewer than there are clusters."
    )
