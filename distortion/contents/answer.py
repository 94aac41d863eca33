"""The answer: one sentence, then paragraphs, then the slopes at a glance."""

from distortion.blocks import Block, Terms, Text
from distortion.contents.parts import of_arm
from distortion.evidence import Evidence
from distortion.prose.beyond import beyond
from distortion.prose.cautions import near_chance
from distortion.prose.headline import headline
from distortion.prose.methods import READING
from distortion.prose.verdict import verdict
from distortion.tables import results


def answer(evidence: Evidence) -> str:
    """The answer in one sentence."""
    return headline(
        evidence.family("cell"),
        evidence.family("versus control"),
        of_arm(evidence),
        evidence.treated("excess"),
        evidence.treated("latent"),
    )


def found(evidence: Evidence) -> tuple[Block, ...]:
    """The answer: paragraphs, the slopes at a glance, and how to read them."""
    conditions = of_arm(evidence)
    left = beyond(
        evidence.family("cell"),
        evidence.treated("excess"),
        evidence.treated("latent"),
        evidence.treated("latent versus control"),
        evidence.family("method"),
        evidence.family("method at equal accuracy"),
        near_chance(evidence.scope, conditions),
    )
    paragraphs = verdict(
        evidence.scope,
        evidence.family("cell"),
        evidence.family("control"),
        evidence.family("versus control"),
        evidence.classes(),
        conditions,
        left,
    )
    glance = results.glance_table(evidence.family("cell"))
    return (*map(Text, paragraphs), glance, Terms(READING))
