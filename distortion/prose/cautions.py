"""Cautions that the findings themselves call for: what a slope hides or cannot say."""

from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import counted, listed
from distortion.prose.words import kappa, place
from distortion.scope import Scope
from distortion.tables import numbers

WIDER: Final = 1.5
LEFT: Final = 0.1
SHOWN: Final = 3


def cautions(cells: pl.DataFrame, conditions: pl.DataFrame, lost: pl.DataFrame) -> list[str]:
    """The sentences that apply; `lost` are the conditions that fell to `near_chance`."""
    working = cells.join(lost, on=CONDITION, how="anti")
    return [
        *_reordered(working),
        *_wider(working, cells),
        *_undecided(cells),
        *_fell_to_chance(lost, conditions),
    ]


def near_chance(scope: Scope, conditions: pl.DataFrame) -> pl.DataFrame:
    """Conditions that kept less than a tenth of what their dense networks have over guessing.

    Guessing means the largest class every time.
    """
    known = {d.name: d.chance for d in scope.datasets}
    chance = pl.col("dataset").replace_strict(known, default=None, return_dtype=pl.Float64)
    before = pl.col("accuracy_dense") - chance
    return conditions.filter(before > 0, pl.col("accuracy") - chance < LEFT * before)


def _reordered(cells: pl.DataFrame) -> list[str]:
    rows = cells.filter(pl.col("verdict") == "reorders and widens")
    if not rows.height:
        return []
    largest = rows.sort("kappa", descending=True).row(0, named=True)
    return [
        f"Where gaps reorder and widen ({listed(rows['method'].unique(maintain_order=True))}), a "
        "slope below 1 is not an evening out: the spread grew, up to "
        f"{kappa(largest)}, but other classes lose than before."
    ]


def _wider(working: pl.DataFrame, cells: pl.DataFrame) -> list[str]:
    """Undecided slopes that hide a larger spread."""
    rows = working.filter(
        pl.col("verdict") == "undecided", pl.col("kappa") > WIDER, pl.col("kappa_low") > 1
    )
    if not rows.height:
        return []
    largest = rows.sort("kappa", descending=True).row(0, named=True)
    return [
        f"In {counted(rows.height, 'undecided condition')} recalls nevertheless lie much farther "
        f"apart relative to accuracy than before (up to {kappa(largest)} at "
        f"{place(largest, cells)}); the slope alone does not show it."
    ]


def _undecided(cells: pl.DataFrame) -> list[str]:
    """How wide the intervals are where nothing was found."""
    rows = cells.filter(pl.col("verdict") == "undecided")
    half = ((rows["conf_high"] - rows["conf_low"]) / 2).median()
    if rows.height <= cells.height / 2 or not isinstance(half, float):
        return []
    return [
        f"Undecided is not unchanged: half of these intervals reach ± {numbers.significant(half)} "
        "or farther around their slope."
    ]


def _fell_to_chance(collapsed: pl.DataFrame, conditions: pl.DataFrame) -> list[str]:
    if not collapsed.height:
        return []
    lowest = collapsed.sort("accuracy").row(0, named=True)
    places = [place(row, conditions) for row in collapsed.head(SHOWN).to_dicts()]
    more = ["…"] if collapsed.height > SHOWN else []
    where = "; ".join([*places, *more])
    return [
        f"In {counted(collapsed.height, 'condition')} ({where}) accuracy fell to near chance, down "
        f"to {numbers.percent(lowest['accuracy'])}: such networks no longer work, and their slopes "
        "say little."
    ]
