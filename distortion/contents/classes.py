"""Classes: which lose, how much, and which lose more than they may."""

from typing import Final

import polars as pl

from distortion.blocks import Block, Text
from distortion.contents.parts import contexts, drawn, left_out
from distortion.designs import CONDITION
from distortion.evidence import Evidence
from distortion.figures.caterpillar import sorted_classes
from distortion.figures.classes import recall_changes
from distortion.prose.losers import largest_losses
from distortion.schema import CONTROL
from distortion.tables import facts
from distortion.tables.margins import class_margin_table

FEW_LOSSES: Final = 3


def classes(evidence: Evidence) -> tuple[Block, ...]:
    """Changes of recall by class, in figures, then in tables."""
    found, margins = evidence.classes(), evidence.family("class margin")
    settings = evidence.scope.settings
    parts = contexts(found, "classes")
    blocks: list[Block] = left_out(len(parts))
    for rows, name, heading in drawn(parts):
        blocks.append(recall_changes(rows, name, heading, settings.level))
        if rows.filter(pl.col("arm") != CONTROL)["estimate"].count():
            sorted_name = name.replace("classes", "caterpillar", 1)
            blocks.append(
                sorted_classes(
                    rows,
                    list(evidence.scope.methods),
                    settings.class_margin,
                    sorted_name,
                    heading,
                )
            )
    losses = largest_losses(found, FEW_LOSSES)
    if losses.height:
        caption = f"The {FEW_LOSSES} largest mean losses of each method at its largest ratio"
        blocks.append(
            facts.class_table(losses, evidence.measures, "largest-losses", caption, margins)
        )
    tested = margins.filter(pl.col("arm") != CONTROL)
    if tested["p_value"].count():
        blocks.append(class_margin_table(margins))
    else:
        blocks.append(Text("Whether a class loses more than a margin could not be tested."))
    compressed = found.filter(pl.col("arm") != CONTROL)
    by_condition = compressed.partition_by(CONDITION, maintain_order=True)
    every = pl.concat(rows.sort("estimate", nulls_last=True) for rows in by_condition)
    caption = "Recall of every class before and after, largest losses first"
    blocks.append(facts.class_table(every, evidence.measures, "classes", caption, margins))
    return tuple(blocks)
