"""The table of a plan in rounded numbers, as text, Markdown and HTML below its sentences."""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from distortion.designs import CONDITION
from distortion.escape import to_html, to_markdown_line
from distortion.fits.results import sheets
from distortion.fits.results.rendering import NOTHING, significant
from distortion.fits.results.sheets import Sheet
from distortion.labels import clean, varying
from distortion.planning.power import MOST_SEEDS

WIDTH: Final = 88
# Rows that a terminal or a page shows; the table has all.
MOST_ROWS: Final = 60
NAMES: Final = (*(c for c in CONDITION if c not in ("arm", "split")), "comparison", "class_name")
TESTS: Final = [*NAMES, "class_id"]
HEADINGS: Final = {"dataset": "Data set", "class_name": "Class"}
MORE: Final = f"more than {MOST_SEEDS:,}"


def text(said: Sequence[str], table: pl.DataFrame) -> str:
    """The plan for a terminal."""
    parts = [textwrap.fill(sentence, WIDTH, break_on_hyphens=False) for sentence in said]
    rest = [textwrap.fill(sentence, WIDTH, break_on_hyphens=False) for sentence in _notes(table)]
    return "\n\n".join([*parts, sheets.to_text(sheet(table)), *rest])


def markdown(said: Sequence[str], table: pl.DataFrame) -> str:
    """The plan as GitHub-flavoured Markdown."""
    parts, rest = ([f"{to_markdown_line(s)}\n" for s in part] for part in (said, _notes(table)))
    return "\n".join([*parts, sheets.markdown_table(sheet(table)), *rest])


def html(said: Sequence[str], table: pl.DataFrame) -> str:
    """The plan as an HTML fragment."""
    above, below = (
        "".join(f"<p>{to_html(sentence)}</p>" for sentence in part)
        for part in (said, _notes(table))
    )
    return f'<div class="distortion-plan">{above}\n{sheets.html_table(sheet(table))}\n{below}</div>'


def sheet(table: pl.DataFrame) -> Sheet:
    """The first rows of the table; columns without a value are left out."""
    names = identity(table)
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = []
    if table["effect"].n_unique() > 1:
        columns.append(("Effect", lambda row: f"{row['effect']:g}"))
    columns += [
        ("SD", lambda row: significant(row["sd"], 2)),
        ("Seeds", lambda row: _whole(row["seeds"])),
        ("Power", lambda row: percent(row["power"], 1)),
        ("Simulated", lambda row: percent(row["power_simulated"], 1)),
        ("Detects", lambda row: significant(row["detectable"], 2)),
        ("Needs", lambda row: _needs(row, "seeds_needed")),
        ("Cautious", lambda row: _needs(row, "seeds_needed_cautious")),
        ("∞ images", lambda row: _needs(row, "seeds_needed_all_images")),
        ("Images", lambda row: _whole(row["images_needed"])),
        ("One pair", lambda row: _whole(row["images_one_pair"])),
    ]
    empty = {
        "Simulated": "power_simulated",
        "∞ images": "sd_images",
        "Images": "sd_images",
        "One pair": "images_one_pair",
    }
    if (table["sd_high"] == table["sd"]).all():
        columns = [column for column in columns if column[0] != "Cautious"]
    columns = [c for c in columns if c[0] not in empty or table[empty[c[0]]].count()]
    rows = table.head(MOST_ROWS).to_dicts()
    return Sheet(
        "",
        (*(HEADINGS.get(n, n.capitalize()) for n in names), *(heading for heading, _ in columns)),
        tuple(
            (*(_name(row[n]) for n in names), *(show(row) for _, show in columns)) for row in rows
        ),
        words=len(names),
    )


def identity(table: pl.DataFrame) -> list[str]:
    """The columns that tell its tests apart."""
    return varying(table, NAMES)


def median(values: pl.Series) -> int | None:
    """The middle one, nulls being the largest."""
    ordered = values.sort(nulls_last=True)
    return None if ordered.is_empty() else ordered[(ordered.len() - 1) // 2]


def seeds_needed(value: int | None) -> str:
    """A number of seeds, or that it is beyond the largest that is planned for."""
    return MORE if value is None else f"{value:,}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share in per cent, 80% or 99.17%; almost all is not all."""
    if share is None or not math.isfinite(share):
        return NOTHING
    rounded = round(100 * share, digits)
    return ">99.9%" if rounded == 100 and share < 1 else f"{rounded:g}%"


def test_name(row: dict[str, Any], names: Sequence[str]) -> str:
    """One test among others, in a sentence: gradient, ratio 20."""
    values = [(name, _name(row[name])) for name in names if row[name] not in (None, "")]
    prefixes = {"ratio": "ratio ", "class_name": "class "}
    return ", ".join(f"{prefixes.get(name, '')}{value}" for name, value in values)


def _needs(row: dict[str, Any], name: str) -> str:
    if row["sd"] is None or not row["sd"] > 0:
        return NOTHING
    return f">{MOST_SEEDS:,}" if row[name] is None else f"{row[name]:,}"


def _whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _name(value: Any) -> str:
    return NOTHING if value is None else f"{value:g}" if isinstance(value, float) else clean(value)


def _notes(table: pl.DataFrame) -> list[str]:
    """What a reader of the table must know: rows left out, headings that need words."""
    found = [
        "SD: over networks. Seeds, Power: of this design. Detects: the smallest effect, or margin, "
        "with the power planned for. Needs: seeds for that power."
    ]
    if table["sd_images"].count():
        found[0] += (
            " ∞ images: seeds that endless test images would still leave to need, at least. "
            "Images: test images of each network (of the class) that would make these seeds "
            "enough; – where no number does."
        )
    if table.height > MOST_ROWS:
        found.append(f"{MOST_ROWS} of {table.height:,} rows; the table (csv, json) has all.")
    return found
