"""Slopes: by ratio, beside their repairs, and the balances behind them."""

from typing import Final

import polars as pl

from distortion.blocks import Block, Text
from distortion.contents.parts import contexts, drawn, left_out, of_arm
from distortion.evidence import Evidence
from distortion.figures.balances import balance_scatter
from distortion.figures.coefficients import repaired_dots
from distortion.figures.slopes import slope_boxes
from distortion.labels import CONTEXT
from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from distortion.tables import results
from distortion.tables.repaired import estimates, repaired_table
from distortion.tables.verdicts import VERDICTS, verdict_table

OTHER_ARMS: Final = {
    PRUNED: "Right after pruning, before fine-tuning (means, no tests)",
    FINETUNED: "After pruning and fine-tuning (means, no tests)",
}


def intensification(evidence: Evidence) -> tuple[Block, ...]:
    """The plain slope by ratio, with κ and ρ, and the means of the arm that is not tested."""
    scope, found = evidence.scope, evidence.family("cell", "control")
    table = results.slope_table(
        found,
        evidence.conditions,
        "slopes",
        f"Slope α, spread κ and association ρ of {scope.treated} networks ({results.where(found)})",
    )
    boxes = slope_boxes(
        evidence.slopes.filter(pl.col("arm") == scope.arm), evidence.family("cell"), scope.treated
    )
    blocks: list[Block] = [
        Text(
            "α must not be read without κ and ρ (α = ρ κ): a slope below 1 means smaller gaps only "
            "where the interval of κ lies below 1 as well."
        ),
        boxes,
        table,
    ]
    others = evidence.conditions.filter(~pl.col("arm").is_in([scope.arm, CONTROL, DENSE]))
    blocks += [
        results.arm_table(rows, f"arm-{rows['arm'][0]}", OTHER_ARMS[rows["arm"][0]])
        for rows in others.partition_by("arm", maintain_order=True)
    ]
    return tuple(blocks)


def repairs(evidence: Evidence) -> tuple[Block, ...]:
    """The plain slope beside what is free of seed noise, image noise, training or accuracy."""
    found = estimates(evidence.repaired, evidence.null, evidence.latent)
    blocks: list[Block] = [
        Text(
            "The plain slope mixes what a reader would keep apart: fresh noise of seeds and images "
            "pulls it towards 0, further training moves it, and it grows as accuracy falls. Each "
            "repair takes out one of these, none takes out all. Where they part, the plain slope "
            "should not be read alone."
        )
    ]
    parts = contexts(found, "repairs")
    blocks += left_out(len(parts))
    pictured = {name for _, name, _ in drawn(parts)}
    for rows, name, heading in parts:
        if name in pictured and _is_known(rows):
            blocks.append(repaired_dots(rows, name, heading))
        caption = f"The slope and its repairs: {heading}"
        blocks.append(repaired_table(rows, name, caption))
    blocks.append(verdict_table(evidence.family(*VERDICTS)))
    return tuple(blocks)


def _is_known(rows: pl.DataFrame) -> bool:
    return rows.filter(pl.col("arm") != CONTROL)["estimate"].count() > 0


def balances(evidence: Evidence) -> tuple[Block, ...]:
    """Every class of every network, before against after."""
    rows = evidence.measures.filter(pl.col("arm") == evidence.scope.arm)
    parts = contexts(of_arm(evidence), "balances")
    blocks: list[Block] = left_out(len(parts))
    for conditions, name, heading in drawn(parts):
        of_context = rows.join(conditions.select(CONTEXT).unique(), on=CONTEXT, how="semi")
        blocks.append(balance_scatter(of_context, conditions, name, heading))
    return tuple(blocks)
