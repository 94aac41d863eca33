"""A formula applied to a table; rows only ever leave it in chunks.

    symbol   here               size        meaning
    y        Chunk.y            (m,)        response of the m rows of a chunk
    X        Chunk.X            (m, p)      fixed part
    Z        Chunk.codes[k]     (m,)        level of grouping factor k, with
             Chunk.covariates   (m, r_k)    the multipliers of its r_k coefficients

Columns of texts, booleans, Enums and Categoricals are categories, as are those in `levels=`;
whole and real numbers are numbers unless wrapped in C(...). Levels stand in the order of
C(..., levels=[...]), else of `levels=`, else of the Enum, else sorted, and only those that occur;
the first is the reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.coding import Coding, Values
from distortion.fits.formulas.formula import Formula
from distortion.fits.formulas.grouping import Grouping, check_grouping, grouping, merged
from distortion.fits.formulas.levels import Codes, asked, combined
from distortion.fits.formulas.plan import plan
from distortion.fits.formulas.screening import Roles, collect, screen
from distortion.fits.formulas.variables import Variables
from distortion.frames import Table, to_polars

CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some consecutive rows, m of them; arrays may be read-only views of the table.

    Attributes
    ----------
    start : position of the first among the rows used
    y, weights, offset, trials : (m,) float64, None where the model has none
    X : (m, p) float64, C-contiguous
    codes : (m,) int32 for each grouping factor
    covariates : (m, r) float64, C-contiguous, for each grouping factor; None for (1 | g)
    """

    start: int
    y: Values
    X: Values
    codes: tuple[Codes, ...]
    covariates: tuple[Values | None, ...]
    weights: Values | None
    offset: Values | None
    trials: Values | None


