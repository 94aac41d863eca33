"""Columns of a model matrix: formulaic decides them, numpy fills them.

formulaic materialises one made-up row whose categories are right. From what it reports (which
products of factors span which columns, and whether each categorical factor is coded in full or
with one column fewer) the matrix of any number of rows follows:

    symbol    here                size      meaning
    X         Coding.matrix       (m, p)    model matrix of m rows
    C_f       Coding.contrasts    (L, k)    coding of the L levels of factor f, by (name, reduced)
    x_f       values[f]           (m,)      numeric factor: float64; categorical: level code

The columns of a product of factors are all products of their columns, those of the first factor
varying fastest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.expressions import Atom
from distortion.fits.formulas.terms import Term, spelled
from distortion.frames import to_pandas

Values = NDArray[np.float64]
# Each categorical factor: text of its atom, levels in order, position of the reference level.
Categorical = tuple[str, tuple[str, ...], int]
# First column, and the factors by text and whether they are coded with one column fewer.
Product = tuple[int, tuple[tuple[str, bool], ...]]
# Rows filled at a time: a block of X this tall stays in the cache while its columns are written.
BLOCK = 8192
# The square of this many columns, which least squares needs, is 0.8 GB.
MAX_COLUMNS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """How a right-hand side becomes the columns of a matrix.

    Attributes
    ----------
    names : (p,) of the columns, as formulaic names them: "Intercept", "x", "g[T.b]", "x:g[T.b]"
    terms : name and columns of each term
    atoms : factors that `matrix` needs the values of
    products : first column and factors, as (text, reduced), of each product
    contrasts : (L, k) of each coded factor, by (text, reduced)
    """

    names: tuple[str, ...]
    terms: tuple[tuple[str, slice], ...]
    atoms: tuple[Atom, ...]
    products: tuple[Product, ...]
    contrasts: dict[tuple[str, bool], Values]

    def matrix(self, values: Mapping[str, NDArray[Any]], rows: int) -> Values:
        """Return X (rows, p), C-contiguous, from the values (rows,) of each factor."""
        out = np.empty((rows, len(self.names)))
        for start in range(0, rows, BLOCK):
            part = slice(start, start + BLOCK)
            for first, factors in self.products:
                columns = [self._columns(factor, values, part) for factor in factors]
                for j, parts in enumerate(product(*reversed(columns)), first):
                    _multiply(parts, out[part, j])
        return out

    def _columns(
        self, factor: tuple[str, bool], values: Mapping[str, NDArray[Any]], part: slice
    ) -> list[Values]:
        given = values[factor[0]][part]
        if factor not in self.contrasts:
            return [given]
        return list(self.contrasts[factor].T[:, given])


def _multiply(parts: tuple[Values, ...], out: Values) -> None:
    match parts:
        case ():
            out[:] = 1.0
        case (one,):
            out[:] = one
        case (one, two, *others):
            np.multiply(one, two, out=out)
            for other in others:
                out *= other


@lru_cache(256)
def coding(rhs: tuple[Term, ...], categoricals: tuple[Categorical, ...]) -> Coding:
    """Return the coding of the terms `rhs`; atoms not in `categoricals` are numeric.

    Raises
    ------
    FitError
        If its categories would have too many columns.
    """
    coded = {text: (labels, reference) for text, labels, reference in categoricals}
    _check_width(rhs, {text: len(labels) for text, labels, _ in categoricals})
    atoms = {factor.text: factor for term in rhs for factor in term}
    # Without categories every term is one column: formulaic's milliseconds can be saved.
    spec = _materialised(rhs, atoms, coded) if coded else None
    names: list[str] = []
    found: list[tuple[str, slice]] = []
    products: list[Product] = []
    contrasts: dict[tuple[str, bool], Values] = {}
    for i, term in enumerate(rhs):
        begin = first = len(names)
        scoped: list[tuple[tuple[str, bool], ...]] = [tuple((f.text, False) for f in term)]
        if spec is not None:
            scoped = [
                tuple((s.factor.expr, bool(s.reduced)) for s in scope.factors)
                for scope in spec.structure[i].scoped_terms
            ]
        for factors in scoped:
            products.append((first, factors))
            width = 1
            for factor in factors:
                if factor[0] in coded:
                    contrasts[factor] = _coding_matrix(spec, *factor)
                    width *= contrasts[factor].shape[1]
            first += width
        names += [spelled(term)] if spec is None else spec.structure[i].columns
        found.append((spelled(term), slice(begin, len(names))))
    return Coding(tuple(names), tuple(found), tuple(atoms.values()), tuple(products), contrasts)


def _check_width(rhs: tuple[Term, ...], sizes: Mapping[str, int]) -> None:
    widths = {term: prod(sizes.get(factor.text, 1) for factor in term) for term in rhs}
    if (total := sum(widths.values())) > MAX_COLUMNS:
        widest = max(widths, key=widths.__getitem__)
        raise FitError(
            f"The formula would have {total:,} columns, {widths[widest]:,} of them for "
            f"{spelled(widest)}, and {MAX_COLUMNS:,} is the limit. Leave out interactions, or use "
            "categories with many levels as grouping factors: (1 | g)."
        )


def _materialised(
    rhs: tuple[Term, ...], atoms: Mapping[str, Atom], coded: Mapping[str, tuple[Any, ...]]
) -> Any:
    """Return formulaic's `ModelSpec` of one row of ones and first levels.

    Factors are looked up by their text, so that formulaic evaluates nothing.
    """
    from formulaic import Formula
    from formulaic.parser.types import Factor as FormulaicFactor
    from formulaic.parser.types import Term as FormulaicTerm
    from formulaic.transforms import C

    row = pl.DataFrame({"": [1.0], **{text: [1.0] for text in atoms if text not in coded}})
    context = {
        text: C(_one_row(coded[text][0]), contrasts=_contrast(factor, *coded[text]))
        for text, factor in atoms.items()
        if text in coded
    }
    formula = Formula(
        [
            FormulaicTerm(
                [FormulaicFactor(factor.text, eval_method="lookup") for factor in term]
                or [FormulaicFactor("1", eval_method="literal")]
            )
            for term in rhs
        ]
    )
    return formula.get_model_matrix(
        to_pandas(row), context=context, output="numpy", na_action="ignore"
    ).model_spec


def _coding_matrix(spec: Any, text: str, reduced: bool) -> Values:
    state = spec.encoder_state[text][1]["contrasts"]
    return np.ascontiguousarray(state.get_coding_matrix(reduced_rank=reduced), dtype=np.float64)


def _one_row(labels: tuple[str, ...]) -> Any:
    return to_pandas(pl.DataFrame({"level": labels[:1]}), {"level": labels})["level"]


def _contrast(factor: Atom, labels: tuple[str, ...], reference: int) -> Any:
    from formulaic.transforms.contrasts import HelmertContrasts, SumContrasts, TreatmentContrasts

    name, _ = factor.contrast
    if name == "Treatment":
        return TreatmentContrasts(base=labels[reference])
    return SumContrasts() if name == "Sum" else HelmertContrasts()
