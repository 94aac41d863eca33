"""What the regressions share: arrays of a frame, collinear columns, a model that predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.results.model import Model, NewLevels, Residuals
from distortion.labels import listed

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]
# R's tolerance for a column that the columns before it explain (lm, dqrdc2).
COLLINEAR: Final = 1e-7
CLEARLY_INDEPENDENT: Final = 1e-6
# Names in a note.
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Arrays:
    """A model frame in memory.

    Attributes
    ----------
    y : (n,) response, without the offset
    X : (n, p) fixed part
    weights : (n,) or None
    """

    y: Values
    X: Values
    weights: Values | None

    def weighted(self) -> "Arrays":
        """The arrays whose ordinary least squares are the weighted ones of these."""
        if self.weights is None:
            return self
        root = np.sqrt(self.weights)
        return Arrays(self.y * root, self.X * root[:, None], None)


def gather(frame: "ModelFrame", columns: Sequence[int] | None = None) -> Arrays:
    """All rows of a frame, with all of its columns or those given."""
    kept = slice(None) if columns is None else list(columns)
    p = len(frame.fixed_names) if columns is None else len(columns)
    y, X = np.empty(frame.n_obs), np.empty((frame.n_obs, p))
    weights = None
    for chunk in frame.chunks():
        rows = slice(chunk.start, chunk.start + len(chunk.y))
        y[rows] = chunk.y if chunk.offset is None else chunk.y - chunk.offset
        X[rows] = chunk.X[:, kept]
        if chunk.weights is not None:
            weights = np.empty(frame.n_obs) if weights is None else weights
            weights[rows] = chunk.weights
    return Arrays(y, X, weights)


def triangle(X: Values, rows: int = 65_536) -> Values:
    """R (p, p) of the QR decomposition of X (n, p), in blocks of rows."""
    R: Values = np.empty((0, X.shape[1]))
    for start in range(0, len(X), rows):
        block = np.vstack([R, X[start : start + rows]])
        R = np.asarray(np.linalg.qr(block, mode="r"))
    return R


def dependent_columns(
    X: Values, names: Sequence[str], noise: Values | None = None, shown: Values | None = None
) -> dict[str, tuple[str, ...]]:
    """Columns of X (n, p) that those before them explain, each with those that it combines.

    Parameters
    ----------
    noise : (p,) length that rounding alone leaves in a column of X
    shown : (n, p) columns of which a combination is told, where X is a transformation of them
    """
    noise = np.zeros(X.shape[1]) if noise is None else noise
    products = X.T @ X
    lengths = np.sqrt(np.diagonal(products))
    if (COLLINEAR * lengths > noise).all():
        smallest = np.linalg.eigvalsh(products / np.outer(lengths, lengths))[0]
        # Products lose half of the digits: what they show as dependent is looked at closely.
        if smallest > CLEARLY_INDEPENDENT:
            return {}
    R = triangle(X)
    return _explained(R, names, noise, R if shown is None else triangle(shown))


def _explained(
    R: Values, names: Sequence[str], noise: Values, shown: Values
) -> dict[str, tuple[str, ...]]:
    """As `dependent_columns`, of R and `shown` (m, p) with the same inner products as theirs."""
    tolerance = COLLINEAR
    basis = np.zeros_like(R)
    kept: list[int] = []
    found: dict[str, tuple[str, ...]] = {}
    for j, name in enumerate(names):
        length = np.linalg.norm(R[:, j])
        used = basis[:, : len(kept)]
        rest = R[:, j] - used @ (used.T @ R[:, j])
        rest -= used @ (used.T @ rest)
        least = max(tolerance, noise[j] / length) if length else 0.0
        if np.linalg.norm(rest) > least * length:
            basis[:, len(kept)] = rest / np.linalg.norm(rest)
            kept.append(j)
            tolerance = least
            continue
        found[name] = _combined(shown, kept, j, names) if shown[:, j].any() else ()
    return found


def unit_columns(X: Values) -> tuple[Values, Values]:
    """X (n, p) with columns of length 1, and their lengths (p,).

    The libraries judge rank by the largest column, so that units would decide what can be fitted.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    lengths[lengths == 0] = 1.0
    return X / lengths, lengths


