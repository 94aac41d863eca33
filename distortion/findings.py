"""The catalogue of questions asked of one log, answered in one table.

Every family of `distortion.hypotheses` is tested, then corrected as a whole, then put into words.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from distortion.comparisons import compared, single
from distortion.corrections import CORRECTIONS, Correction
from distortion.designs import (
    CONDITION,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    slopes,
)
from distortion.errors import DesignError
from distortion.fits.ttests import one_sample, two_sample
from distortion.hypotheses import CATALOGUE, CLASS, Hypothesis
from distortion.log import RecallLog, Source, read_log
from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED

FEW_NETWORKS: Final = 5
FINDINGS: Final = pl.Schema(
    {
        "family": pl.String(),
        **{c: pl.Float64() if c == "ratio" else pl.String() for c in CONDITION},
        "class_id": pl.Int64(),
        "class_name": pl.String(),
        "comparison": pl.String(),
        "measure": pl.String(),
        "estimate": pl.Float64(),
        "std_error": pl.Float64(),
        "df": pl.Float64(),
        "statistic": pl.Float64(),
        "p_value": pl.Float64(),
        "conf_low": pl.Float64(),
        "conf_high": pl.Float64(),
        "conf_level": pl.Float64(),
        "null": pl.Float64(),
        "side": pl.String(),
        "correction": pl.String(),
        "n_tests": pl.Int64(),
        "p_corrected": pl.Float64(),
        "networks": pl.Int64(),
        "networks_b": pl.Int64(),
        "kappa": pl.Float64(),
        "rho": pl.Float64(),
        "mark": pl.String(),
        "verdict": pl.String(),
        "caveat": pl.String(),
    }
)


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
    arm : compressed arm to test; default: finetuned where the log has it, else pruned
    split : images counted
    level : family-wise confidence; intervals are Bonferroni-adjusted within a column, so 0.95
        and five ratios give 99 % intervals, as in Good et al. (2022), section 6.1
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
    `kappa` and `rho` stand beside every α: geometric mean κ and mean ρ; for comparisons the
    quotient of the κ and the difference of the ρ. `networks_b`: size of the second sample of an
    independent test, else null.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split.
    """
    log = read_log(log)
    arm = _choose_arm(log, arm, split)
    samples = (
        slopes(log)
        .filter(pl.col("split") == split, pl.col("arm").is_in([arm, CONTROL]))
        .with_columns(log_kappa=pl.when(pl.col("kappa") > 0).then(pl.col("kappa").log()))
    )
    order = {
        "dataset": datasets_by_difficulty(log),
        "model": models_by_complexity(log),
        "method": methods(log),
    }
    tables = []
    for hypothesis in CATALOGUE:
        rows = samples
        if hypothesis.family == "dataset" and reference_models:
            rows = _at_reference(samples, reference_models)
        tests = _samples_of(hypothesis, log, rows, arm, split, order)
        if tests.height:
            tested = _test(tests, hypothesis, level, equal_variances)
            tested = _correct(tested, hypothesis, correction, level)
            tables.append(_put_into_words(tested, hypothesis, 1 - level))
    unbalanced = samples.filter(~pl.col("balanced"))["dataset"].unique().to_list()
    found = pl.concat([_to_schema(table) for table in tables])
    return found.with_columns(
        _add_caveat(pl.col("dataset").is_in(unbalanced), "unbalanced classes")
    )


def _choose_arm(log: RecallLog, arm: str | None, split: str) -> str:
    arms = log.cells.filter(pl.col("split") == split)["arm"].unique(maintain_order=True).to_list()
    chosen = arm or (FINETUNED if FINETUNED in arms else PRUNED)
    if chosen not in arms or chosen == DENSE:
        raise DesignError(
            f"No compressed cells to test: arm {chosen!r}, split {split!r}. This log has arms "
            f"{arms} on that split and splits {log.cells['split'].unique().to_list()}."
        )
    return chosen


