"""What stands in the report and in which order; how it is written is `distortion.pages`' matter."""

import polars as pl

from distortion.blocks import Block, Bullets, Contents, Section, Terms, Text
from distortion.catalogue import CATALOGUE
from distortion.designs import CONDITION
from distortion.evidence import Evidence
from distortion.figures.balances import balance_scatter
from distortion.figures.classes import recall_changes
from distortion.figures.control import against_control
from distortion.figures.curves import accuracy_plane, variance_curves
from distortion.figures.slopes import slope_boxes
from distortion.labels import CONTEXT, by_context, clean, counted, listed, setting
from distortion.log import safe_name
from distortion.prose.contrasts import compared_in_words, not_asked
from distortion.prose.headline import headline
from distortion.prose.limitations import limitations
from distortion.prose.losers import largest_losses
from distortion.prose.methods import DEFINITIONS, READING, tests_in_words
from distortion.prose.population import population
from distortion.prose.verdict import verdict
from distortion.schema import ARMS, CONTROL, DENSE, FINETUNED, PRUNED
from distortion.scope import failed_cells, missing_cells
from distortion.tables import facts, origins, results

FEW_LOSSES = 3
MOST_CONTEXTS = 8
OTHER_ARMS = {
    PRUNED: "Right after pruning, before fine-tuning (means, no tests)",
    FINETUNED: "After pruning and fine-tuning (means, no tests)",
}
COMPARISONS = ("ratio", "model", "dataset", "method")


def contents(evidence: Evidence) -> Contents:
    """Compose the report."""
    names = [d.name for d in evidence.scope.datasets]
    return Contents(
        f"Recall distortion: {listed(names, 3)}",
        answer(evidence),
        (
            Section("found", "What was found", found(evidence)),
            Section("design", "What was run", _design(evidence)),
            Section("intensification", "Intensification by ratio", _slopes(evidence)),
            Section("control", "Control arm: fine-tuning alone", _control(evidence)),
            Section("balances", "Recall balance before and after", _balances(evidence)),
            Section("classes", "Classes", _classes(evidence)),
            Section("comparisons", "Comparisons", _comparisons(evidence)),
            Section("accuracy", "Accuracy and variance", _accuracy(evidence)),
            Section("limitations", "Limitations", (Bullets(tuple(limitations(evidence.scope))),)),
            Section("methods", "Methods in short", _methods(evidence)),
            Section("provenance", "Provenance", _provenance(evidence)),
        ),
    )


def answer(evidence: Evidence) -> str:
    """The answer in one sentence."""
    return headline(evidence.family("cell"), evidence.family("versus control"), _of_arm(evidence))


def found(evidence: Evidence) -> tuple[Block, ...]:
    """The answer: paragraphs, the slopes at a glance, and how to read them."""
    paragraphs = verdict(
        evidence.scope,
        evidence.family("cell"),
        evidence.family("control"),
        evidence.family("versus control"),
        evidence.classes(),
        _of_arm(evidence),
    )
    glance = results.glance_table(evidence.family("cell"))
    return (*map(Text, paragraphs), glance, Terms(READING))


def _design(evidence: Evidence) -> tuple[Block, ...]:
    scope, log = evidence.scope, evidence.log
    arms = [arm for arm in ARMS if arm in scope.arms]
    failed = failed_cells(log, scope.split)
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
    if log.notes:
        blocks.append(Bullets(log.notes))
    blocks.append(facts.network_table(evidence.measures))
    cells = log.cells.filter(pl.col("split") == scope.split)
    blocks.append(facts.cell_table(missing_cells(cells, failed), evidence.slopes))
    if failed.height:
        blocks.append(facts.failed_table(failed))
    return tuple(blocks)


def _slopes(evidence: Evidence) -> tuple[Block, ...]:
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


def _control(evidence: Evidence) -> tuple[Block, ...]:
    scope, control = evidence.scope, evidence.family("control")
    versus = evidence.family("versus control")
    if not control.height:
        return (
            Text(
                "This log has no control arm: no dense network was fine-tuned like the pruned ones "
                "with nothing removed. The effect of removing weights cannot be told from that of "
                "further training. Add the arm `control` to the study to separate them."
            ),
        )
    table = results.slope_table(
        control,
        evidence.conditions,
        "control",
        f"What fine-tuning alone does ({results.where(control)})",
    )
    if not versus.height:
        why = (
            "No network that was tested has a control; those below belong to others."
            if scope.arm == FINETUNED
            else "The reported arm was not fine-tuned, so none is compared with it."
        )
        return (Text(why), table)
    family = results.family("versus control", versus)
    lacking = ""
    if scope.uncontrolled:
        lacking = (
            f" It is there for {scope.conditions - scope.uncontrolled} of {scope.conditions} "
            "conditions."
        )
    return (
        Text(
            "Networks of this arm were fine-tuned exactly like the pruned ones, with nothing "
            "removed. The difference from it is what the removal of weights adds, at equal further "
            f"training.{lacking}"
        ),
        table,
        against_control(versus, scope.methods),
        results.comparison_table(versus, family, scope.settings),
    )


