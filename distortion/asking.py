"""What is tested in each family, gathered from one log, each table computed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from distortion.association import associations
from distortion.comparisons import SEPARATOR, by_condition, changes_by_class, compared, trends
from distortion.counts import Counts, counts
from distortion.covariates import covariate_effects
from distortion.designs import (
    CONDITION,
    compressed_arm,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    slopes,
)
from distortion.hypotheses import Hypothesis, Samples
from distortion.log import RecallLog
from distortion.measures import log_spread
from distortion.nulls.equal import What, at_equal
from distortion.nulls.matched import matched_null
from distortion.repairs.table import repaired_slopes
from distortion.schema import CONTROL
from distortion.settings import Settings
from distortion.structural.table import structural


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
    def counts(self) -> list[Counts]:
        """The counts of every condition as arrays."""
        return counts(self.log, arm=self.arm, split=self.split)

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
    return associations(asked.counts, asked.rng)


def _repaired(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.repaired.filter(pl.col("estimator") == hypothesis.measure))


def _null(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.null.filter(pl.col("measure") == hypothesis.measure))


def _latent(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    return _as_tests(asked.latent.filter(pl.col("measure") == hypothesis.measure))


def _equal(asked: Asked, hypothesis: Hypothesis) -> pl.DataFrame:
    what: What = "accuracy" if hypothesis.samples == "equal accuracy" else "ratio_achieved"
    context = [c for c in CONDITION if c not in ("method", "ratio")]
    methods_at = asked.of_arm(hypothesis).group_by(context).agg(pl.col("method").n_unique())
    if what not in asked.samples.columns or methods_at["method"].max() == 1:
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


def ask(log: RecallLog, settings: Settings) -> Asked:
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