@dataclass(frozen=True, slots=True, eq=False)
class ModelFrame:
    """The rows of a table as a model reads them.

    Attributes
    ----------
    formula, table : what it was made of
    n_rows, n_obs : rows of the table; those used
    fixed : coding of the fixed part
    random : codings of the random terms, for each grouping factor
    groupings : grouping factors
    weights : column of prior weights
    variables : what each column and expression is
    complete : keeps the rows used; None where all are
    notes : what was left out, and what a reader may not expect
    """

    formula: Formula
    table: Table
    n_rows: int
    n_obs: int
    fixed: Coding
    random: tuple[tuple[Coding, ...], ...]
    groupings: tuple[Grouping, ...]
    weights: str | None
    variables: Variables
    complete: pl.Expr | None
    notes: tuple[str, ...]

    @property
    def fixed_names(self) -> tuple[str, ...]:
        """(p,) columns of X."""
        return self.fixed.names

    @property
    def terms(self) -> tuple[tuple[str, slice], ...]:
        """Name and columns of each term of the fixed part."""
        return self.fixed.terms

    @property
    def factors(self) -> dict[str, tuple[Any, ...]]:
        """Levels, in order, of each categorical column of the fixed part."""
        return self.variables.factors(self.fixed.atoms)

    @property
    def means(self) -> dict[str, float]:
        """Mean over the rows used of each numeric column of the fixed part."""
        return self.variables.means_of(self.fixed.atoms)

    @property
    def rows_used(self) -> NDArray[np.int64] | None:
        """(n_obs,) positions of the rows used in the table; None where all are."""
        if self.complete is None:
            return None
        rows = collect(self.table.lazy().select(self.complete.arg_true()), self.table)
        return rows.to_series().cast(pl.Int64).to_numpy()

    def columns(self, *names: str) -> pl.DataFrame:
        """Return columns of the table, in the rows used."""
        query = self.table.lazy()
        if self.complete is not None:
            query = query.filter(self.complete)
        return collect(query.select(names), self.table)

    def chunks(self, size: int = 65_536) -> Iterator[Chunk]:
        """Yield all rows used, in order, at most `size` at a time; fewer where X is wide."""
        codings = (self.fixed, *(coding for parts in self.random for coding in parts))
        width = sum(len(coding.names) for coding in codings)
        size = max(1, min(size, CHUNK_BYTES // (8 * max(width, 1))))
        schema = self.table.collect_schema()
        read = self.variables.reader(codings, schema)
        group = [combined(factor.levels) for factor in self.groupings]
        wanted = {**self.variables.outcome, **read.columns}
        for column in (column for factor in self.groupings for column in factor.levels):
            wanted[f"group {column.name}"] = asked(column.name, schema, column)
        expressions = [expression.alias(name) for name, expression in wanted.items()]
        start = 0
        for first in range(0, self.n_rows, size):
            query = self.table.slice(first, size)
            if self.complete is not None:
                query = query.filter(self.complete)
            made = query.select(expressions)
            rows = made if isinstance(made, pl.DataFrame) else collect(made, self.table)
            if not rows.height:
                continue
            values = read.values(rows)
            outcome = {
                name: rows[name].to_numpy() if name in rows else None
                for name in ("y", "weights", "offset", "trials")
            }
            yield Chunk(
                start=start,
                X=self.fixed.matrix(values, rows.height),
                codes=tuple(
                    encode([rows[f"group {c}"] for c in factor.levels.columns])
                    for encode, factor in zip(group, self.groupings, strict=True)
                ),
                covariates=tuple(_covariates(parts, values, rows.height) for parts in self.random),
                **outcome,  # type: ignore[arg-type]
            )
            start += rows.height
        if start != self.n_obs:
            raise FitError(
                f"The lazy table had {self.n_obs} usable rows when the model was set up and now "
                f"has {start}: collect() it first."
            )

    def fixed_matrix(self, table: Any) -> Values:
        """Return X (m, p) of new rows, coded like the rows used.

        Raises
        ------
        FitError
            If a column is missing or of another kind, or a value missing or a level unknown.
        """
        rows, values = self.variables.of_new_rows(table, (self.fixed,))
        return self.fixed.matrix(values, rows)

    def group_covariates(self, k: int, table: Any) -> Values:
        """Return the multipliers (m, r_k) of the coefficients of grouping factor `k`.

        Raises
        ------
        FitError
            As `fixed_matrix`.
        """
        rows, values = self.variables.of_new_rows(table, self.random[k])
        made = _covariates(self.random[k], values, rows)
        return np.ones((rows, 1)) if made is None else made

    def group_codes(self, k: int, table: Any) -> Codes:
        """Return the level (m,) of grouping factor `k`, −1 where it is a new one.

        Raises
        ------
        FitError
            If a column of the grouping factor is missing.
        """
        levels = self.groupings[k].levels
        rows = self.variables.new_rows(table, levels.columns)
        return combined(levels)(rows.select(levels.columns).get_columns())

    def offset(self, table: Any) -> Values | None:
        """Return the sum of the offsets (m,) in new rows, None for a model without."""
        return self.variables.new_offset(table)


def _covariates(parts: Sequence[Coding], values: Mapping[str, Any], rows: int) -> Values | None:
    if all(coding.names == ("Intercept",) for coding in parts):
        return None
    made = [coding.matrix(values, rows) for coding in parts]
    return made[0] if len(made) == 1 else np.hstack(made)


def model_frame(
    formula: Formula,
    table: Any,
    *,
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    need: Sequence[str] = (),
    observation_level_ok: bool = False,
) -> ModelFrame:
    """Apply a formula to a table.

    Parameters
    ----------
    formula : as parsed
    table : polars DataFrame or LazyFrame, or pandas DataFrame. A LazyFrame is read anew for every
        pass, so its rows must come in the same order each time
    weights : column of prior weights, all positive
    levels : order of the levels of categorical columns, the reference first
    need : further columns whose missing values leave a row out, such as clusters
    observation_level_ok : allow a grouping factor with one level for each row

    Raises
    ------
    FitError
        If a column is unknown or of a type that its place does not allow; a value is infinite,
        too large or not among the declared levels; fewer than two rows are complete; the response
        is constant; the fixed part has no column or too many; a category has a level for each
        row; an argument is of another type; a lazy table cannot be read; or a grouping factor has
        too few or too many levels.
    """
    source = to_polars(table)
    groups = merged(formula.random)
    planned = plan(formula, source, weights, levels, need)
    roles = Roles(planned.numbers, planned.categories, tuple(g[0].group for g in groups), (*need,))
    seen = screen(source, roles, planned.questions())
    variables = planned.settled(source, seen)
    fixed = variables.coding(formula.fixed)
    if not fixed.names:
        raise FitError("The fixed part has no column: keep the intercept, or add a predictor.")
    if twice := [name for name in fixed.names if fixed.names.count(name) > 1]:
        raise FitError(f"Two columns of the fixed part are named {twice[0]!r}: rename the column.")
    random = tuple(tuple(variables.coding(t.covariates) for t in group) for group in groups)
    factors = []
    for group, codings, found in zip(groups, random, seen.groups, strict=True):
        factor = grouping(group, codings, found)
        sizes = [len(coding.names) for coding in codings]
        check_grouping(factor, sizes, seen.n_obs, observation_level_ok=observation_level_ok)
        factors.append(factor)
    return ModelFrame(
        formula,
        source,
        seen.n_rows,
        seen.n_obs,
        fixed,
        random,
        tuple(factors),
        weights,
        variables,
        seen.complete,
        (*seen.notes, *_uncorrelated_notes(factors, random)),
    )


def _uncorrelated_notes(
    factors: Sequence[Grouping], random: Sequence[Sequence[Coding]]
) -> list[str]:
    return [
        f"{term} comes from '||', but its {len(coding.names)} coefficients are correlated among "
        "themselves, as in lme4: they are of one categorical term."
        for factor, codings in zip(factors, random, strict=True)
        for term, coding in zip(factor.terms, codings, strict=True)
        if not term.correlated and len(coding.names) > 1
    ]