def dropped_notes(dependent: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A sentence on columns left out as combinations, and one on those that are zero."""
    zero = [name for name, others in dependent.items() if not others]
    combined = [name for name in dependent if name not in zero]
    notes = []
    if len(combined) == 1:
        others = ", ".join(dependent[combined[0]][:SHOWN])
        more = len(dependent[combined[0]]) - SHOWN
        others += f" and {more} more" if more > 0 else ""
        notes.append(f"{combined[0]} was left out, because it is a combination of {others}.")
    elif combined:
        notes.append(
            f"{len(combined):,} columns were left out, because they are combinations of those "
            f"before them: {shortened(combined)}."
        )
    if zero:
        were, are = ("were", "they are") if len(zero) > 1 else ("was", "it is")
        notes.append(f"{shortened(zero)} {were} left out, because {are} zero in every row.")
    return notes


def shortened(names: Sequence[str]) -> str:
    """At most five names, and the count of the rest."""
    return listed(names, SHOWN) if len(names) <= SHOWN else listed(names, SHOWN + 1)


def checked_response(y: Values, frame: "ModelFrame") -> Values:
    """A response (n,) to refit to.

    Raises
    ------
    FitError
        It has another length, is not finite or does not vary.
    """
    if y.shape != (frame.n_obs,):
        raise FitError(f"A refit needs {frame.n_obs:,} values, not {y.shape}.")
    if not (finite := np.isfinite(y)).all():
        raise FitError(
            f"A response for a refit has finite values only; value {np.argmin(finite) + 1} of "
            f"{len(y):,} is {y[np.argmin(finite)]}."
        )
    if (y == y[0]).all():
        raise FitError(
            f"The response of the refit is {y[0]:g} in all {len(y):,} rows: there is nothing to "
            "explain."
        )
    return y


def _combined(R: Values, kept: list[int], j: int, names: Sequence[str]) -> tuple[str, ...]:
    scale = np.linalg.norm(R[:, kept], axis=0)
    weights = np.linalg.lstsq(R[:, kept] / scale, R[:, j] / np.linalg.norm(R[:, j]), rcond=None)[0]
    return tuple(names[k] for k, weight in zip(kept, weights, strict=True) if abs(weight) > 1e-6)


@dataclass(frozen=True)
class LeastSquaresModel(Model):
    """A linear predictor of some columns of a frame.

    Attributes
    ----------
    columns : indices among the frame's columns of those with a coefficient
    coefficients : (p,) of these
    df_tests : degrees of freedom of every test
    """

    label: str
    frame: "ModelFrame"
    columns: tuple[int, ...]
    coefficients: Values
    df_tests: float

    def test_df(self, L: Values) -> float:
        """Degrees of freedom of the residuals or of the clusters, whatever is tested."""
        return self.df_tests

    def predict(
        self, table: Any = None, *, random: bool = True, new_levels: NewLevels = "error"
    ) -> Values:
        """X β and the offset (m,)."""
        if table is not None:
            offset = self.frame.offset(table)
            fitted = self.frame.fixed_matrix(table)[:, list(self.columns)] @ self.coefficients
            return np.asarray(fitted if offset is None else fitted + offset)
        arrays = gather(self.frame, self.columns)
        return self.observed() - (arrays.y - arrays.X @ self.coefficients)

    def residuals(self, kind: Residuals) -> Values:
        """Response minus prediction (n,); Pearson residuals times the root of the weights."""
        if kind not in ("response", "pearson"):
            raise FitError(f"{self.label.capitalize()} has residuals 'response' and 'pearson'.")
        arrays = gather(self.frame, self.columns)
        arrays = arrays.weighted() if kind == "pearson" else arrays
        return np.asarray(arrays.y - arrays.X @ self.coefficients)

    def observed(self) -> Values:
        """The response (n,), offset included."""
        return np.concatenate([chunk.y for chunk in self.frame.chunks()])
