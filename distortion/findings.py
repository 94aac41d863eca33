"""The catalogue of questions asked of one log, answered in one table.

Every family of `distortion.hypotheses` is tested, then corrected as a whole, then put into words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from distortion.association import associations
from distortion.catalogue import unordered
from distortion.comparisons import SEPARATOR, by_condition, changes_by_class, compared, trends
from distortion.corrections import Correction
from distortion.counts import counts
from distortion.covariates import covariate_effects
from distortion.designs import (
    compressed_arm,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    sizes_are_known,
    slopes,
)
from distortion.errors import DesignError
from distortion.hypotheses import Hypothesis, Samples
from distortion.log import RecallLog, Source, read_log
from distortion.measures import log_spread
from distortion.nulls.equal import What, at_equal
from distortion.nulls.matched import matched_null
from distortion.repairs.table import repaired_slopes
from distortion.schema import CONTROL
from distortion.settings import Seed, Settings
from distortion.structural.table import structural
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
    above the null, < below, ? overlaps it.
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


def ask(log: RecallLog, settings: Settings) -> "Asked":
    """Collect what the families need of a log."""
    split = settings.split
    arm = compressed_arm(log, settings.arm, split)
    samples = (
        slopes(log)
        .filter(pl.col("split") == split, pl.col("arm").is_in([arm, CONTROL]))
        .with_columns(log_kappa=log_spread("kappa"))
    )
    order = {
        "dataset": datasets_by_difficulty(log, split),
        "model": models_by_complexity(log),
        "method": methods(log),
    }
    return Asked(log, samples, arm, split, order, np.random.default_rng(settings.rng))


def answers(whole: "Asked", settings: Settings) -> pl.DataFrame:
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
    return pl.concat([to_schema(table) for table in tables])


def _at_reference(samples: pl.DataFrame, reference: Mapping[str, str]) -> pl.DataFrame:
    unknown = sorted(set(reference) - set(samples["dataset"]))
    if unknown:
        raise DesignError(f"reference_models names data sets that the log lacks: {unknown}.")
    present = set(samples.select("dataset", "model").iter_rows())
    if missing := [f"{m} on {d}" for d, m in reference.items() if (d, m) not in present]:
        raise DesignError(f"reference_models names models that the log lacks: {missing}.")
    wanted = pl.col("dataset").replace_strict(reference, default=None, return_dtype=pl.String)
    return samples.filter(wanted.is_null() | (pl.col("model") == wanted))


@dataclass(frozen=True)
class Asked:
    """What the families need, each computed once.

    Attributes
    ----------
    samples : cells of the arm asked for and of the control arm, with every measure
    order : levels of data sets, models and methods in the order of comparison
    rng : of permutations
    """

    log: RecallLog
    samples: pl.DataFrame
    arm: str
    split: str
    order: Mapping[str, list[str]]
    rng: np.random.Generator

    @cached_property
    def latent(self) -> pl.DataFrame:
        """The structural model of every method."""
        return structural(self.log, arm=self.arm, split=self.split, interval="wald")

    @cached_property
    def repaired(self) -> pl.DataFrame:
        """Every repaired slope."""
        return repaired_slopes(self.log, arm=self.arm, split=self.split)

    @cached_property
    def null(self) -> pl.DataFrame:
        """The accuracy-matched null and what goes beyond it."""
        return matched_null(self.log, arm=self.arm, split=self.split)

    def of_arm(self, hypothesis: Hypothesis) -> pl.DataFrame:
        """The cells that the hypothesis is about."""
        return self.samples.filter(pl.col("arm") == (hypothesis.arm or self.arm))


def _cells(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    if hypothesis.factor == "arm":
        arms = [hypothesis.arm, CONTROL]
        return compared(asked.samples.filter(pl.col("arm").is_in(arms)), hypothesis, [])
    rows = asked.of_arm(hypothesis)
    if hypothesis.factor is None:
        return by_condition(rows, hypothesis)
    return compared(rows, hypothesis, asked.order.get(hypothesis.factor, []))


def _trends(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return trends(asked.of_arm(hypothesis), hypothesis)


def _classes(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    wanted = pl.col("split") == asked.split, pl.col("arm").is_in([asked.arm, CONTROL])
    change = (pl.col("correct") - pl.col("correct_dense")) / pl.col("n")
    return changes_by_class(measures(asked.log).filter(*wanted).with_columns(recall_change=change))


def _mixed_model(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    measure = hypothesis.measure
    return covariate_effects(asked.log, asked.of_arm(hypothesis), measure, asked.arm, asked.split)


def _association(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return associations(counts(asked.log, arm=asked.arm, split=asked.split), asked.rng)


def _repaired(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.repaired.filter(pl.col("estimator") == hypothesis.measure))


def _null(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.null.filter(pl.col("measure") == hypothesis.measure))


def _latent(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.latent.filter(pl.col("measure") == hypothesis.measure))


def _equal(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    what: What = "accuracy" if hypothesis.samples == "equal accuracy" else "ratio_achieved"
    if what not in asked.samples.columns:
        return pl.DataFrame()
    table = at_equal(asked.log, what, hypothesis.measure, arm=asked.arm, split=asked.split)
    pair = pl.concat_str("method", "method_b", separator=SEPARATOR)
    return _as_tests(table.with_columns(comparison=pair))


def _as_tests(table: pl.DataFrame) -> pl.DataFrame:
    """Rows of a table of estimates; their intervals are made anew for the size of the family."""
    table = table.rename({"caveat": "doubt", "networks": "n"})
    return table.drop("conf_low", "conf_high", "conf_level")


SAMPLES: Final[dict[Samples, Callable[[Asked, Hypothesis], pl.DataFrame]]] = {
    "cells": _cells,
    "trends": _trends,
    "classes": _classes,
    "mixed model": _mixed_model,
    "association": _association,
    "repaired": _repaired,
    "null": _null,
    "latent": _latent,
    "equal accuracy": _equal,
    "equal ratio": _equal,
}
