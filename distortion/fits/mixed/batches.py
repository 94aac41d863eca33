"""The criterion of many responses, each at a θ of its own, at once.

The arithmetic of `elimination`, `system` and `criterion` with a leading axis for the m responses,
where one grouping is eliminated and little remains: K'WK is then a matrix product of all weights
W with the products of pairs of columns of K, formed once. Larger models go response by response.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from distortion.errors import FitError
from distortion.fits.mixed.blocks import diagonal
from distortion.fits.mixed.criterion import Criterion
from distortion.fits.mixed.elimination import Dense
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.types import Array

# Entries of the matrix of column pairs of K: 80 MB.
MOST_PAIRS = 10_000_000


class Evaluations(NamedTuple):
    """m responses, each at a θ of its own.

    value      (m,) criterion, infinite where θ is out of reach
    gradient   (m, len(θ));  beta (m, p);  rss (m,)
    """

    value: Array
    gradient: Array
    beta: Array
    rss: Array


class Many(Protocol):
    """The criterion of m responses."""

    def __call__(self, theta: Array, rows: np.ndarray) -> Evaluations:
        """Evaluate at θ (m', len(θ)) for the responses `rows` (m',)."""


def many(criterion: Criterion, responses: Responses) -> Many:
    """Return the criterion of every response; only the diagonal of their yy is used."""
    elimination, products = criterion.plan.elimination, criterion.products
    if isinstance(elimination, Dense) and len(criterion.plan.eliminated) == 1:
        n_levels, r = products.shapes[criterion.plan.eliminated[0]]
        if n_levels * r * r * len(elimination.border) ** 2 <= MOST_PAIRS:
            return Batch(criterion, responses, elimination)
    return OneByOne(criterion, responses)


@dataclass(frozen=True)
class OneByOne:
    """Any model."""

    criterion: Criterion
    responses: Responses

    def __call__(self, theta: Array, rows: np.ndarray) -> Evaluations:
        """See `Many`."""
        found = unreachable(theta, self.criterion.products.p)
        for i, (row, at) in enumerate(zip(rows, theta, strict=True)):
            try:
                evaluation = self.criterion.for_responses(self.responses.one(row))(at)
            except FitError:
                continue
            found.value[i], found.gradient[i] = evaluation.value, evaluation.gradient
            found.beta[i], found.rss[i] = evaluation.solution.beta[:, 0], evaluation.rss
        return found


@dataclass(frozen=True)
class Batch:
    """A model that leaves a small border."""

    criterion: Criterion
    responses: Responses
    elimination: Dense

    @cached_property
    def pairs(self) -> Array:
        """Products of two columns of K, level by level: (L r r, border²)."""
        r = self.elimination.diag.shape[1]
        split = self.elimination.k.reshape(-1, r, self.elimination.k.shape[1])
        pairs = split[:, :, None, :, None] * split[:, None, :, None, :]
        return np.ascontiguousarray(pairs.reshape(len(split) * r * r, -1))

    @cached_property
    def ze(self) -> Array:
        """Z_e'y, (m, L, r)."""
        ze = self.responses.zy[self.criterion.plan.eliminated[0]].T
        return np.ascontiguousarray(ze).reshape(len(ze), -1, self.elimination.diag.shape[1])

    @cached_property
    def right(self) -> Array:
        """[R X]'y, (m, border)."""
        parts = [*(self.responses.zy[k] for k in self.criterion.plan.rest), self.responses.xy]
        return np.ascontiguousarray(np.vstack(parts).T)

    def scaled(self, square: Array, factors: Sequence[Array]) -> Array:
        """Return S' A S with S = Λ on the groupings of the border, I on X."""
        for _ in range(2):
            square = square.transpose(0, 2, 1).copy()
            for k, where in zip(self.criterion.plan.rest, self.criterion.plan.slices, strict=True):
                square[:, where] = _per_level(factors[k].transpose(0, 2, 1), square[:, where])
        return square

    def unscaled(self, square: Array, factors: Sequence[Array]) -> Array:
        """Return S A S'."""
        return self.scaled(square, [factor.transpose(0, 2, 1) for factor in factors])

    def __call__(self, theta: Array, rows: np.ndarray) -> Evaluations:
        """See `Many`."""
        criterion, plan = self.criterion, self.criterion.plan
        q, nu, reml = plan.q, criterion.nu, criterion.reml
        diag, k = self.elimination.diag, self.elimination.k
        factors = factors_of(criterion.template, theta)
        ze, right = self.ze[rows], self.right[rows]
        m, n_levels, r = ze.shape
        weight, logdet = _inner(factors[plan.eliminated[0]], diag)
        wz = np.einsum("mluv,mlv->mlu", weight, ze)
        border = self.elimination.border - (weight.reshape(m, -1) @ self.pairs).reshape(
            m, len(self.elimination.border), -1
        )
        n = self.scaled(border, factors)
        diagonal(n[:, :q, :q])[:] += 1.0
        try:
            lower = np.asarray(np.linalg.cholesky(n), dtype=np.float64)
        except np.linalg.LinAlgError:  # one of them is out of reach
            return self.halves(theta, rows)
        root = 2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2))
        logdet += root.sum(axis=1) if reml else root[:, :q].sum(axis=1)
        d = self.unscaled(np.asarray(np.linalg.inv(n), dtype=np.float64), factors)
        solved = np.einsum("mij,mj->mi", d, right - wz.reshape(m, -1) @ k)
        rest = ze - (solved @ k.T).reshape(ze.shape)
        b = np.einsum("mluv,mlv->mlu", weight, rest)
        rss = np.diagonal(self.responses.yy)[rows] - (solved * right).sum(axis=1)
        rss -= (b * ze).sum(axis=(1, 2))
        rss = np.where(rss > 0.0, rss, np.nan)
        values = logdet + nu * (1.0 + np.log(2.0 * math.pi * rss / nu))
        values = np.where(np.isnan(rss), -np.inf, values) - criterion.products.log_weights
        if not reml:  # β is fixed in the derivative of log|V|
            d = np.zeros_like(d)
            d[:, :q, :q] = self.unscaled(_leading_inverse(n, q), factors)[:, :q, :q]
        shrink = np.eye(r) - diag @ weight
        outer = (d.reshape(m, -1) @ self.pairs.T).reshape(m, n_levels, r, r)
        lost = shrink @ outer @ shrink.transpose(0, 1, 3, 2)
        traces = {plan.eliminated[0]: (shrink @ diag - lost).sum(axis=1)}
        c = {plan.eliminated[0]: np.einsum("mluv,mlv->mlu", shrink, rest)}
        left = right - b.reshape(m, -1) @ k - solved @ self.elimination.border
        beside = border - border @ d @ border
        for j, where in zip(plan.rest, plan.slices, strict=True):
            levels, width = criterion.products.shapes[j]
            blocks = beside[:, where, where].reshape(m, levels, width, levels, width)
            traces[j] = np.einsum("mlulv->muv", blocks)
            c[j] = left[:, where].reshape(m, levels, width)
        gradients = np.empty_like(theta)
        slopes = {
            j: 2.0 * (traces[j] - (nu / rss)[:, None, None] * np.einsum("mlu,mlv->muv", of, of))
            for j, of in c.items()
        }
        for i, (j, row, column) in enumerate(criterion.template.positions):
            gradients[:, i] = np.einsum("mu,mu->m", slopes[j][:, row], factors[j][:, :, column])
        return Evaluations(values, gradients, solved[:, q:], rss)

    def halves(self, theta: Array, rows: np.ndarray) -> Evaluations:
        """Evaluate in two parts, down to the response whose θ is out of reach."""
        if len(rows) == 1:
            return unreachable(theta, self.criterion.products.p)
        middle = len(rows) // 2
        parts = (self(theta[part], rows[part]) for part in (slice(middle), slice(middle, None)))
        return Evaluations(*map(np.concatenate, zip(*parts, strict=True)))


