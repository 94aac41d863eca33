"""A broken rule of the log: how often, where first, what to do about it.

A log larger than memory is checked in parts, each of which knows its own violations only.
`Violations` puts them together into the error that the whole log would have given.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl

from distortion.errors import LogError
from distortion.schema import SHOWN

# Ranks begin with one of these: columns are checked before rows, rows before cells.
COLUMN, ROW, CELLS = range(3)

Place = tuple[int, str]  # a row of the table, from 0, and what stands there


class Violation(LogError):
    """A rule is broken.

    Parameters
    ----------
    count : how many rows, cells or values break it
    what : goes on after the count
    places : of the first of them, ascending
    next_step : a sentence
    rank : where the rule stands among all rules; the first that is broken is reported
    """

    def __init__(
        self,
        count: int,
        what: str,
        places: Sequence[Place],
        next_step: str,
        rank: tuple[int, ...] = (),
    ) -> None:
        shown = "; ".join(f"row {row + 1}: {words}" for row, words in places)
        super().__init__(f"{count} {what}, for example {shown}. {next_step}")
        self.count, self.what, self.places = count, what, tuple(places)
        self.next_step, self.rank = next_step, rank

    def ranked(self, *rank: int) -> "Violation":
        """The same at that place among all rules."""
        return Violation(self.count, self.what, self.places, self.next_step, rank)

    def moved(self, row: pl.Series) -> "Violation":
        """The same where the rows of the part are the rows `row` of the log."""
        places = [(int(row[i]), words) for i, words in self.places]
        return Violation(self.count, self.what, places, self.next_step, self.rank)


class Violations:
    """Violations found in parts of a log."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextmanager
    def gather(self, row: pl.Series) -> Iterator[None]:
        """Keep a violation raised inside; `row` numbers the rows of the part within the log."""
        try:
            yield
        except Violation as violation:
            self._found.append(violation.moved(row))

    def settle(self) -> None:
        """Raise the violation of the first broken rule, counted over all parts, if there is one."""
        if not self._found:
            return
        first = min(self._found, key=lambda violation: violation.rank)
        same = [violation for violation in self._found if violation.rank == first.rank]
        raise Violation(
            sum(violation.count for violation in same),
            first.what,
            sorted(place for violation in same for place in violation.places)[:SHOWN],
            first.next_step,
            first.rank,
        )
