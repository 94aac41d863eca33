"""The catalogue of questions asked of one log, answered in one table.

Every family of `distortion.catalogue` is tested, then corrected as a whole, then put into words.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from distortion.asking import SAMPLES, Asked, ask
from distortion.catalogue import unordered
from distortion.corrections import Correction
from distortion.designs import sizes_are_known
from distortion.doubts import doubts, with_doubts
from distortion.errors import DesignError
from distortion.fits.results.arguments import Seed
from distortion.log import RecallLog, Source, read_log
from distortion.settings import Settings
from distortion.testing import adopted, tested
from distortion.verdicts import put_into_words, to_schema


def findings(
    log: Source,
    *,
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
    correction: Correction | None = None,
    one_sided: bool = False,
    equal_variances: bool = False,
    reference_models: Mapping[str, str] | None = None,
    margin: float = 0.1,
    class_margin: float = 0.01,
    rng: Seed = 0,
) -> pl.DataFrame:
    """Test every family of the catalogue on a log.

    Parameters
    ----------
    arm, split, level, correction, one_sided, equal_variances, reference_models, margin,
    class_margin, rng : see `distortion.settings.Settings`. The paper's own choices are
        `correction="bonferroni", one_sided=True`

    Returns
    -------
    One row per test, with the columns of `FINDINGS`. `estimate` is a mean slope α (families
    cell, control), a mean log κ (spread), a difference of two (`comparison` says which), a slope
    on log2 ratio (trend) or a change of recall (class, as a share). The interval is two-sided at
    `conf_level` and shows the variation between networks (seeds). `mark` of a one-sample test: >
    above the null, < below by the corrected test, ? undecided.
    `kappa` and `rho` stand beside every α: geometric mean κ, for one sample with its interval
    at `conf_level`, and mean ρ; for comparisons the quotient of the κ and the difference of the
    ρ. `networks_b`: size of the second sample of an
    independent test, else null. `effect_size`: Hedges' g; `p_permutation`: the same hypothesis
    tested by sign flips of networks, or by exchanging them between samples.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or an option is out of its range.
    """
    settings = Settings(
        arm=arm,
        split=split,
        level=level,
        correction=correction,
        one_sided=one_sided,
        equal_variances=equal_variances,
        reference_models=reference_models,
        margin=margin,
        class_margin=class_margin,
        rng=rng,
    )
    return found_with(read_log(log), settings)


def found_with(log: RecallLog, settings: Settings) -> pl.DataFrame:
    """`findings` of a log, options as one object."""
    return answers(ask(log, settings), settings)


def answers(whole: Asked, settings: Settings) -> pl.DataFrame:
    """Every family of the catalogue, tested; `whole` is what `ask` collected."""
    tables = []
    for hypothesis in settings.catalogue():
        asked, doubt = whole, ""
        if hypothesis.factor == "dataset" and settings.reference_models:
            at = _at_reference(whole.samples, settings.reference_models)
            asked = replace(whole, samples=at)
        if hypothesis.factor == "model" and not sizes_are_known(whole.log):
            hypothesis = unordered(hypothesis)
            doubt = "sizes of models unknown or equal: compared by name, without a direction"
        tests = SAMPLES[hypothesis.samples](asked, hypothesis)
        if not tests.height:
            continue
        if "mean" in tests.columns:
            found = tested(tests, hypothesis, settings, whole.rng)
        else:
            found = adopted(tests, hypothesis, settings)
        tables.append(put_into_words(found, hypothesis, 1 - settings.level, doubt))
    table = pl.concat([to_schema(table) for table in tables])
    return with_doubts(table, doubts(whole.counts))


def _at_reference(samples: pl.DataFrame, reference: Mapping[str, str]) -> pl.DataFrame:
    unknown = sorted(set(reference) - set(samples["dataset"]))
    if unknown:
        raise DesignError(f"reference_models names data sets that the log lacks: {unknown}.")
    present = set(samples.select("dataset", "model").iter_rows())
    if missing := [f"{m} on {d}" for d, m in reference.items() if (d, m) not in present]:
        raise DesignError(f"reference_models names models that the log lacks: {missing}.")
    wanted = pl.col("dataset").replace_strict(reference, default=None, return_dtype=pl.String)
    return samples.filter(wanted.is_null() | (pl.col("model") == wanted))