def _at_reference(samples: pl.DataFrame, reference: Mapping[str, str]) -> pl.DataFrame:
    unknown = sorted(set(reference) - set(samples["dataset"]))
    if unknown:
        raise DesignError(f"reference_models names data sets that the log lacks: {unknown}.")
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
        names = [c for c in ("class_name",) if c in log.table.columns]
        rows = measures(log).filter(pl.col("split") == split, pl.col("arm").is_in([arm, CONTROL]))
        rows = rows.with_columns(recall_change=pl.col("recall") - pl.col("recall_dense"))
        return single(rows, hypothesis.measure, [*CONDITION, "class_id", *names])
    if hypothesis.factor == "arm":
        arms = [hypothesis.arm, CONTROL]
        return compared(samples.filter(pl.col("arm").is_in(arms)), hypothesis, [])
    rows = samples.filter(pl.col("arm") == (hypothesis.arm or arm))
    if hypothesis.factor is None:
        return single(rows, hypothesis.measure, list(CONDITION))
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
    fields_of = {f: getattr(result, f) for f in result.__slots__}
    return tests.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in fields_of.items()),
        conf_level=pl.Series(conf_level),
    )


def _correct(
    tested: pl.DataFrame, hypothesis: Hypothesis, correction: Correction, level: float
) -> pl.DataFrame:
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
        pl.col("p_value").count().over(over).cast(pl.Int64).alias("n_tests"),
        correction=pl.lit(correction),
    )


def _put_into_words(tested: pl.DataFrame, hypothesis: Hypothesis, alpha: float) -> pl.DataFrame:
    above, below = pl.col("conf_low") > hypothesis.null, pl.col("conf_high") < hypothesis.null
    marked = pl.col("conf_low").is_not_null() & (hypothesis.factor is None)
    mark = pl.when(above).then(pl.lit(">")).when(below).then(pl.lit("<")).otherwise(pl.lit("?"))
    significant = pl.col("p_corrected") < alpha
    larger = pl.col("estimate") > hypothesis.null
    up, down = _words(hypothesis)
    verdict = (
        pl.when(pl.col("p_corrected").is_null())
        .then(pl.lit("no test"))
        .when(~significant)
        .then(pl.lit("undecided"))
        .when(larger)
        .then(up)
        .otherwise(down)
    )
    size = pl.col("n") if "n_b" not in tested.columns else pl.min_horizontal("n", "n_b")
    why = (
        pl.when(size < 2)
        .then(pl.format("no test: {} network(s), at least 2 are needed", size))
        .otherwise(pl.lit("no test: the networks do not vary at all"))
    )
    caveats = [
        pl.when(pl.col("p_value").is_null()).then(why),
        pl.when(size.is_between(2, FEW_NETWORKS - 1)).then(pl.format("only {} networks", size)),
        pl.when(pl.col("left_out") > 0).then(
            pl.format("{} cell(s) left out: no partner or undefined slope", "left_out")
        ),
        pl.when(pl.col("differs") != "").then(pl.format("also differ: {}", "differs")),
    ]
    return tested.with_columns(
        pl.lit(hypothesis.family).alias("family"),
        pl.lit(hypothesis.measure).alias("measure"),
        pl.lit(hypothesis.null).alias("null"),
        pl.lit(hypothesis.side).alias("side"),
        pl.when(marked).then(mark).alias("mark"),
        verdict.alias("verdict"),
        pl.concat_str(caveats, separator="; ", ignore_nulls=True).alias("caveat"),
        networks="n",
        networks_b=pl.col("n_b") if "n_b" in tested.columns else None,
    )


def _words(hypothesis: Hypothesis) -> tuple[pl.Expr, pl.Expr]:
    """The verdict above and below the null.

    A slope below 1 alone does not mean that gaps closed: where the spread κ grew, other classes
    lose than before.
    """
    if hypothesis.measure == "recall_change":
        return pl.lit("gains"), pl.lit("loses")
    if hypothesis.factor is not None:
        return pl.lit("larger slope"), pl.lit("smaller slope")
    wider = pl.when(pl.col("kappa") > 1).then(pl.lit("reorders and widens"))
    return pl.lit("intensifies"), wider.otherwise(pl.lit("evens out"))


def _add_caveat(condition: pl.Expr, text: str) -> pl.Expr:
    empty = pl.col("caveat") == ""
    joined = pl.when(empty).then(pl.lit(text)).otherwise(pl.col("caveat") + f"; {text}")
    return (
        pl.when(condition & (pl.col("measure") == "alpha"))
        .then(joined)
        .otherwise("caveat")
        .alias("caveat")
    )


def _to_schema(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of FINDINGS in order, null where a family lacks one."""
    return table.select(
        pl.col(name).cast(dtype) if name in table.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in FINDINGS.items()
    )
