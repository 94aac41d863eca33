"""The report as a whole; how it is written is `distortion.pages`' matter."""

from distortion.blocks import Bullets, Contents, Section
from distortion.contents.accuracy import accuracy
from distortion.contents.answer import answer, found
from distortion.contents.classes import classes
from distortion.contents.closing import (
    limitations_found,
    methods_used,
    multiplicity,
    power,
    provenance,
)
from distortion.contents.comparisons import comparisons
from distortion.contents.control import control
from distortion.contents.design import design
from distortion.contents.models import covariates, diagnostics
from distortion.contents.slopes import balances, intensification, repairs
from distortion.evidence import Evidence
from distortion.labels import listed


def contents(evidence: Evidence) -> Contents:
    """Compose the report: the answer first, methods last."""
    names = [d.name for d in evidence.scope.datasets]
    return Contents(
        f"Recall distortion: {listed(names, 3)}",
        answer(evidence),
        (
            Section("found", "What was found", found(evidence)),
            Section("design", "What was run", design(evidence)),
            Section("classes", "Classes", classes(evidence)),
            Section("intensification", "Intensification by ratio", intensification(evidence)),
            Section("repairs", "The slope and its repairs side by side", repairs(evidence)),
            Section("balances", "Recall balance before and after", balances(evidence)),
            Section("control", "Control arm: fine-tuning alone", control(evidence)),
            Section("accuracy", "Accuracy against imbalance", accuracy(evidence)),
            Section("covariates", "Ratio, difficulty, complexity together", covariates(evidence)),
            Section("comparisons", "Comparisons", comparisons(evidence)),
            Section("diagnostics", "Diagnostics", diagnostics(evidence)),
            Section("multiplicity", "How many tests", multiplicity(evidence)),
            Section("power", "What this design can detect", power(evidence)),
            Section("limitations", "Limitations", (Bullets(limitations_found(evidence)),)),
            Section("methods", "Methods in short", methods_used(evidence)),
            Section("provenance", "Provenance", provenance(evidence)),
        ),
    )
