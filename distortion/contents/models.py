"""The mixed models of covariates, and the diagnostics of everything that was estimated."""

from distortion.blocks import Block, Text
from distortion.diagnostics import network_effects, residual_tests, residuals
from distortion.evidence import Evidence
from distortion.figures.coefficients import effect_dots
from distortion.figures.diagnostics import diagnostic_panels
from distortion.labels import counted
from distortion.prose import checks
from distortion.tables.checks import check_table
from distortion.tables.effects import effect_table, random_table, trend_table


def covariates(evidence: Evidence) -> tuple[Block, ...]:
    """Fixed and random effects of ratio, difficulty and complexity."""
    found = evidence.family("covariates", "spread covariates")
    if not found.height:
        return (
            Text(
                "Not asked: neither the ratio nor the difficulty of data sets nor the complexity "
                "of models varies, as far as the log knows them."
            ),
        )
    blocks: list[Block] = [
        Text(
            "One mixed model per method, over all data sets, models and ratios together. Its lines "
            "are straight in log ratio; the diagnostics say whether they should be."
        )
    ]
    if found["estimate"].count():
        blocks.append(effect_dots(found, list(evidence.scope.methods)))
    blocks.append(effect_table(found))
    trends = evidence.family("trend", "spread trend", "latent trend")
    if trends.height:
        blocks.append(trend_table(trends))
    models = [model for fitted in evidence.mixed.values() for model in fitted]
    if models:
        blocks.append(random_table(models))
    return tuple(blocks)


def diagnostics(evidence: Evidence) -> tuple[Block, ...]:
    """One figure, and one row per check."""
    models = evidence.mixed["alpha"]
    left = residuals(models)
    found = [
        *(checks.of_residuals(residual_tests(left)) if left.height else []),
        *checks.of_fits(models),
        *(checks.of_influence(evidence.influence) if evidence.influence.height else []),
        *checks.of_noise(evidence.treated_only(evidence.repaired)),
        *checks.of_balances(evidence.offset, evidence.treated_only(evidence.repaired)),
        *checks.of_structure(evidence.treated_only(evidence.latent)),
    ]
    table = checks.checks_table(found)
    second = table.filter(table["verdict"] != checks.FINE)
    words = "nothing stands out"
    if second.height:
        words = f"{second.height} deserve a second look"
    blocks: list[Block] = [Text(f"Of {counted(table.height, 'check')}, {words}.")]
    figure = diagnostic_panels(
        left,
        network_effects(models),
        evidence.influence,
        evidence.treated_only(evidence.repaired),
        evidence.scope.methods,
    )
    if figure is not None:
        blocks.append(figure)
    return (*blocks, check_table(table))
