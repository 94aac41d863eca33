"""Simulated responses as cross-products: all that a refit needs of them, without any rows.

The cross-products of residuals e ~ N(0, σ² W⁻¹) with the columns of [Z X] are normal with
covariance σ² [Z X]'W[Z X], and what is left of e'We beside them is σ² χ². So the time that a draw
takes does not depend on the number of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack

from distortion.fits.mixed.largest import Largest, by_level, dense
from distortion.fits.mixed.products import Products, Responses
from distortion.fits.mixed.types import Array

# A column is a combination of others when this share of its squared length is left beside them.
NEGLIGIBLE = 1e-10


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws cross-products of responses of the rows behind `products`.

    own       (L, r, r) of the largest grouping e: a root of Z_e'Z_e
    used      (L, r) bool: its columns that are not zero
    beside    (L r, q), (L r, p): R and X in the coordinates of that root
    root      (q + p, rank): a root of what [R X]'[R X] has beyond them
    """

    products: Products
    first: int
    own: Array
    used: np.ndarray
    beside: tuple[Any, Array]
    root: Array

    def responses(
        self, rng: np.random.Generator, beta: Array, factors: Sequence[Array], sigma: float, m: int
    ) -> Responses:
        """Draw m responses X β + Z b + e; only the diagonal of their yy is meant.

        Parameters
        ----------
        beta : (p,)
        factors : relative covariance factors Λ, (r, r) per grouping
        """
        products = self.products
        b = [
            sigma * (factor @ rng.standard_normal((n_levels, len(factor), m))).reshape(-1, m)
            for factor, (n_levels, _) in zip(factors, products.shapes, strict=True)
        ]
        random, residual = products.responses_of(b), self.residuals(rng, sigma, m)
        fixed = products.xx @ beta
        crossed = beta @ (random.xy + residual.xy)
        for block, ze in zip(b, residual.zy, strict=True):
            crossed = crossed + (block * ze).sum(axis=0)
        yy = np.diagonal(random.yy) + np.diagonal(residual.yy) + beta @ fixed + 2.0 * crossed
        zy = tuple(
            of_b + of_e + (zx @ beta)[:, None]
            for of_b, of_e, zx in zip(random.zy, residual.zy, products.zx, strict=True)
        )
        return Responses(zy, random.xy + residual.xy + fixed[:, None], np.diag(yy))

    def residuals(self, rng: np.random.Generator, sigma: float, m: int) -> Responses:
        """Draw m vectors of residuals."""
        n_levels, r, _ = self.own.shape
        own = sigma * rng.standard_normal((n_levels, r, m)) * self.used[:, :, None]
        rest = sigma * rng.standard_normal((self.root.shape[1], m))
        flat = own.reshape(-1, m)
        other = np.vstack([part.T @ flat for part in self.beside]) + self.root @ rest
        df = self.products.n - int(self.used.sum()) - len(rest)
        left = sigma**2 * rng.chisquare(df, m) if df > 0 else np.zeros(m)
        zy, start = [], 0
        for k, (count, width) in enumerate(self.products.shapes):
            if k == self.first:
                zy.append((self.own @ own).reshape(-1, m))
            else:
                zy.append(other[start : start + count * width])
                start += count * width
        yy = (flat**2).sum(axis=0) + (rest**2).sum(axis=0) + left
        return Responses(tuple(zy), other[start:], np.diag(yy))


def draws(products: Products) -> Draws:
    """Return what draws responses of the rows behind these cross-products."""
    largest = Largest(products)
    zx = np.vstack([np.zeros((0, products.p)), *(products.zx[k] for k in largest.where)])
    gram = np.block([[largest.gram(), zx], [zx.T, products.xx]])
    values, vectors = np.linalg.eigh(largest.diag)
    used = values > NEGLIGIBLE * np.maximum(values[:, -1:], np.finfo(float).tiny)
    size = np.sqrt(np.where(used, values, 0.0))
    own = vectors * size[:, None, :]
    to_own = np.where(used, 1.0 / np.where(used, size, 1.0), 0.0)[:, :, None] * vectors.transpose(
        0, 2, 1
    )
    r = by_level(to_own) @ largest.beside
    x = by_level(to_own) @ products.zx[largest.first]
    rx = dense(r.T @ x)
    explained = np.block([[dense(r.T @ r), rx], [rx.T, x.T @ x]])
    return Draws(products, largest.first, own, used, (r, x), _root(gram, gram - explained))


def _root(whole: Array, square: Array) -> Array:
    """Return a root (b, rank) of `square`, a part of `whole`, semidefinite up to rounding."""
    size = np.sqrt(np.maximum(np.diagonal(whole), np.finfo(float).tiny))
    scaled = square / np.outer(size, size)
    lower, pivots, rank, _ = lapack.dpstrf(scaled, tol=NEGLIGIBLE, lower=1)
    root = np.zeros((len(size), rank))
    root[pivots - 1] = np.tril(lower)[:, :rank]
    return np.asarray(size[:, None] * root)
