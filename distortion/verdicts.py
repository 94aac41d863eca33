"""Tested hypotheses in words: mark, verdict, caveat; one schema for all families."""

from typing import Final

import polars as pl

from distortion.catalogue import SLOPE
from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis

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
        "margin": pl.Float64(),
        "side": pl.String(),
        "correction": pl.String(),
        "n_tests": pl.Int64(),
        "p_corrected": pl.Float64(),
        "p_permutation": pl.Float64(),
        "effect_size": pl.Float64(),
        "networks": pl.Int64(),
        "networks_b": pl.Int64(),
        "kappa": pl.Float64(),
        "kappa_low": pl.Float64(),
        "kappa_high": pl.Float64(),
        "rho": pl.Float64(),
        "mark": pl.String(),
        "verdict": pl.String(),
        "caveat": pl.String(),
    }
)


def put_into_words(
    tested: pl.DataFrame, hypothesis: Hypothesis, alpha: float, doubt: str
) -> pl.DataFrame:
    """Add mark, verdict and caveat to the tests of one family.

    `alpha` is the family-wise error rate; `doubt` a caveat of the whole family, or empty.
    """
    decided = pl.col("p_corrected") < alpha
    above = decided & (pl.col("estimate") > hypothesis.null)
    below = decided & (pl.col("estimate") < hypothesis.null)
    one_sample = hypothesis.factor is None and hypothesis.kind == "difference"
    marked = pl.col("conf_low").is_not_null() & one_sample
    mark = pl.when(above).then(pl.lit(">")).when(below).then(pl.lit("<")).otherwise(pl.lit("?"))
    verdict = (
        pl.when(pl.col("p_corrected").is_null())
        .then(pl.lit("no test"))
        .otherwise(_verdict(hypothesis, decided))
    )
    size = pl.col("n") if "n_b" not in tested.columns else pl.min_horizontal("n", "n_b")
    why = (
        pl.when(size < 2)
        .then(pl.format("no test: {} network(s), at least 2 are needed", size))
        .otherwise(pl.lit("no test: the networks do not vary at all"))
    )
    own = pl.col("doubt") if "doubt" in tested.columns else pl.lit(None, pl.String)
    caveats = [
        pl.when(own != "").then(own),
        pl.when(pl.col("p_value").is_null() & (own.is_null() | (own == ""))).then(why),
        pl.when(size.is_between(2, FEW_NETWORKS - 1)).then(pl.format("only {} networks", size)),
        pl.when(pl.col("left_out") > 0).then(
            pl.format("{} cell(s) left out: no partner or undefined slope", "left_out")
        ),
        pl.when(pl.col("differs") != "").then(pl.format("also differ: {}", "differs")),
        pl.when(~pl.col("balanced")).then(pl.lit("unbalanced classes")),
        pl.lit(doubt or None, pl.String),
    ]
    return tested.with_columns(
        pl.lit(hypothesis.family).alias("family"),
        pl.lit(hypothesis.measure).alias("measure"),
        pl.lit(hypothesis.side).alias("side"),
        pl.when(marked).then(mark).alias("mark"),
        verdict.alias("verdict"),
        pl.concat_str(caveats, separator="; ", ignore_nulls=True).alias("caveat"),
        networks="n",
        networks_b=pl.col("n_b") if "n_b" in tested.columns else None,
    )


def _verdict(hypothesis: Hypothesis, significant: pl.Expr) -> pl.Expr:
    """The verdict of tests that were possible."""
    undecided = pl.lit("undecided")
    low, high, margin = pl.col("conf_low"), pl.col("conf_high"), pl.col("margin")
    if hypothesis.kind == "equivalence":
        within = pl.format("equivalent within ±{}", _plain(margin))
        beyond = pl.format("differs by more than {}", _plain(margin))
        outside = (low > hypothesis.null + margin) | (high < hypothesis.null - margin)
        return pl.when(significant).then(within).when(outside).then(beyond).otherwise(undecided)
    if hypothesis.kind == "non-inferiority":
        points = _plain(100 * margin) + pl.when(margin == 0.01).then(pl.lit(" point")).otherwise(
            pl.lit(" points")
        )
        kept = pl.format("loses at most {}", points)
        lost = pl.format("loses more than {}", points)
        return pl.when(significant).then(kept).when(high < -margin).then(lost).otherwise(undecided)
    up, down = map(pl.lit, hypothesis.words)
    if hypothesis.words == SLOPE:
        # A slope below 1 alone does not mean that gaps closed: noise in the dense balance gives
        # it (regression dilution), and so do gaps that grew between other classes. The interval
        # of the spread κ decides, where it can.
        down = (
            pl.when(pl.col("kappa_high") < 1)
            .then(pl.lit("evens out"))
            .when(pl.col("kappa_low") > 1)
            .then(pl.lit("reorders and widens"))
            .otherwise(down)
        )
    larger = pl.col("estimate") > hypothesis.null
    return pl.when(~significant).then(undecided).when(larger).then(up).otherwise(down)


def _plain(number: pl.Expr) -> pl.Expr:
    """A number as its user wrote it."""
    return number.round(6).cast(pl.String).str.strip_suffix(".0")


def to_schema(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of FINDINGS in order, null where a family lacks one."""
    return table.select(
        pl.col(name).cast(dtype) if name in table.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in FINDINGS.items()
    )
