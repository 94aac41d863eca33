"""The control arm: what fine-tuning does with nothing removed, and the difference from it."""

from distortion.blocks import Block, Text
from distortion.evidence import Evidence
from distortion.figures.control import against_control
from distortion.schema import FINETUNED
from distortion.tables import results


def control(evidence: Evidence) -> tuple[Block, ...]:
    """The control arm, or why there is none to compare with."""
    scope, found = evidence.scope, evidence.family("control")
    versus = evidence.family("versus control")
    if not found.height:
        return (
            Text(
                "This log has no control arm: no dense network was fine-tuned like the pruned ones "
                "with nothing removed. The effect of removing weights cannot be told from that of "
                "further training. Add the arm `control` to the study to separate them."
            ),
        )
    table = results.slope_table(
        found,
        evidence.conditions,
        "control",
        f"What fine-tuning alone does ({results.where(found)})",
    )
    if not versus.height:
        why = (
            "No network that was tested has a control; those below belong to others."
            if scope.arm == FINETUNED
            else "The reported arm was not fine-tuned, so none is compared with it."
        )
        return (Text(why), table)
    lacking = ""
    if scope.uncontrolled:
        lacking = (
            f" It is there for {scope.conditions - scope.uncontrolled} of {scope.conditions} "
            "conditions."
        )
    blocks: list[Block] = [
        Text(
            "Networks of this arm were fine-tuned exactly like the pruned ones, with nothing "
            "removed. The difference from it is what the removal of weights adds, at equal further "
            f"training.{lacking}"
        ),
        table,
        against_control(versus, scope.methods),
    ]
    for name in ("versus control", "spread versus control", "latent versus control"):
        rows = evidence.treated(name)
        if rows.height:
            asked = results.family(name, rows)
            blocks.append(results.comparison_table(rows, asked, scope.settings))
    return tuple(blocks)