def _balances(evidence: Evidence) -> tuple[Block, ...]:
    rows = evidence.measures.filter(pl.col("arm") == evidence.scope.arm)
    parts = _contexts(_of_arm(evidence), "balances")
    blocks: list[Block] = _left_out(len(parts))
    for conditions, name, heading in parts[:MOST_CONTEXTS]:
        of_context = rows.join(conditions.select(CONTEXT).unique(), on=CONTEXT, how="semi")
        blocks.append(balance_scatter(of_context, conditions, name, heading))
    return tuple(blocks)


def _classes(evidence: Evidence) -> tuple[Block, ...]:
    found = evidence.classes()
    losses = largest_losses(found, FEW_LOSSES)
    parts = _contexts(found, "classes")
    blocks: list[Block] = _left_out(len(parts))
    blocks += [
        recall_changes(classes, name, heading, evidence.scope.settings.level)
        for classes, name, heading in parts[:MOST_CONTEXTS]
    ]
    if losses.height:
        caption = f"The {FEW_LOSSES} largest mean losses of each method at its largest ratio"
        blocks.append(facts.class_table(losses, evidence.measures, "largest-losses", caption))
    compressed = found.filter(pl.col("arm") != CONTROL)
    by_condition = compressed.partition_by(CONDITION, maintain_order=True)
    every = pl.concat(rows.sort("estimate", nulls_last=True) for rows in by_condition)
    caption = "Recall of every class before and after, largest losses first"
    blocks.append(facts.class_table(every, evidence.measures, "classes", caption))
    return tuple(blocks)


def _comparisons(evidence: Evidence) -> tuple[Block, ...]:
    tested = evidence.slopes.filter(pl.col("arm") == evidence.scope.arm)
    blocks: list[Block] = []
    for family in CATALOGUE:
        if family.family not in COMPARISONS:
            continue
        rows = evidence.family(family.family)
        if not rows.height:
            blocks.append(Text(f"{family.question} {not_asked(tested, family)}"))
            continue
        asked = results.family(family.family, rows)
        blocks.append(Text(f"{asked.question} {compared_in_words(rows)}"))
        blocks.append(results.comparison_table(rows, asked, evidence.scope.settings))
    return tuple(blocks)


def _accuracy(evidence: Evidence) -> tuple[Block, ...]:
    arms = [evidence.scope.arm, CONTROL]
    conditions = evidence.conditions.filter(pl.col("arm").is_in(arms))
    blocks: list[Block] = [
        Text(
            "Gaps between classes widen by themselves as accuracy falls; methods are best compared "
            "at equal accuracy."
        )
    ]
    if conditions["alpha"].null_count() < conditions.height:
        blocks.append(accuracy_plane(conditions, evidence.scope.methods))
    blocks.append(variance_curves(conditions, evidence.scope.methods))
    blocks.append(facts.accuracy_table(conditions))
    return tuple(blocks)


def _methods(evidence: Evidence) -> tuple[Block, ...]:
    levels = evidence.family("cell")["conf_level"].drop_nulls().unique().to_list()
    return (
        Text(population(evidence.scope)),
        Terms(DEFINITIONS),
        Bullets(tuple(tests_in_words(evidence.scope, levels))),
    )


def _provenance(evidence: Evidence) -> tuple[Block, ...]:
    call = origins.call_table(evidence.log.source, evidence.options)
    if not evidence.log.provenance:
        missing = "The log came without provenance: device, times and code of the runs are unknown."
        return (Text(missing), call)
    return (call, origins.run_table(evidence.log.provenance))


def _of_arm(evidence: Evidence) -> pl.DataFrame:
    return evidence.conditions.filter(pl.col("arm") == evidence.scope.arm)


def _left_out(settings: int) -> list[Block]:
    """A word on the settings that get no figure of their own."""
    if settings <= MOST_CONTEXTS:
        return []
    return [
        Text(
            f"Drawn for the first {MOST_CONTEXTS} of {settings} settings (data set, model, "
            "recipe); the tables and findings.json have all of them."
        )
    ]


def _contexts(frame: pl.DataFrame, prefix: str) -> list[tuple[pl.DataFrame, str, str]]:
    """The frame by context, each part with a file name and a heading of its own."""
    parts = by_context(frame)
    tested = frame.filter(pl.col("arm") != CONTROL)
    named = [c for c in CONTEXT if c in ("dataset", "model") or tested[c].n_unique() > 1]
    found = []
    for number, part in enumerate(parts, 1):
        row = part.row(0, named=True)
        heading = setting(row, named)
        if len(parts) == 1:
            return [(part, prefix, heading)]
        name = safe_name("-".join(str(row[c]) for c in named))
        found.append((part, f"{prefix}-{number}-{name}", heading))
    return found