def factors_of(template: Template, theta: Array) -> list[Array]:
    """Return Λ of every row of θ (m, len(θ)): (m, r, r) per grouping."""
    factors = [np.zeros((len(theta), *free.shape)) for free in template.free]
    for i, (k, row, column) in enumerate(template.positions):
        factors[k][:, row, column] = theta[:, i]
    return factors


def unreachable(theta: Array, p: int) -> Evaluations:
    """Return what stands for θ (m, len(θ)) at which nothing can be evaluated."""
    m = len(theta)
    infinite = np.full(m, np.inf)
    return Evaluations(infinite, np.zeros_like(theta), np.full((m, p), np.nan), infinite.copy())


def _inner(factor: Array, diag: Array) -> tuple[Array, Array]:
    """Return W, (m, L, r, r), and its log-determinants, (m,), for factors (m, r, r)."""
    if factor.shape[1:] == (1, 1):
        variance = factor[:, 0, 0, None] ** 2
        inflated = 1.0 + variance * diag[None, :, 0, 0]
        return (variance / inflated)[:, :, None, None], np.log(inflated).sum(axis=1)
    spread = factor[:, None]
    inside = spread.transpose(0, 1, 3, 2) @ diag @ spread + np.eye(factor.shape[1])
    weight = spread @ np.linalg.inv(inside) @ spread.transpose(0, 1, 3, 2)
    return weight, np.linalg.slogdet(inside)[1].sum(axis=1)


def _per_level(factor: Array, rows: Array) -> Array:
    """Return (I ⊗ Λ) rows of every response: factors (m, r, r), rows (m, L r, columns)."""
    m, _, columns = rows.shape
    r = factor.shape[1]
    if r == 1:
        return np.asarray(factor * rows)
    return np.asarray((factor[:, None] @ rows.reshape(m, -1, r, columns)).reshape(rows.shape))


def _leading_inverse(n: Array, q: int) -> Array:
    inverse = np.zeros_like(n)
    inverse[:, :q, :q] = np.linalg.inv(n[:, :q, :q])
    return inverse
