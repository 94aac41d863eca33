"""The rows of a generalised linear mixed model, in memory once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from distortion.fits.laplace.family import Counts
from distortion.fits.mixed.assembly import WELL_CONDITIONED, independent
from distortion.fits.mixed.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """The columns that the arithmetic sees instead of X: X T, which are orthonormal.

    transform   (p, p') T: β = T β̃
    kept        (p,) bool: columns of X that are not collinear with earlier ones
    """

    transform: Array
    kept: np.ndarray

    def coefficients(self, beta: Array) -> Array:
        """Return the kept coefficients of X, (p',) or (p', m), of those of X T."""
        return np.asarray(self.transform[self.kept] @ beta)

    def covariance(self, matrix: Array) -> Array:
        """Return T A T' over the kept columns, (p', p')."""
        rows = self.transform[self.kept]
        return np.asarray(rows @ matrix @ rows.T)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Counts and predictors of n rows.

    x            (n, p) orthonormal columns: X `basis.transform`
    offset       (n,) or None
    shapes       per grouping (L, r)
    codes        per grouping (n,) intp
    covariates   per grouping and covariate (n,), or None where it is one everywhere
    basis        how the coefficients of `x` and those of X depend on each other
    """

    counts: Counts
    x: Array
    offset: Array | None
    shapes: tuple[tuple[int, int], ...]
    codes: tuple[NDArray[np.intp], ...]
    covariates: tuple[tuple[Array | None, ...], ...]
    basis: Basis

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes[0])

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return int(self.x.shape[1])

    @property
    def lengths(self) -> tuple[Array, ...]:
        """Root mean square of each covariate, (r,) per grouping; 1 where all are zero."""
        return tuple(
            np.array([1.0 if c is None else float(np.sqrt(np.mean(c**2))) or 1.0 for c in columns])
            for columns in self.covariates
        )

    def keeping(self, groupings: Sequence[int]) -> "Design":
        """Return the design with these groupings only."""
        return replace(
            self,
            shapes=tuple(self.shapes[k] for k in groupings),
            codes=tuple(self.codes[k] for k in groupings),
            covariates=tuple(self.covariates[k] for k in groupings),
        )

    def rows(self, chosen: np.ndarray, k: int, first: int) -> "Design":
        """Return codes and covariates of some rows, codes of grouping k counted from `first`."""
        codes = [of_rows[chosen] for of_rows in self.codes]
        codes[k] -= first
        covariates = tuple(
            tuple(None if column is None else column[chosen] for column in columns)
            for columns in self.covariates
        )
        return replace(self, codes=tuple(codes), covariates=covariates)

    def fixed(self, beta: Array) -> Array:
        """Return offset + X β, (n,)."""
        eta = self.x @ beta
        if self.offset is not None:
            eta += self.offset
        return eta

    def spread(self, b: Sequence[Array]) -> Array:
        """Return Z b, (n,), of b per grouping (L r,)."""
        total = np.zeros(self.n)
        for (_, r), codes, covariates, block in zip(
            self.shapes, self.codes, self.covariates, b, strict=True
        ):
            for column, values in enumerate(covariates):
                part = block[column::r].take(codes)
                if values is not None:
                    part *= values
                total += part
        return total

    def collect(self, values: Array) -> list[Array]:
        """Return Z' values: per grouping (L r,)."""
        found = []
        for (n_levels, r), codes, covariates in zip(
            self.shapes, self.codes, self.covariates, strict=True
        ):
            sums = np.empty(n_levels * r)
            for column, multiplier in enumerate(covariates):
                part = values if multiplier is None else values * multiplier
                sums[column::r] = by_level(codes, part, n_levels)
            found.append(sums)
        return found


def by_level(codes: np.ndarray, values: Array, n_levels: int) -> Array:
    """Return the sum of values over the rows of every level, (L,)."""
    return np.asarray(np.bincount(codes, values, minlength=n_levels), dtype=np.float64)


def make_design(
    chunks: Iterable[Any], shapes: Sequence[tuple[int, int]], counts: Counts | None = None
) -> Design:
    """Return the design of chunks of rows, with the columns of X made orthonormal.

    Collinear columns are left out; `basis.kept` says which ones are left.

    Parameters
    ----------
    counts : instead of those in the chunks
    """
    parts = list(chunks)

    def joined(values: list[Any]) -> Any:
        return None if values[0] is None else np.concatenate(values).astype(np.float64, copy=False)

    x = np.concatenate([part.X for part in parts])
    if counts is None:
        counts = Counts(*(joined([getattr(part, a) for part in parts]) for a in _COUNTS))
    covariates = []
    for k, (_, r) in enumerate(shapes):
        made = joined([part.covariates[k] for part in parts])
        columns = [None] * r if made is None else list(np.ascontiguousarray(made.T))
        covariates.append(tuple(_plain(column) for column in columns))
    basis = orthonormal(x)
    return Design(
        counts,
        x @ basis.transform,
        joined([part.offset for part in parts]),
        tuple(shapes),
        tuple(
            np.concatenate([part.codes[k] for part in parts]).astype(np.intp)
            for k in range(len(shapes))
        ),
        tuple(covariates),
        basis,
    )


_COUNTS = ("y", "trials", "weights")


def _plain(column: Array | None) -> Array | None:
    return None if column is None or (column == 1.0).all() else column


def orthonormal(x: Array) -> Basis:
    """Return the basis T of X (n, p) in which X T has orthonormal columns."""
    n, p = x.shape
    gram = x.T @ x
    scale = np.sqrt(np.diagonal(gram))
    if p and scale.min() > 0:
        gram /= np.outer(scale, scale)
        if np.linalg.eigvalsh(gram)[0] > WELL_CONDITIONED:
            root = np.linalg.cholesky(gram)
            transform = solve_triangular(root, np.diag(1.0 / scale), lower=True).T
            return Basis(transform, np.ones(p, dtype=bool))
    triangle = cast(Array, np.linalg.qr(x, mode="r")) if n >= p else x
    kept = independent(triangle)
    root = cast(Array, np.linalg.qr(triangle[:, kept], mode="r"))
    transform = np.zeros((p, int(kept.sum())))
    transform[kept] = solve_triangular(root, np.eye(len(root)))
    return Basis(transform, kept)
