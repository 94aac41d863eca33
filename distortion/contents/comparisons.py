"""Levels of a factor against each other, and what is shown to be equivalent."""

from typing import Final

import polars as pl

from distortion.blocks import Block, Text
from distortion.catalogue import CATALOGUE
from distortion.evidence import Evidence
from distortion.figures.margins import margin_intervals
from distortion.hypotheses import Hypothesis
from distortion.prose.contrasts import compared_in_words, equivalent_in_words, not_asked
from distortion.tables import results

ASKED: Final = ("ratio", "model", "dataset", "method")
# Asked where the methods were compared and the log knows enough.
ADJUSTED: Final = ("method at equal achieved ratio", "method at equal accuracy")


def comparisons(evidence: Evidence) -> tuple[Block, ...]:
    """Differences first, then equivalence."""
    tested = evidence.slopes.filter(pl.col("arm") == evidence.scope.arm)
    blocks: list[Block] = []
    for family in CATALOGUE:
        rows = evidence.family(family.family)
        if family.family in ASKED and not rows.height:
            blocks.append(Text(f"{family.question} {not_asked(tested, family)}"))
        elif family.family in (*ASKED, *ADJUSTED) and rows.height:
            asked = results.family(family.family, rows)
            blocks.append(Text(f"{asked.question} {compared_in_words(rows)}"))
            blocks.append(results.comparison_table(rows, asked, evidence.scope.settings))
    for family in CATALOGUE:
        if family.kind == "equivalence":
            blocks += _equivalence(evidence, family)
    return tuple(blocks)


def _equivalence(evidence: Evidence, family: Hypothesis) -> list[Block]:
    rows = evidence.family(family.family)
    if not rows.height:
        return []
    asked = results.family(family.family, rows)
    blocks: list[Block] = [Text(f"{asked.question} {equivalent_in_words(rows)}")]
    if rows["p_value"].count():
        name = f"margin-{family.family.replace(' ', '-')}"
        blocks.append(margin_intervals(rows, name, asked.question))
    return [*blocks, results.comparison_table(rows, asked, evidence.scope.settings)]
