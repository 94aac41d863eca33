"""What a reader needs to judge the rest: number of tests, power, limitations, methods, origin."""

from distortion.blocks import Block, Bullets, Terms, Text
from distortion.contents.parts import of_arm
from distortion.evidence import Evidence
from distortion.figures.power import power_curves
from distortion.labels import counted
from distortion.prose.limitations import limitations
from distortion.prose.methods import DEFINITIONS, tests_in_words
from distortion.prose.population import population
from distortion.prose.reservations import reservations
from distortion.tables import numbers, origins
from distortion.tables.families import family_table
from distortion.tables.plans import plan_table


def multiplicity(evidence: Evidence) -> tuple[Block, ...]:
    """How many tests there are, and what each is corrected for."""
    level = evidence.scope.settings.level
    table = family_table(evidence.findings, level)
    tests = evidence.findings["p_value"].count()
    return (
        Text(
            f"This report tests {counted(tests, 'hypothesis', 'hypotheses')} in "
            f"{counted(table.data.height, 'family', 'families')}. Each family is corrected within "
            f"its columns at {numbers.significant(1 - level)}; across families nothing is "
            "corrected. Families share data, so that their errors go together. The primary "
            "question is the slope of a condition (family cell); the others qualify it."
        ),
        table,
    )


def power(evidence: Evidence) -> tuple[Block, ...]:
    """What this design can detect, and the seeds that an effect would need."""
    planned = evidence.plan
    blocks: list[Block] = [Text(" ".join(planned.sentences)), plan_table(planned)]
    if planned.curve["power"].count():
        blocks.insert(1, power_curves(planned.curve, planned.request.power))
    return tuple(blocks)


def limitations_found(evidence: Evidence) -> tuple[str, ...]:
    """The limitations of the design, then those that the estimates call for."""
    more = reservations(
        of_arm(evidence),
        evidence.treated("latent"),
        evidence.treated("excess"),
        evidence.family("method"),
    )
    return (*limitations(evidence.scope), *more)


def methods_used(evidence: Evidence) -> tuple[Block, ...]:
    """Population, definitions and tests."""
    levels = evidence.family("cell")["conf_level"].drop_nulls().unique().to_list()
    return (
        Text(population(evidence.scope)),
        Terms(DEFINITIONS),
        Bullets(tuple(tests_in_words(evidence.scope, levels))),
    )


def provenance(evidence: Evidence) -> tuple[Block, ...]:
    """The call, and what the runner recorded."""
    call = origins.call_table(evidence.log.source, evidence.options)
    if not evidence.log.provenance:
        missing = "The log came without provenance: device, times and code of the runs are unknown."
        return (Text(missing), call)
    return (call, origins.run_table(evidence.log.provenance))
