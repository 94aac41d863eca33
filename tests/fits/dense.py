"""Linear mixed models by brute force: V as an (n, n) matrix, straight from the textbook."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dense:
    """What a dense fit at a given θ gives."""

    criterion: float
    beta: np.ndarray
    vcov: np.ndarray
    sigma: float
    v: np.ndarray
    b: list[np.ndarray]


@dataclass(frozen=True)
class Rows:
    """Rows as `ModelFrame.chunks` yields them."""

    y: np.ndarray
    X: np.ndarray
    codes: tuple
    covariates: tuple
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None

    def part(self, rows):
        def take(values):
            return None if values is None else values[rows]

        return Rows(
            self.y[rows],
            self.X[rows],
            tuple(take(c) for c in self.codes),
            tuple(take(c) for c in self.covariates),
            take(self.weights),
            take(self.offset),
        )


def random_columns(codes, covariates, n_levels):
    """Z of one grouping, (n, L r), level by level."""
    values = np.ones((len(codes), 1)) if covariates is None else covariates
    r = values.shape[1]
    z = np.zeros((len(codes), n_levels * r))
    for u in range(r):
        z[np.arange(len(codes)), codes * r + u] = values[:, u]
    return z


def dense_fit(rows, shapes, factors, reml):
    """−2 log L profiled over β and σ, with everything that goes with it."""
    n, p = rows.X.shape
    w = np.ones(n) if rows.weights is None else rows.weights
    v = np.diag(1.0 / w)
    zs = []
    for codes, covariates, (n_levels, _), factor in zip(
        rows.codes, rows.covariates, shapes, factors, strict=True
    ):
        z = random_columns(codes, covariates, n_levels)
        zs.append(z)
        v = v + z @ np.kron(np.eye(n_levels), factor @ factor.T) @ z.T
    y = rows.y if rows.offset is None else rows.y - rows.offset
    inverse = np.linalg.inv(v)
    xvx = rows.X.T @ inverse @ rows.X
    beta = np.linalg.solve(xvx, rows.X.T @ inverse @ y)
    residual = y - rows.X @ beta
    rss = residual @ inverse @ residual
    nu = n - p if reml else n
    criterion = np.linalg.slogdet(v)[1] + nu * (1 + np.log(2 * np.pi * rss / nu))
    if reml:
        criterion += np.linalg.slogdet(xvx)[1]
    b = [
        np.kron(np.eye(shape[0]), factor @ factor.T) @ z.T @ inverse @ residual
        for z, shape, factor in zip(zs, shapes, factors, strict=True)
    ]
    sigma = float(np.sqrt(rss / nu))
    return Dense(float(criterion), beta, sigma**2 * np.linalg.inv(xvx), sigma, v, b)
