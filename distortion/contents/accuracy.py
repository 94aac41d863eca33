"""Accuracy against imbalance: planes, the Pareto front, variance of recall balance."""

import polars as pl

from distortion.blocks import Block, Text
from distortion.evidence import Evidence
from distortion.figures.curves import accuracy_plane, variance_curves
from distortion.figures.pareto import spread_plane
from distortion.schema import CONTROL
from distortion.tables import facts
from distortion.tables.fronts import front_table, with_front


def accuracy(evidence: Evidence) -> tuple[Block, ...]:
    """Which conditions lose least accuracy and spread recalls least."""
    arms = [evidence.scope.arm, CONTROL]
    conditions = evidence.conditions.filter(pl.col("arm").is_in(arms))
    blocks: list[Block] = [
        Text(
            "Gaps between classes widen by themselves as accuracy falls; methods are best compared "
            "at equal accuracy."
        )
    ]
    fronts = with_front(conditions)
    if fronts["front"].any():
        blocks.append(spread_plane(fronts, evidence.scope.methods))
        blocks.append(front_table(fronts))
    if conditions["alpha"].null_count() < conditions.height:
        blocks.append(accuracy_plane(conditions, evidence.scope.methods))
    blocks.append(variance_curves(conditions, evidence.scope.methods))
    blocks.append(facts.accuracy_table(conditions))
    return tuple(blocks)
