"""The verdicts of the families that ask whether gaps grew, side by side and corrected."""

from collections.abc import Callable
from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, clean
from distortion.schema import CONTROL
from distortion.tables import numbers
from distortion.tables.results import TONES
from distortion.tables.table import NAME, Column, Row, Table, Tone, identity

# Families by column, with what each is about.
VERDICTS: Final = {
    "cell": "α",
    "control": "α",
    "spread": "κ",
    "between": "Between",
    "excess": "κ beyond accuracy",
    "latent": "γ",
    "versus control": "α against control",
    "latent versus control": "γ against control",
}
SHORT: Final = {
    "wider gaps": "wider",
    "narrower gaps": "narrower",
    "class pattern widens": "wider",
    "class pattern narrows": "narrower",
    "wider than accuracy explains": "wider",
    "narrower than accuracy explains": "narrower",
    "classes draw apart": "apart",
    "classes draw together": "together",
    "larger slope": "larger",
    "smaller slope": "smaller",
}


def verdict_table(found: pl.DataFrame) -> Table:
    """One row per condition, one column per family of `VERDICTS`: its verdict and corrected p."""
    data = found.select(CONDITION).unique(maintain_order=True)
    headings = []
    for heading in dict.fromkeys(VERDICTS.values()):
        families = [name for name, of in VERDICTS.items() if of == heading]
        rows = found.filter(pl.col("family").is_in(families))
        if not rows.height:
            continue
        headings.append(heading)
        name = families[0].replace(" ", "_")
        rows = rows.select(
            *CONDITION,
            pl.col("verdict").alias(name),
            pl.col("p_corrected").alias(f"{name}_p"),
        )
        data = data.join(rows, on=CONDITION, how="left", maintain_order="left")
    columns = (
        *identity(data, CONTEXT),
        Column("Method", _method, names=True, numeric=False),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        *(Column(heading, _verdict(heading), False, False, _tone(heading)) for heading in headings),
    )
    note = (
        "Verdicts with p-values corrected within the column of a family; –: not asked there. "
        "Undecided is not unchanged."
    )
    caption = "The same questions as verdicts"
    return Table("verdicts", caption, data, columns, (note,), central=True)


def _column(heading: str) -> str:
    return next(name for name, of in VERDICTS.items() if of == heading).replace(" ", "_")


def _verdict(heading: str) -> Callable[[Row], str]:
    name = _column(heading)

    def show(row: Row) -> str:
        verdict, p = row[name], row[f"{name}_p"]
        if verdict is None:
            return numbers.NOTHING
        word = str(SHORT.get(verdict, verdict))
        return word if p is None else f"{word} ({numbers.p_value(p)})"

    return show


def _tone(heading: str) -> Callable[[Row], Tone]:
    name = _column(heading)
    return lambda row: TONES.get(row[name] or "", "")


def _method(row: Row) -> str:
    return CONTROL if row["arm"] == CONTROL else clean(row["method"], NAME)
