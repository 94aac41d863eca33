"""Which combinations of the columns of X the rows determine, where columns were left out.

A column left out is a combination of others in the rows, x_d = X a. So l'β over all columns is
determined if l_d = l'a, and then it is l'β over the columns kept.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
# Share of l'β that may lie outside of what the rows determine: rounding of X'X.
OUTSIDE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Estimable:
    """Reads rows L over the columns of a model frame as rows over the coefficients of a fit.

    kept       (p,) columns that have a coefficient
    dropped    (d,) columns left out
    combined   (p, d) a, of each column left out
    """

    kept: list[int]
    dropped: list[int]
    combined: Values

    def __call__(self, L: Values) -> Values:
        """Return L (k, p); NaN in rows that are not determined."""
        found = L[:, self.kept].copy()
        if self.dropped:
            off = np.abs(L[:, self.dropped] - found @ self.combined).max(axis=1)
            found[off > OUTSIDE * np.abs(L).max(axis=1)] = np.nan
        return found


def estimable(fit: "Fit") -> Estimable:
    """Return the reader of a fit; its rows are read once more if columns were left out."""
    frame, model = fit.model.frame, fit.model
    place = {name: i for i, name in enumerate(frame.fixed_names)}
    outside = {
        name
        for term, columns in frame.terms
        if term in model.outside_terms
        for name in frame.fixed_names[columns]
    }
    kept = [place[name] for name in fit.names]
    dropped = [i for name, i in place.items() if name not in fit.names and name not in outside]
    if not dropped:
        return Estimable(kept, [], np.zeros((len(kept), 0)))
    squares = np.zeros((len(place), len(place)))
    for rows in frame.chunks():
        squares += rows.X.T @ rows.X
    size = np.sqrt(np.diagonal(squares))
    size[size == 0.0] = 1.0
    scaled = squares / np.outer(size, size)
    combined = np.linalg.lstsq(scaled[np.ix_(kept, kept)], scaled[np.ix_(kept, dropped)])[0]
    return Estimable(kept, dropped, combined * size[dropped] / size[kept, None])
