"""Type III tests: one F test per term of the fixed part.

A term has categorical factors F and numeric ones N. Its hypothesis concerns the coefficient of the
product of N, a function of the cells of all factors: averaged with equal weights over the factors
outside F, and centred over each factor in F, it is zero. This is what sum-to-zero coding tests by
the term's columns alone, whatever coding was used for the fit.
"""

from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.fits.formulas.coding import Coding
from distortion.fits.results.contrasts import f_test

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
NEGLIGIBLE: Final = 1e-12


def type_three(fit: "Fit") -> pl.DataFrame:
    """Term, df_num, df_den, statistic and p_value of every term; see `Fit.anova`."""
    coding = fit.model.frame.fixed
    place = {name: i for i, name in enumerate(fit.names)}
    kept = [j for j, name in enumerate(coding.names) if name in place]
    order = [place[coding.names[j]] for j in kept]
    rows = []
    for name, columns in coding.terms:
        if name == "Intercept" or name in fit.model.outside_terms:
            continue
        cells = hypothesis(coding, columns)
        L = np.zeros((len(cells), len(fit.names)))
        L[:, order] = cells[:, kept]
        L = L[np.linalg.norm(L, axis=1) > NEGLIGIBLE]
        own = set(range(columns.start, columns.stop)) & set(kept)
        rows.append(f_test(fit, name, L, np.zeros(len(L))) if own and len(L) else untested(name))
    return pl.concat(rows) if rows else untested("").clear()


def untested(term: str) -> pl.DataFrame:
    """The row of a term whose columns were all left out."""
    missing = {name: [np.nan] for name in ("df_den", "statistic", "p_value")}
    return pl.DataFrame({"term": [term], "df_num": [0.0], **missing})


def hypothesis(coding: Coding, columns: slice) -> Values:
    """L (cells, p) of the term with these columns; its rows are dependent."""
    own = [f for first, f in coding.products if columns.start <= first < columns.stop]
    names = {text for factors in own for text, _ in factors}
    categorical = {text for text, _ in coding.contrasts}
    inside, numeric = sorted(names & categorical), names - categorical
    sizes = {text: len(matrix) for (text, _), matrix in coding.contrasts.items()}
    L = np.zeros((int(np.prod([sizes[text] for text in inside])), len(coding.names)))
    for first, factors in coding.products:
        texts = {text for text, _ in factors}
        if texts - categorical == numeric and set(inside) <= texts:
            options = [_parts(coding, factor, inside) for factor in reversed(factors)]
            for j, parts in enumerate(product(*options), first):
                column = dict(parts)
                cell: NDArray[Any] = np.ones(1)
                for text in [*inside, *(texts - set(inside))]:
                    cell = np.kron(cell, column[text])
                L[:, j] = cell
    return L


def _parts(coding: Coding, factor: tuple[str, bool], inside: list[str]) -> list[tuple[str, Values]]:
    """Each column of a factor: centred over its levels if the term has it, else averaged."""
    if factor not in coding.contrasts:
        return [(factor[0], np.ones(1))]
    means = coding.contrasts[factor].mean(axis=0)
    if factor[0] not in inside:
        return [(factor[0], np.array([mean])) for mean in means]
    return [(factor[0], column) for column in (coding.contrasts[factor] - means).T]
