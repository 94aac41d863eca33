"""From chunks of rows to cross-products that lose no digits.

One pass sums X, Z and y as they are. If X is well conditioned, X and y are then replaced, in the
sums, by X T with orthonormal columns and by y − X β_OLS. If it is not, T comes from an exact QR
factorisation of the rows, collinear columns are left out, and a second pass sums the new columns.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.linalg import lapack

from distortion.errors import FitError
from distortion.fits.mixed.products import Accumulator, Products, Responses, Rows, responses
from distortion.fits.mixed.types import Array

Source = Callable[[], Iterable[Rows]]

# Smallest eigenvalue of X'X with unit diagonal from which sums over rows keep ten digits.
WELL_CONDITIONED = 1e-6
# y'y may exceed the residual sum of squares by this much before a second pass.
MOST_EXPLAINED = 1e6
# Typical size of a column beyond which, or below one over which, squares lose digits.
LARGEST = 1e75
# A column is collinear when this share of its length is left beside the columns before it, as
# in R's dqrdc2 and lme4.
COLLINEAR = 1e-7


@dataclass(frozen=True, slots=True)
class Basis:
    """The columns that the arithmetic sees instead of X.

    transform   (p, p') T: β = center + T β̃ for the columns X T and the response y − X center
    center      (p,)
    kept        (p,) bool: columns of X that are not collinear with earlier ones
    total       y'y before the fixed effects were taken from y
    """

    transform: Array
    center: Array
    kept: np.ndarray
    total: float

    @property
    def logdet(self) -> float:
        """Log-determinant of T'T: log|T'X'V⁻¹X T| − log|X'V⁻¹X| over the kept columns."""
        return 2.0 * float(np.linalg.slogdet(self.transform[self.kept])[1])

    def coefficients(self, beta: Array) -> Array:
        """Return the kept coefficients of X, (p', m), of those of X T."""
        return np.asarray(self.center[self.kept, None] + self.transform[self.kept] @ beta)

    def covariance(self, relative: Array) -> Array:
        """Return T A T' over the kept columns, (p', p')."""
        rows = self.transform[self.kept]
        return np.asarray(rows @ relative @ rows.T)


def assemble(
    source: Source, shapes: Sequence[tuple[int, int]], names: Sequence[str]
) -> tuple[Products, Responses, Basis]:
    """Return the cross-products of all rows, and the columns that they are of.

    Raises
    ------
    FitError
        A column, `names` of X or the response, is so large or small that squares lose it.
    """
    p = len(names)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        products, of_y = _sum(source, shapes, p)
    _check_sizes(source, products, of_y, names)
    scale = np.sqrt(np.diagonal(products.xx))
    if p and scale.min() > 0:
        scaled = products.xx / np.outer(scale, scale)
        if np.linalg.eigvalsh(scaled)[0] > WELL_CONDITIONED:
            root = np.linalg.cholesky(scaled)
            transform = lapack.dtrtrs(root, np.diag(1.0 / scale), lower=1)[0].T
            center = transform @ (transform.T @ of_y.xy[:, 0])
            rss = float(of_y.yy[0, 0] - center @ of_y.xy[:, 0])
            if of_y.yy[0, 0] <= MOST_EXPLAINED * rss:
                basis = Basis(transform, center, np.ones(p, dtype=bool), of_y.yy.item())
                return products.with_fixed(transform), _centred(products, of_y, basis), basis
    basis = _exact(source, p)
    return *_sum(source, shapes, p, basis), basis


def responses_of(source: Source, products: Products, basis: Basis, y: Array) -> Responses:
    """Return the cross-products of other responses, (n, m), of the same rows."""
    total: Responses | None = None
    start = 0
    for rows in source():
        part = y[start : start + len(rows.y)]
        start += len(part)
        new = responses(rows, products.shapes, part, basis.transform, basis.center)
        total = new if total is None else total + new
    assert total is not None
    return total


def _check_sizes(source: Source, products: Products, of_y: Responses, names: Sequence[str]) -> None:
    squares = [*zip(names, np.diagonal(products.xx), strict=True), ("the response", of_y.yy.item())]
    squares += [("a random coefficient's covariate", float(d.sum())) for d in products.diag]
    vanished = any(total == 0 for _, total in squares) and any(
        bool(((np.abs(values) < 1.0 / LARGEST) & (values != 0)).any())
        for rows in source()
        for values in (rows.X, rows.y)
    )
    for name, total in squares:
        size = np.sqrt(total / products.n)
        if not size < LARGEST or 0 < size < 1.0 / LARGEST or (size == 0 and vanished):
            much = f"about {size:.0e}" if 0 < size < np.inf else "too large or small to be squared"
            raise FitError(
                f"The values of {name} are {much}: sums of squares lose them. Divide the column by "
                f"a power of ten and fit again."
            )


def _sum(
    source: Source, shapes: Sequence[tuple[int, int]], p: int, basis: Basis | None = None
) -> tuple[Products, Responses]:
    columns = p if basis is None else basis.transform.shape[1]
    accumulator = Accumulator(shapes, columns)
    for rows in source():
        if basis is None:
            accumulator.add(rows)
        else:
            accumulator.add(rows, basis.transform, basis.center)
    return accumulator.finish()


def _centred(products: Products, of_y: Responses, basis: Basis) -> Responses:
    center = basis.center[:, None]
    zy = tuple(zy - zx @ center for zy, zx in zip(of_y.zy, products.zx, strict=True))
    yy = of_y.yy - center.T @ of_y.xy
    return Responses(zy, np.zeros((basis.transform.shape[1], 1)), yy)


def _exact(source: Source, p: int) -> Basis:
    """Factorise X by rows, leave out collinear columns, and solve least squares for y."""
    triangle = np.zeros((0, p + 1))
    for rows in source():
        root = np.ones(len(rows.y)) if rows.weights is None else np.sqrt(rows.weights)
        y = rows.y if rows.offset is None else rows.y - rows.offset
        block = np.column_stack([rows.X, y]) * root[:, None]
        triangle = cast(Array, np.linalg.qr(np.vstack([triangle, block]), mode="r"))
    kept = independent(triangle[:, :p])
    orthogonal, root = np.linalg.qr(triangle[:, :p][:, kept])
    transform = np.zeros((p, int(kept.sum())))
    transform[kept] = lapack.dtrtri(root)[0]
    center = transform @ (orthogonal.T @ triangle[:, p])
    return Basis(transform, center, kept, float(triangle[:, p] @ triangle[:, p]))


def independent(x: Array) -> np.ndarray:
    """Return which columns of x (n, p) are not combinations of those before them, (p,) bool."""
    kept = np.zeros(x.shape[1], dtype=bool)
    basis = np.zeros((len(x), 0))
    for column in range(x.shape[1]):
        values = x[:, column]
        length = np.linalg.norm(values)
        rest = values
        for _ in range(2):  # once more removes what rounding left
            rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > COLLINEAR * length:
            kept[column] = True
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return kept
