"""From slopes and a hypothesis to the samples that its tests compare.

Each function returns one row per test: the CONDITION columns (null where the compared cells
differ in them), `comparison` in words, the summary statistics `n`, `mean`, `sd` (and `n_b`,
`mean_b`, `sd_b` for independent samples), `kappa` and `rho` beside the slope, `left_out` (cells
without a partner or with an undefined slope) and `differs` (what else the cells differ in).
"""

from itertools import combinations, pairwise
from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis
from distortion.schema import CONTROL

# What may differ between compared cells when each level of the factor has one value of it only,
# as when every data set was trained with a model and a recipe of its own.
NUISANCE: Final = {"model": ("recipe",), "dataset": ("study", "recipe", "model")}
SEPARATOR: Final = " − "


def single(samples: pl.DataFrame, measure: str, by: list[str]) -> pl.DataFrame:
    """One sample per condition (and class): its mean over networks."""
    return (
        samples.group_by(by, maintain_order=True)
        .agg(
            *_summary(measure),
            pl.col(measure).is_null().sum().alias("left_out"),
            *_beside(samples, pl.col("log_kappa").mean().exp(), pl.col("rho").mean()),
        )
        .with_columns(comparison=pl.lit(""), differs=pl.lit(""))
    )


def compared(samples: pl.DataFrame, hypothesis: Hypothesis, order: list[str]) -> pl.DataFrame:
    """Differences between levels of the hypothesis' factor, larger expected minus smaller.

    `order` lists the factor's levels (data sets easiest first, models smallest first); ratios
    order themselves.
    """
    factor = hypothesis.factor
    assert factor is not None
    if factor == "arm":
        return _against_control(samples, hypothesis)
    context = [c for c in CONDITION if c != factor and c not in _free(samples, factor)]
    present = samples.group_by(context, maintain_order=True).agg(pl.col(factor).unique().sort())
    levels = {tuple(row[:-1]): _level_pairs(factor, row[-1], order) for row in present.iter_rows()}
    pairs = pl.DataFrame(
        [(*key, a, b) for key, found in levels.items() for a, b in found],
        schema={c: samples.schema[c] for c in context}
        | {"level_a": samples.schema[factor], "level_b": samples.schema[factor]},
        orient="row",
    )
    a = pairs.join(samples.rename({factor: "level_a"}), on=[*context, "level_a"], how="inner")
    b = pairs.join(samples.rename({factor: "level_b"}), on=[*context, "level_b"], how="inner")
    group = [*context, "level_a", "level_b"]
    tested = _paired(a, b, group, hypothesis) if hypothesis.paired else _independent(a, b, group)
    tested = pairs.join(tested, on=group, how="inner", maintain_order="left")
    names = [pl.col(c).map_elements(_plain, return_dtype=pl.String) for c in ("level_a", "level_b")]
    comparison = pl.concat_str(*names, separator=SEPARATOR).alias("comparison")
    # The larger ratio, not a pair of them, places a ratio comparison in the table.
    place = [pl.col("level_a").alias("ratio")] if factor == "ratio" else []
    return tested.with_columns(comparison, *place).drop("level_a", "level_b")


def _against_control(samples: pl.DataFrame, hypothesis: Hypothesis) -> pl.DataFrame:
    context = [c for c in CONDITION if c not in ("method", "ratio", "arm", "intervention")]
    control = samples.filter(pl.col("arm") == CONTROL).drop(
        "method", "ratio", "arm", "intervention"
    )
    treated = samples.filter(pl.col("arm") != CONTROL).join(control, on=context, how="semi")
    pairs = treated.select(CONDITION).unique(maintain_order=True)
    b = pairs.join(control, on=context, how="inner")
    tested = _paired(treated, b, list(CONDITION), hypothesis)
    tested = pairs.join(tested, on=list(CONDITION), how="inner", maintain_order="left")
    return tested.with_columns(
        pl.concat_str("arm", pl.lit(CONTROL), separator=SEPARATOR).alias("comparison")
    )


def _paired(
    a: pl.DataFrame, b: pl.DataFrame, group: list[str], hypothesis: Hypothesis
) -> pl.DataFrame:
    """Differences between cells of the same network, summarized over networks."""
    columns = [*group, "seed", "alpha", "log_kappa", "rho"]
    both = a.select(columns).join(
        b.select(columns), on=[*group, "seed"], how="full", suffix="_b", coalesce=True
    )
    both = both.with_columns(pl.col(c) - pl.col(f"{c}_b") for c in ("alpha", "log_kappa", "rho"))
    return (
        both.group_by(group, maintain_order=True)
        .agg(
            *_summary(hypothesis.measure),
            pl.col(hypothesis.measure).is_null().sum().alias("left_out"),
            *_beside(both, pl.col("log_kappa").mean().exp(), pl.col("rho").mean()),
        )
        .with_columns(differs=pl.lit(""))
    )


def _independent(a: pl.DataFrame, b: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    """Two samples of different networks, summarized side by side."""
    free = [c for c in CONDITION if c in a.columns and c not in group and c in b.columns]
    sides = [
        side.group_by(group, maintain_order=True).agg(
            *_summary("alpha"),
            pl.col("alpha").is_null().sum().alias("left_out"),
            pl.col("log_kappa").mean(),
            pl.col("rho").mean(),
            pl.concat_str([pl.col(c).first() for c in free] or [pl.lit("")], separator=" ").alias(
                "which"
            ),
        )
        for side in (a, b)
    ]
    both = sides[0].join(sides[1], on=group, suffix="_b", maintain_order="left")
    which = pl.concat_str("which", "which_b", separator=" against ")
    return both.with_columns(
        kappa=(pl.col("log_kappa") - pl.col("log_kappa_b")).exp(),
        rho=pl.col("rho") - pl.col("rho_b"),
        left_out=pl.col("left_out") + pl.col("left_out_b"),
        differs=pl.when(pl.col("which") != pl.col("which_b")).then(which).otherwise(pl.lit("")),
    ).drop("log_kappa", "log_kappa_b", "rho_b", "left_out_b", "which", "which_b")


def _summary(measure: str) -> list[pl.Expr]:
    value = pl.col(measure).drop_nulls()
    return [value.len().alias("n"), value.mean().alias("mean"), value.std().alias("sd")]


def _beside(samples: pl.DataFrame, kappa: pl.Expr, rho: pl.Expr) -> list[pl.Expr]:
    if "log_kappa" not in samples.columns:
        return []
    return [kappa.alias("kappa"), rho.alias("rho")]


def _free(samples: pl.DataFrame, factor: str) -> list[str]:
    free = []
    for column in NUISANCE.get(factor, ()):
        values = samples.group_by(factor).agg(pl.col(column).n_unique())
        if values[column].max() == 1:
            free.append(column)
    return free


def _level_pairs(factor: str, present: list[object], order: list[str]) -> list[tuple[object, ...]]:
    """Pairs (a, b) to compare, a being the level whose slope is expected to be larger."""
    if factor == "ratio":
        return [(larger, smaller) for smaller, larger in pairwise(present)]
    ranked = [level for level in order if level in present]
    if factor == "model":
        return list(pairwise(ranked))
    return [(later, earlier) for earlier, later in combinations(ranked, 2)]


def _plain(level: object) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)
