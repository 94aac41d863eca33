"""What each column and expression of a formula is: a number, or a category with ordered levels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.coding import Coding, Values, coding
from distortion.fits.formulas.expressions import Atom, State
from distortion.fits.formulas.levels import Encoder, asked, encoder
from distortion.fits.formulas.screening import check_columns, check_number, collect, rows_where
from distortion.fits.formulas.terms import terms
from distortion.frames import to_polars


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Turns rows into the values that codings multiply.

    Attributes
    ----------
    columns : what to select, by alias
    numbers : alias of each numeric atom
    codes : alias and encoder of each categorical one
    """

    columns: dict[str, pl.Expr]
    numbers: dict[str, str]
    codes: dict[str, tuple[str, Encoder]]

    def values(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """Return each atom's values (m,): float64, or codes of levels."""
        values: dict[str, NDArray[Any]] = {
            text: rows[alias].to_numpy() for text, alias in self.numbers.items()
        }
        for text, (alias, encode) in self.codes.items():
            values[text] = encode(rows[alias])
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Variables:
    """The variables of one formula in one table.

    Attributes
    ----------
    outcome : expressions of "y", and of "weights", "offset" and "trials" where there are any
    levels : in order, of each categorical atom
    means : of each numeric column over the rows used
    state : means and SDs that center() and scale() subtract and divide by
    offsets : atoms inside offset()
    """

    outcome: dict[str, pl.Expr]
    levels: Mapping[str, pl.Series]
    means: Mapping[str, float]
    state: State
    offsets: tuple[Atom, ...]

    def coding(self, rhs: str) -> Coding:
        """Return the coding of a right-hand side."""
        parts = terms(rhs)
        found = {factor.text: factor for term in parts for factor in term}
        return coding(
            parts,
            tuple(
                (text, tuple(map(str, self.levels[text])), _reference(factor, self.levels[text]))
                for text, factor in found.items()
                if text in self.levels
            ),
        )

    def factors(self, atoms: Iterable[Atom]) -> dict[str, tuple[Any, ...]]:
        """Levels of each categorical column among `atoms`."""
        return {a.columns[0]: tuple(self.levels[a.text]) for a in atoms if a.text in self.levels}

    def means_of(self, atoms: Iterable[Atom]) -> dict[str, float]:
        """Mean of each numeric column among `atoms`."""
        numeric = [a for a in atoms if a.text not in self.levels]
        return {column: self.means[column] for a in numeric for column in a.columns}

    def reader(self, codings: Iterable[Coding], schema: pl.Schema) -> Reader:
        """Return what reads the atoms of `codings` from a table of this `schema`."""
        columns: dict[str, pl.Expr] = {}
        numbers: dict[str, str] = {}
        codes: dict[str, tuple[str, Encoder]] = {}
        for found in {a.text: a for c in codings for a in c.atoms}.values():
            if found.text in self.levels:
                alias = f"level {found.text}"
                columns[alias] = asked(found.columns[0], schema, self.levels[found.text])
                codes[found.text] = alias, encoder(self.levels[found.text])
            else:
                alias = f"number {found.text}"
                columns[alias] = found.number(self.state)
                numbers[found.text] = alias
        return Reader(columns, numbers, codes)

    def of_new_rows(
        self, table: Any, codings: Sequence[Coding]
    ) -> tuple[int, dict[str, NDArray[Any]]]:
        """Return the number of rows of `table`, and the values of the atoms of `codings`.

        Raises
        ------
        FitError
            If a column is missing or of another kind, or a value missing or a level unknown.
        """
        atoms = list({a.text: a for c in codings for a in c.atoms}.values())
        rows = self.new_rows(table, {c: None for a in atoms for c in a.columns})
        self._check_numbers(rows, [a for a in atoms if a.text not in self.levels])
        read = self.reader(codings, rows.schema)
        made = rows.select(e.alias(name) for name, e in read.columns.items())
        values = read.values(made)
        for found in atoms:
            if found.text in self.levels and (unknown := values[found.text] < 0).any():
                column = found.columns[0]
                raise FitError(
                    f"Column {column!r} holds {rows[column].filter(pl.Series(unknown))[0]!r}, "
                    "which the model has not seen. It knows "
                    f"{', '.join(map(repr, self.levels[found.text]))}."
                )
        return rows.height, values

    def new_rows(self, table: Any, columns: Iterable[str]) -> pl.DataFrame:
        """Return `columns` of a new table, which must have them without missing values."""
        wanted = list(columns)
        source = to_polars(table)
        check_columns(wanted, source.collect_schema())
        if not wanted:
            height = collect(source.lazy().select(pl.len()), source).item()
            return pl.DataFrame({"": np.empty(height)})
        rows = collect(source.lazy().select(wanted), source)
        for column in rows:
            if column.null_count():
                raise FitError(
                    f"Column {column.name!r} is missing in {column.null_count()} of {rows.height} "
                    "new row(s): fill them, or leave the rows out."
                )
        return rows

    def new_offset(self, table: Any) -> Values | None:
        """Return the sum of the offsets in new rows, None for a model without."""
        if not self.offsets:
            return None
        rows = self.new_rows(table, {c: None for a in self.offsets for c in a.columns})
        self._check_numbers(rows, self.offsets)
        return rows.select(self.outcome["offset"]).to_series().to_numpy()

    def _check_numbers(self, rows: pl.DataFrame, atoms: Sequence[Atom]) -> None:
        for found in atoms:
            for column in found.columns:
                check_number(column, rows.schema[column], found.text)
        for found in atoms:
            bad = ~found.number(self.state).is_finite()
            if rows.select(bad.any()).item():
                raise FitError(
                    f"{found.text} is infinite or undefined in the new {rows_where(rows, bad)}."
                )


def _reference(factor: Atom, levels: pl.Series) -> int:
    base = factor.contrast[1]
    if base is None:
        return 0
    known = levels.to_list()
    if base not in known:
        raise FitError(
            f"{factor.text}: the reference {base!r} is not a level that occurs in "
            f"{factor.columns[0]!r}. Known: {', '.join(map(repr, known))}."
        )
    return known.index(base)
