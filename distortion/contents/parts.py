"""What several sections share: the reported arm, and one part per context."""

from typing import Final

import polars as pl

from distortion.blocks import Block, Text
from distortion.escape import safe_name
from distortion.evidence import Evidence
from distortion.labels import CONTEXT, by_context, setting
from distortion.schema import CONTROL

MOST_CONTEXTS: Final = 8
# Rows of one context, the name of a file about them, their heading.
Part = tuple[pl.DataFrame, str, str]


def of_arm(evidence: Evidence) -> pl.DataFrame:
    """The conditions of the reported arm."""
    return evidence.conditions.filter(pl.col("arm") == evidence.scope.arm)


def left_out(settings: int) -> list[Block]:
    """A word on the settings that get no figure of their own."""
    if settings <= MOST_CONTEXTS:
        return []
    return [
        Text(
            f"Drawn for the first {MOST_CONTEXTS} of {settings} settings (data set, model, "
            "recipe); the tables and findings.json have all of them."
        )
    ]


def drawn(parts: list[Part]) -> list[Part]:
    """The parts that get a figure of their own."""
    return parts[:MOST_CONTEXTS]


def contexts(frame: pl.DataFrame, prefix: str) -> list[Part]:
    """The frame by context, each part with a file name and a heading of its own."""
    parts = by_context(frame)
    tested = frame.filter(pl.col("arm") != CONTROL)
    named = [c for c in CONTEXT if c in ("dataset", "model") or tested[c].n_unique() > 1]
    found = []
    for number, part in enumerate(parts, 1):
        row = part.filter(pl.col("arm") != CONTROL).row(0, named=True)
        heading = setting(row, named)
        if len(parts) == 1:
            return [(part, prefix, heading)]
        name = safe_name("-".join(str(row[c]) for c in named))
        found.append((part, f"{prefix}-{number}-{name}", heading))
    return found
