"""Cross-products of rows: all that a linear mixed model needs of its data.

Rows arrive in chunks and leave nothing behind but sums, so memory does not grow with rows.
Columns of Z_k stand level by level: column `level * r + covariate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from distortion.fits.mixed.types import Array

# Up to this many entries a cross-product of two groupings is summed in a dense array, and stays
# one when at least this share of it is filled.
DENSE_ENTRIES = 1_000_000
DENSE_SHARE = 0.25


class Rows(Protocol):
    """Some m rows of a model with p fixed effects: what `ModelFrame.chunks` yields."""

    @property
    def y(self) -> Array:
        """Response, (m,)."""

    @property
    def X(self) -> Array:
        """Fixed effects, (m, p)."""

    @property
    def codes(self) -> tuple[np.ndarray, ...]:
        """Level of each row, (m,), per grouping."""

    @property
    def covariates(self) -> tuple[Array | None, ...]:
        """Covariates of the random coefficients, (m, r), per grouping; None for a single 1."""

    @property
    def weights(self) -> Array | None:
        """Prior weights, (m,)."""

    @property
    def offset(self) -> Array | None:
        """Known part of the response, (m,)."""


@dataclass(frozen=True, slots=True)
class Responses:
    """Cross-products of m responses with everything.

    zy   per grouping (L r, m);  xy (p, m);  yy (m, m)
    """

    zy: tuple[Array, ...]
    xy: Array
    yy: Array

    def one(self, column: int) -> "Responses":
        """Return a single response."""
        take = slice(column, column + 1)
        return Responses(tuple(z[:, take] for z in self.zy), self.xy[:, take], self.yy[take, take])

    def __add__(self, other: "Responses") -> "Responses":
        zy = tuple(a + b for a, b in zip(self.zy, other.zy, strict=True))
        return Responses(zy, self.xy + other.xy, self.yy + other.yy)


@dataclass(frozen=True)
class Products:
    """Cross-products of the columns of Z and X.

    shapes   per grouping (L, r)
    diag     per grouping (L, r, r): Z_k'Z_k, block diagonal
    cross    for j < k: Z_j'Z_k, (L_j r_j, L_k r_k), an array or sparse
    zx       per grouping (L r, p);  xx (p, p)
    n        rows;  log_weights  Σ log w
    """

    n: int
    shapes: tuple[tuple[int, int], ...]
    diag: tuple[Array, ...]
    cross: dict[tuple[int, int], Any]
    zx: tuple[Array, ...]
    xx: Array
    log_weights: float

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.xx)

    @cached_property
    def lengths(self) -> tuple[Array, ...]:
        """Root mean square of every covariate over the rows, (r,) per grouping; 1 where it is 0.

        The natural scale of θ: a coefficient with relative SD 1 / length adds as much to a typical
        row as the residual does.
        """
        squares = [np.einsum("luu->u", diag) / self.n for diag in self.diag]
        return tuple(np.sqrt(np.where(square > 0, square, 1.0)) for square in squares)

    def with_fixed(self, transform: Array) -> "Products":
        """Return the products of X T instead of X; `transform` T is (p, p')."""
        zx = tuple(z @ transform for z in self.zx)
        return replace(self, zx=zx, xx=transform.T @ self.xx @ transform)

    def times(self, b: Sequence[Array]) -> list[Array]:
        """Return Z'Z b: per grouping (L r, m), of b given in the same form."""
        out = []
        for (n_levels, r), diag, block in zip(self.shapes, self.diag, b, strict=True):
            if r == 1:
                out.append(diag[:, 0] * block)
            else:
                product = diag @ block.reshape(n_levels, r, -1)
                out.append(product.reshape(n_levels * r, -1))
        for (j, k), cross in self.cross.items():
            out[j] = out[j] + cross @ b[k]
            out[k] = out[k] + cross.T @ b[j]
        return out

    def responses_of(self, b: Sequence[Array]) -> Responses:
        """Return the responses Z b, (n, m), without touching rows."""
        zy = tuple(self.times(b))
        xy = np.zeros((self.p, b[0].shape[1]))
        yy = np.zeros((b[0].shape[1], b[0].shape[1]))
        for zx, block, product in zip(self.zx, b, zy, strict=True):
            xy += zx.T @ block
            yy += block.T @ product
        return Responses(zy, xy, yy)

    @property
    def x_as_responses(self) -> Responses:
        """The columns of X as responses."""
        return Responses(self.zx, self.xx, self.xx)

    def residual(self, responses: Responses, b: Sequence[Array], beta: Array) -> list[Array]:
        """Return Z'(y − X β − Z b): per grouping (L r, m)."""
        fitted = self.times(b)
        return [
            zy - zx @ beta - zb for zy, zx, zb in zip(responses.zy, self.zx, fitted, strict=True)
        ]


def responses(
    rows: Rows, shapes: Sequence[tuple[int, int]], y: Array, transform: Array, center: Array
) -> Responses:
    """Return the cross-products of responses y (n, m) of some rows with Z and X T.

    Offset and X `center` are taken from y first.
    """
    shift = rows.X @ center if rows.offset is None else rows.X @ center + rows.offset
    y = y - shift[:, None]
    weighted = y if rows.weights is None else y * rows.weights[:, None]
    zy = []
    for k, (n_levels, r) in enumerate(shapes):
        block = np.empty((n_levels * r, y.shape[1]))
        for u in range(r):
            block[u::r] = _indicator(rows.codes[k], _column(rows, k, u), n_levels) @ weighted
        zy.append(block)
    return Responses(tuple(zy), transform.T @ (rows.X.T @ weighted), y.T @ weighted)


class Accumulator:
    """Sums the cross-products of chunks of rows."""

    def __init__(self, shapes: Sequence[tuple[int, int]], p: int) -> None:
        self.shapes = tuple(shapes)
        self.n, self.p, self.log_weights = 0, p, 0.0
        self.diag = [np.zeros((n_levels, r, r)) for n_levels, r in shapes]
        self.zx = [np.zeros((n_levels * r, p)) for n_levels, r in shapes]
        self.zy = [np.zeros(n_levels * r) for n_levels, r in shapes]
        self.xx, self.xy, self.yy = np.zeros((p, p)), np.zeros(p), 0.0
        self.cross: dict[tuple[int, int], Any] = {}

    def add(self, rows: Rows, transform: Array | None = None, center: Array | None = None) -> None:
        """Add rows; with X T in place of X and y − X `center` in place of y where given."""
        y = rows.y if rows.offset is None else rows.y - rows.offset
        x = rows.X
        if center is not None:
            y = y - x @ center
        if transform is not None:
            x = x @ transform
        wx, wy = x, y
        if rows.weights is not None:
            wx, wy = x * rows.weights[:, None], y * rows.weights
            self.log_weights += float(np.log(rows.weights).sum())
        self.n += len(y)
        self.xx += x.T @ wx
        self.xy += x.T @ wy
        self.yy += float(y @ wy)
        for k, codes in enumerate(rows.codes):
            self._add_grouping(k, codes, rows, wx, wy)
        for j, k in combinations(range(len(self.shapes)), 2):
            self._add_cross(j, k, rows)

    def finish(self) -> tuple[Products, Responses]:
        """Return the products of Z and X, and those of y."""
        cross = {key: _packed(value) for key, value in self.cross.items()}
        products = Products(
            self.n, self.shapes, tuple(self.diag), cross, tuple(self.zx), self.xx, self.log_weights
        )
        zy = tuple(z[:, None] for z in self.zy)
        return products, Responses(zy, self.xy[:, None], np.array([[self.yy]]))

    def _add_grouping(self, k: int, codes: np.ndarray, rows: Rows, wx: Array, wy: Array) -> None:
        n_levels, r = self.shapes[k]
        for u in range(r):
            column = _column(rows, k, u)
            self.zx[k][u::r] += _indicator(codes, column, n_levels) @ wx
            self.zy[k][u::r] += np.bincount(codes, _times(column, wy), minlength=n_levels)
            for v in range(u + 1):
                values = _times(column, _column(rows, k, v), rows.weights)
                counted = np.bincount(codes, values, minlength=n_levels)
                self.diag[k][:, u, v] += counted
                if v < u:
                    self.diag[k][:, v, u] += counted

    def _add_cross(self, j: int, k: int, rows: Rows) -> None:
        (n_j, r_j), (n_k, r_k) = self.shapes[j], self.shapes[k]
        shape = (n_j * r_j, n_k * r_k)
        dense = shape[0] * shape[1] <= DENSE_ENTRIES
        for u in range(r_j):
            for v in range(r_k):
                values = _times(_column(rows, j, u), _column(rows, k, v), rows.weights)
                row = rows.codes[j].astype(np.int64) * r_j + u
                column = rows.codes[k].astype(np.int64) * r_k + v
                if dense:
                    row *= shape[1]
                    row += column
                    counted = np.bincount(row, values, minlength=shape[0] * shape[1])
                    new: Any = counted.reshape(shape).astype(float, copy=False)
                else:
                    filled = np.ones(len(row)) if values is None else values
                    new = sparse.csr_array((filled, (row, column)), shape=shape)
                previous = self.cross.get((j, k))
                self.cross[j, k] = new if previous is None else previous + new


def _packed(cross: Any) -> Any:
    if isinstance(cross, np.ndarray) and np.count_nonzero(cross) >= DENSE_SHARE * cross.size:
        return cross
    return sparse.csr_array(cross)


def _column(rows: Rows, k: int, u: int) -> Array | None:
    covariates = rows.covariates[k]
    return None if covariates is None else covariates[:, u]


def _times(*columns: Array | None) -> Array | None:
    present = [column for column in columns if column is not None]
    if not present:
        return None
    product = present[0]
    for column in present[1:]:
        product = product * column
    return product


def _indicator(codes: np.ndarray, values: Array | None, n_levels: int) -> Any:
    """Z' of one covariate, (L, n): one entry per row of the data."""
    filled = np.ones(len(codes)) if values is None else np.ascontiguousarray(values)
    ends = np.arange(len(codes) + 1, dtype=codes.dtype)
    return sparse.csc_array((filled, codes, ends), shape=(n_levels, len(codes)))
