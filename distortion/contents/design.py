"""What was run: networks, conditions, what is missing."""

from distortion.blocks import Block, Bullets, Text
from distortion.evidence import Evidence
from distortion.figures.matrix import design_matrix
from distortion.labels import clean, counted, listed
from distortion.schema import ARMS
from distortion.tables import facts


def design(evidence: Evidence) -> tuple[Block, ...]:
    """The design: counts, completeness, networks, conditions, failures."""
    scope = evidence.scope
    arms = [arm for arm in ARMS if arm in scope.arms]
    complete = "No cell is missing."
    if scope.missing or scope.failed:
        complete = (
            f"{counted(scope.missing, 'cell')} missing, because other networks have them or they "
            f"failed; recorded as failed: {scope.failed}."
        )
    blocks: list[Block] = [
        Text(
            f"{counted(scope.trained, 'network')} and {counted(scope.cells, 'cell')} (a network "
            f"at one arm, method and ratio) on the split “{clean(scope.split)}”; arms: "
            f"{listed(arms)}. This report is about the arm {scope.arm}. {complete}"
        )
    ]
    if evidence.log.notes:
        blocks.append(Bullets(evidence.log.notes))
    blocks.append(facts.network_table(evidence.measures))
    blocks.append(design_matrix(evidence.grid, evidence.failed))
    blocks.append(facts.cell_table(evidence.grid, evidence.slopes))
    if evidence.failed.height:
        blocks.append(facts.failed_table(evidence.failed))
    return tuple(blocks)
