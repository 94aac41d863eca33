"""Grouping factors: the levels that random coefficients belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.coding import Coding
from distortion.fits.formulas.formula import RandomTerm

TEXTS = (pl.String, pl.Categorical, pl.Enum)
RESIDUAL = "Residual"  # names the last row of `Fit.variances`


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """One grouping factor with L levels, and the r random coefficients that each level has.

    Attributes
    ----------
    name : columns joined by ":", such as "network" or "dept:service"
    levels : (L, columns) sorted; row i is the level with code i
    covariates : (r,) names of the random coefficients, "Intercept", "x", …
    free : (r, r) lower triangle; which entries of the relative covariance factor are parameters.
        Those between uncorrelated terms on the same group are not.
    terms : the random terms merged into it
    """

    name: str
    levels: pl.DataFrame
    covariates: tuple[str, ...]
    free: NDArray[np.bool_]
    terms: tuple[RandomTerm, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """(L,) levels as texts, columns joined by ":"; texts that hold one are put in quotes."""
        columns = [pl.col(name).cast(pl.String) for name in self.levels.columns]
        if len(columns) > 1:
            schema = self.levels.schema
            columns = [
                _quoted(column) if schema[column.meta.output_name()] in TEXTS else column
                for column in columns
            ]
        return tuple(self.levels.select(pl.concat_str(columns, separator=":")).to_series())


def _quoted(text: pl.Expr) -> pl.Expr:
    """Quote what could be read as two parts, or as quoted, so that joined parts stay distinct."""
    quoted = pl.format('"{}"', text.str.replace_all('"', '""', literal=True))
    doubtful = text.str.contains(":", literal=True) | text.str.starts_with('"')
    return pl.when(doubtful).then(quoted).otherwise(text)


def merged(random: Sequence[RandomTerm]) -> tuple[tuple[RandomTerm, ...], ...]:
    """Collect the terms on the same grouping factor; a:b and b:a are the same."""
    together: dict[frozenset[str], list[RandomTerm]] = {}
    for term in random:
        together.setdefault(frozenset(term.group), []).append(term)
    return tuple(map(tuple, together.values()))


def grouping(
    terms: tuple[RandomTerm, ...], codings: Sequence[Coding], levels: pl.DataFrame
) -> Grouping:
    """Return the grouping factor that `terms` share.

    Raises
    ------
    FitError
        If two of them have a column of the same name, or it is named like the residual variance.
    """
    name = ":".join(terms[0].group)
    if name == RESIDUAL:
        raise FitError(
            f"A grouping factor cannot be named {RESIDUAL!r}, which is the residual variance "
            "among the results: rename the column."
        )
    covariates = [c for coding in codings for c in coding.names]
    for coefficient in covariates:
        if covariates.count(coefficient) > 1:
            raise FitError(
                f"Two random terms on {name} both hold {coefficient}. Remove it from one of them."
            )
    free = np.zeros((len(covariates), len(covariates)), dtype=np.bool_)
    start = 0
    for coding in codings:
        stop = start + len(coding.names)
        free[start:stop, start:stop] = np.tri(stop - start, dtype=np.bool_)
        start = stop
    return Grouping(name, levels, tuple(covariates), free, terms)


def check_grouping(
    factor: Grouping, sizes: Sequence[int], n_obs: int, *, observation_level_ok: bool
) -> None:
    """Refuse grouping factors whose variance cannot be told from another one.

    The rules are those of lme4 (`lmerControl`: check.nlev.gtr.1, check.nobs.vs.nlev,
    check.nobs.vs.nRE).

    Parameters
    ----------
    sizes : number of coefficients of each of its terms
    n_obs : rows
    observation_level_ok : allow one level for each row, as in models without residual variance

    Raises
    ------
    FitError
        If there is one level only; unless allowed, as many levels, or coefficients of one term,
        as rows.
    """
    n_levels = factor.levels.height
    if n_levels < 2:
        raise FitError(
            f"The grouping factor {factor.name} has one level only ({factor.labels[0]}), so that "
            "nothing varies between levels. Drop the term, or add levels."
        )
    if observation_level_ok:
        return
    if n_levels >= n_obs:
        raise FitError(
            f"The grouping factor {factor.name} has {n_levels} levels for {n_obs} rows, so that "
            "its variance cannot be told from the residual one. Drop the term, or group by "
            "something that several rows share."
        )
    for term, size in zip(factor.terms, sizes, strict=True):
        if n_levels * size >= n_obs:
            raise FitError(
                f"{term} has {n_levels * size} random coefficients ({size} for each of {n_levels} "
                f"levels) for {n_obs} rows: too many to tell them from the residuals. Simplify it."
            )
