"""One look at a table before a model sees it: rows, missing values, levels, means.

A missing value (null or NaN) in any column that a model uses leaves its row out; an infinite one
stops the fit. A lazy table is streamed once, and once more if rows have to be left out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from distortion.errors import FitError, did_you_mean
from distortion.frames import Table, reading

# Rows up to which the streaming engine takes longer to start than its threads save.
SMALL = 50_000
# Beyond this, neighbouring whole numbers are the same float64.
LARGEST_WHOLE = 2**53
SHOWN = 3
# Uses of a column that a category is no alternative for.
RESPONSE, TRIALS, WEIGHT = OUTCOMES = ("the response", "the number of trials", "a weight")


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns that a model uses: as numbers, as categories, as grouping factors, or as they are."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    others: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """All of them, each once."""
        grouped = (column for group in self.groups for column in group)
        return tuple(dict.fromkeys((*self.numbers, *self.categories, *grouped, *self.others)))


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """What is known of the rows that a model uses.

    Attributes
    ----------
    n_rows, n_obs : rows of the table; those without a missing value
    complete : keeps those rows; None where all are complete
    levels : sorted levels of each category, those that occur
    groups : sorted levels of each grouping factor, one row each
    means : of each number
    answers : to the questions asked
    notes : what was left out
    """

    n_rows: int
    n_obs: int
    complete: pl.Expr | None
    levels: Mapping[str, pl.Series]
    groups: tuple[pl.DataFrame, ...]
    means: Mapping[str, float]
    answers: Mapping[str, Any]
    notes: tuple[str, ...]


def collect(query: pl.LazyFrame, table: Table) -> pl.DataFrame:
    """Run `query` on `table`."""
    with reading(table):
        return query.collect(engine=_engine(table))


def _engine(table: Table) -> Literal["in-memory", "streaming"]:
    small = isinstance(table, pl.DataFrame) and table.height <= SMALL
    return "in-memory" if small else "streaming"


def _collected(
    queries: list[pl.LazyFrame], table: Table, complete: pl.Expr | None
) -> list[pl.DataFrame]:
    engine = _engine(table)
    if isinstance(table, pl.DataFrame) and complete is not None:
        # Queries that run together would share, and keep, a filtered copy of the table.
        return [query.collect(engine=engine) for query in queries]
    with reading(table):
        return pl.collect_all(queries, engine=engine)


def categorical(dtype: pl.DataType) -> bool:
    """Return whether a column of this type is a category wherever it is used."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def check_columns(columns: Collection[str], schema: pl.Schema) -> None:
    """Refuse columns that the table lacks."""
    for column in columns:
        if column not in schema:
            raise FitError(f"The table has no column {column!r}. {did_you_mean(column, schema)}")


def check_number(column: str, dtype: pl.DataType, use: str) -> None:
    """Refuse a column that cannot be used as a number."""
    if dtype.is_numeric() or dtype == pl.Null:
        return
    if dtype == pl.Boolean and use == RESPONSE:
        return
    if dtype.is_temporal():
        advice = "Make it a number first, such as the days since the first date"
    elif dtype == pl.Boolean:
        advice = "Make it 0 and 1 first: pl.col(…).cast(int)"
    elif use in OUTCOMES:
        advice = "Cast it to a number; two classes are coded as 0 and 1"
    else:
        advice = "Cast it, or use it as a category"
    raise FitError(f"Column {column!r} is {dtype}, but {use} must be a number. {advice}.")


def check_category(column: str, dtype: pl.DataType) -> None:
    """Refuse a column whose values cannot be levels."""
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise FitError(f"Column {column!r} is {dtype}, whose values cannot be levels: cast it.")


def screen(table: Table, roles: Roles, questions: Mapping[str, pl.Expr]) -> Screening:
    """Look through `table`.

    `questions` are expressions with one value over the rows used.

    Raises
    ------
    FitError
        If no row is complete, a value is infinite or a whole number too large for float64.
    """
    schema = table.collect_schema()
    seen = _look(table, roles, schema, questions, None)
    n_rows, missing = seen["rows"], _missing(table, roles, schema, seen)
    complete = None
    notes: tuple[str, ...] = ()
    if missing:
        complete = _complete(missing, schema)
        seen = _look(table, roles, schema, questions, complete)
        notes = (_left_out(n_rows, n_rows - seen["rows"], missing),)
    if not seen["rows"]:
        raise FitError(
            "The table has no rows." if not n_rows else f"No row can be used. {notes[0]}"
        )
    for column in roles.numbers:
        ends = (seen.get((end, column)) or 0 for end in ("low", "high"))
        if max(map(abs, ends)) > LARGEST_WHOLE:
            raise FitError(
                f"Column {column!r} holds whole numbers beyond 2**53, which float64 cannot tell "
                "apart. Use it as a category or a grouping factor, or rescale it."
            )
    return Screening(
        n_rows,
        seen["rows"],
        complete,
        {c: seen["levels", (c,)].to_series() for c in roles.categories},
        tuple(seen["levels", group] for group in roles.groups),
        {c: float(seen["mean", c]) for c in roles.numbers},
        {name: seen["answer", name] for name in questions},
        notes,
    )


