"""A table: data at full precision, and how each column is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Literal

import polars as pl

from distortion.labels import clean, varying
from distortion.tables import numbers

Row = dict[str, Any]
Tone = Literal["", "up", "down", "mixed"]
FOLDED_ABOVE: Final = 30
CENTRAL_ABOVE: Final = 120
PAGE_ROWS: Final = 400
# Letters of a name in a table; the CSV has all of it.
NAME: Final = 120

HEADINGS: Final = {
    "study": "Study",
    "dataset": "Data set",
    "model": "Model",
    "recipe": "Recipe",
    "intervention": "Intervention",
    "method": "Method",
    "arm": "Arm",
    "seed": "Seed",
    "ratio": "Ratio",
    "comparison": "Comparison",
    "class_label": "Class",
    "verdict": "Verdict",
    "caveat": "Caveat",
    "reason": "Reason",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column as shown.

    Attributes
    ----------
    heading : its name for readers
    show : the text of a cell, from the row of the data
    names : whether the column names its row (a row header, left-aligned)
    numeric : whether it is right-aligned
    tone : whether a cell speaks of more (`up`), less (`down`) or both; never the only sign of it
    value : the number behind a rounded text, for sorting; without it the text is sorted
    """

    heading: str
    show: Callable[[Row], str]
    names: bool = False
    numeric: bool = True
    tone: Callable[[Row], Tone] | None = None
    value: Callable[[Row], float | None] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report.

    Attributes
    ----------
    name : of its files and its label
    caption : what it shows, in a sentence
    data : what the CSV holds, one row per row of the table
    columns : what is shown of it
    notes : sentences below it
    central : whether the page shows it unasked even if it is long
    """

    name: str
    caption: str
    data: pl.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    central: bool = False

    @property
    def folded(self) -> bool:
        """Whether the page shows it only on request."""
        return self.data.height > (CENTRAL_ABOVE if self.central else FOLDED_ABOVE)

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, and that the page leaves rows out where it does."""
        if self.data.height <= PAGE_ROWS:
            return self.notes
        left_out = f"The first {PAGE_ROWS} of {numbers.count(self.data.height)} rows; "
        return (*self.notes, f"{left_out}all of them are in tables/{self.name}.csv.")

    def rows(self, limit: int | None = PAGE_ROWS) -> list[list[str]]:
        """The text of every cell, unescaped; at most `limit` rows."""
        shown = self.data if limit is None else self.data.head(limit)
        return [[column.show(row) for column in self.columns] for row in shown.to_dicts()]

    def tones(self) -> list[list[Tone]]:
        """The tone of every cell that `rows` shows."""
        rows = self.data.head(PAGE_ROWS).to_dicts()
        return [[c.tone(row) if c.tone else "" for c in self.columns] for row in rows]

    def values(self) -> list[list[float | None]]:
        """The number behind every cell that `rows` shows; None where there is none."""
        rows = self.data.head(PAGE_ROWS).to_dicts()
        return [[c.value(row) if c.value else None for c in self.columns] for row in rows]


def text(name: str, *, names: bool = False) -> Column:
    """A column of words, as in the data; names are cut to a length that a table can hold."""

    def show(row: Row) -> str:
        value = str(row[name] or "")
        return clean(value, NAME) if names and value else value

    return Column(HEADINGS[name], show, names=names, numeric=False)


def identity(frame: pl.DataFrame, columns: Sequence[str]) -> list[Column]:
    """Row headers: those of `columns` that vary in `frame`."""
    found = []
    for name in varying(frame, columns):
        if name == "ratio":
            found.append(
                Column("Ratio", lambda row: numbers.ratio(row["ratio"]), names=True, numeric=True)
            )
        else:
            found.append(text(name, names=True))
    return found


def number(heading: str, name: str, digits: int = numbers.DIGITS) -> Column:
    """A column of rounded numbers."""
    return Column(heading, lambda row: numbers.fixed(row[name], digits), value=itemgetter(name))


def share(heading: str, name: str) -> Column:
    """A column of shares in per cent."""
    return Column(heading, lambda row: numbers.percent(row[name]), value=itemgetter(name))
