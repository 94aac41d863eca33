"""The catalogue of questions asked of one log, answered in one table.

Every family of `distortion.hypotheses` is tested, then corrected as a whole, then put into words.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from distortion.comparisons import changes_by_class, compared, slopes_by_condition
from distortion.corrections import CORRECTIONS, Correction
from distortion.designs import (
    compressed_arm,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    sizes_are_known,
    slopes,
)
from distortion.errors import DesignError, did_you_mean
from distortion.fits.ttests import one_sample, two_sample
from distortion.hypotheses import (
    CATALOGUE,
    CLASS,
    DATASET,
    MODEL,
    MODEL_UNORDERED,
    Hypothesis,
)
from distortion.log import RecallLog, Source, read_log
from distortion.measures import log_spread
from distortion.schema import CONTROL
from distortion.verdicts import put_into_words, to_schema


def findings(
    log: Source,
    *,
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
    correction: Correction = "bonferroni",
    equal_variances: bool = False,
    reference_models: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Test every family of the catalogue on a log.

    Parameters
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : family-wise confidence, between 0 and 1; intervals are Bonferroni-adjusted within a
        column, so 0.95 and five ratios give 99 % intervals, as in Good et al. (2022), section 6.1
    correction : of the p-values within a column; "bonferroni" is the paper's
    equal_variances : Student's pooled variance instead of Welch's in independent t-tests
    reference_models : by data set, the model that represents it when data sets are compared

    Returns
    -------
    One row per test, with the columns of `FINDINGS`. `estimate` is a mean slope α (families
    cell, control), a difference of mean slopes (`comparison` says which) or a change of recall
    (family class, as a share). The interval is two-sided at `conf_level` and shows the
    variation between networks (seeds). `mark` of a one-sample test: > above the null, < below,
    ? overlaps it.
    `kappa` and `rho` stand beside every α: geometric mean κ, for one sample with its interval
    at `conf_level`, and mean ρ; for comparisons the quotient of the κ and the difference of the
    ρ. `networks_b`: size of the second sample of an
    independent test, else null.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or an option is out of its range.
    """
    _check_options(level, correction)
    log = read_log(log)
    arm = compressed_arm(log, arm, split)
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
    tables = []
    for hypothesis in CATALOGUE:
        rows, doubt = samples, ""
        if hypothesis is DATASET and reference_models:
            rows = _at_reference(samples, reference_models)
        if hypothesis is MODEL and not sizes_are_known(log):
            hypothesis = MODEL_UNORDERED
            doubt = "sizes of models unknown or equal: compared by name, without a direction"
        tests = _samples_of(hypothesis, log, rows, arm, split, order)
        if tests.height:
            tested = _test(tests, hypothesis, level, equal_variances)
            tested = _correct(tested, hypothesis, correction)
            tables.append(put_into_words(tested, hypothesis, 1 - level, doubt))
    return pl.concat([to_schema(table) for table in tables])


def _check_options(level: float, correction: str) -> None:
    if not 0 < level < 1:
        raise DesignError(f"level is a confidence between 0 and 1, such as 0.95, not {level}.")
    if correction not in CORRECTIONS:
        raise DesignError(
            f"Unknown correction {correction!r}. {did_you_mean(correction, CORRECTIONS)}"
        )


def _at_reference(samples: pl.DataFrame, reference: Mapping[str, str]) -> pl.DataFrame:
    unknown = sorted(set(reference) - set(samples["dataset"]))
    if unknown:
        raise DesignError(f"reference_models names data sets that the log lacks: {unknown}.")
    present = set(samples.select("dataset", "model").iter_rows())
    if missing := [f"{m} on {d}" for d, m in reference.items() if (d, m) not in present]:
        raise DesignError(f"reference_models names models that the log lacks: {missing}.")
    wanted = pl.col("dataset").replace_strict(reference, default=None, return_dtype=pl.String)
    return samples.filter(wanted.is_null() | (pl.col("model") == wanted))


def _samples_of(
    hypothesis: Hypothesis,
    log: RecallLog,
    samples: pl.DataFrame,
    arm: str,
    split: str,
    order: dict[str, list[str]],
) -> pl.DataFrame:
    """One row per test of this family, see `distortion.comparisons`; empty if there is none."""
    if hypothesis is CLASS:
        rows = measures(log).filter(pl.col("split") == split, pl.col("arm").is_in([arm, CONTROL]))
        change = (pl.col("correct") - pl.col("correct_dense")) / pl.col("n")
        return changes_by_class(rows.with_columns(recall_change=change))
    if hypothesis.factor == "arm":
        arms = [hypothesis.arm, CONTROL]
        return compared(samples.filter(pl.col("arm").is_in(arms)), hypothesis, [])
    rows = samples.filter(pl.col("arm") == (hypothesis.arm or arm))
    if hypothesis.factor is None:
        return slopes_by_condition(rows)
    return compared(rows, hypothesis, order.get(hypothesis.factor, []))


def _test(
    tests: pl.DataFrame, hypothesis: Hypothesis, level: float, equal_variances: bool
) -> pl.DataFrame:
    fields = [c for c in hypothesis.column if c in tests.columns]
    size = tests.select(pl.len().over(fields or pl.lit(0)).alias("size"))["size"].to_numpy()
    conf_level = 1 - (1 - level) / size
    mean, sd, n = (tests[c].to_numpy() for c in ("mean", "sd", "n"))
    null, side = hypothesis.null, hypothesis.side
    if "n_b" in tests.columns:
        mean_b, sd_b, n_b = (tests[c].to_numpy() for c in ("mean_b", "sd_b", "n_b"))
        result = two_sample(
            mean,
            sd,
            n,
            mean_b,
            sd_b,
            n_b,
            null,
            side,
            conf_level,
            equal_variances=equal_variances,
        )
    else:
        result = one_sample(mean, sd, n, null, side, conf_level)
    if "mean_log_kappa" in tests.columns:
        mean, sd, n = (tests[f"{c}_log_kappa"].to_numpy() for c in ("mean", "sd", "n"))
        spread = one_sample(mean, sd, n, 0.0, "two-sided", conf_level)
        tests = tests.with_columns(
            kappa_low=pl.Series(np.exp(spread.conf_low), nan_to_null=True),
            kappa_high=pl.Series(np.exp(spread.conf_high), nan_to_null=True),
        )
    fields_of = {f: getattr(result, f) for f in result.__slots__}
    return tests.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in fields_of.items()),
        conf_level=pl.Series(conf_level),
    )


def _correct(tested: pl.DataFrame, hypothesis: Hypothesis, correction: Correction) -> pl.DataFrame:
    fields = [c for c in hypothesis.column if c in tested.columns]
    correct = CORRECTIONS[correction]

    def corrected(p: pl.Series) -> pl.Series:
        return pl.Series(correct(p.to_numpy().astype(np.float64)), nan_to_null=True)

    over = [pl.col(c) for c in fields] or [pl.lit(0)]
    return tested.with_columns(
        pl.col("p_value")
        .map_batches(corrected, return_dtype=pl.Float64)
        .over(over)
        .alias("p_corrected"),
        pl.len().over(over).cast(pl.Int64).alias("n_tests"),
        correction=pl.lit(correction),
    )