def _look(
    table: Table,
    roles: Roles,
    schema: pl.Schema,
    questions: Mapping[str, pl.Expr],
    complete: pl.Expr | None,
) -> dict[Any, Any]:
    """Gather everything from the rows that `complete` keeps."""
    asked: dict[Any, pl.Expr] = {"rows": pl.len()}
    asked |= {("answer", name): expression for name, expression in questions.items()}
    for column in roles.needed:
        asked["nulls", column] = pl.col(column).null_count()
        if column in roles.numbers or schema[column].is_float():
            asked["mean", column] = pl.col(column).cast(pl.Float64).mean()
        if column in roles.numbers and schema[column].is_integer():
            asked["low", column] = pl.col(column).min()
            asked["high", column] = pl.col(column).max()
    rows = table.lazy() if complete is None else table.lazy().filter(complete)
    sets = dict.fromkeys((*((column,) for column in roles.categories), *roles.groups))
    # Each set of levels is a query of its own: inside one select, whole columns would be kept.
    queries = [rows.select(e.alias(str(i)) for i, e in enumerate(asked.values()))]
    queries += [
        rows.select(_plain(column, schema) for column in columns).unique().sort(columns)
        for columns in sets
    ]
    made, *levels = _collected(queries, table, complete)
    seen: dict[Any, Any] = {("levels", key): found for key, found in zip(sets, levels, strict=True)}
    return seen | dict(zip(asked, made.row(0), strict=True))


def _plain(column: str, schema: pl.Schema) -> pl.Expr:
    """Categoricals sort as texts; an Enum keeps its order."""
    is_categorical = schema[column] == pl.Categorical
    return pl.col(column).cast(pl.String) if is_categorical else pl.col(column)


def _missing(
    table: Table, roles: Roles, schema: pl.Schema, seen: Mapping[Any, Any]
) -> dict[str, int]:
    """Count missing values where there are any; refuse infinite ones."""
    missing = {c: seen["nulls", c] for c in roles.needed if seen["nulls", c]}
    suspects = [
        c
        for c in roles.needed
        # A mean is finite only if every value is: one pass instead of a test for each kind.
        if schema[c].is_float() and not -float("inf") < (seen["mean", c] or 0.0) < float("inf")
    ]
    if not suspects:
        return missing
    counts = collect(
        table.lazy().select(
            *(pl.col(c).is_nan().sum().alias(f"{i} nan") for i, c in enumerate(suspects)),
            *(pl.col(c).is_infinite().sum().alias(f"{i} inf") for i, c in enumerate(suspects)),
        ),
        table,
    ).row(0, named=True)
    for i, column in enumerate(suspects):
        if counts[f"{i} inf"]:
            raise FitError(
                f"Column {column!r} is infinite in {counts[f'{i} inf']} row(s): "
                f"{rows_where(table, pl.col(column).is_infinite())}. Correct them, or set them to "
                "null to leave them out."
            )
        if counts[f"{i} nan"]:
            missing[column] = missing.get(column, 0) + counts[f"{i} nan"]
    return {c: missing[c] for c in roles.needed if c in missing}


def rows_where(table: Table, condition: pl.Expr) -> str:
    """Name the first rows, counted from 1, in which `condition` holds."""
    query = table.lazy().select(condition.arg_true().head(SHOWN + 1))
    rows = [row + 1 for row in collect(query, table).to_series()]
    return f"row {', '.join(map(str, rows[:SHOWN]))}{', …' if len(rows) > SHOWN else ''}"


def _complete(missing: Mapping[str, int], schema: pl.Schema) -> pl.Expr:
    present = [
        pl.col(c).is_not_null() & pl.col(c).is_not_nan()
        if schema[c].is_float()
        else pl.col(c).is_not_null()
        for c in missing
    ]
    return pl.all_horizontal(present)


def _left_out(n_rows: int, lost: int, missing: Mapping[str, int]) -> str:
    columns = ", ".join(f"{count} in {column!r}" for column, count in missing.items())
    return f"{lost} of {n_rows} rows were left out for missing values: {columns}."
