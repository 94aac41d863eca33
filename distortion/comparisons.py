"""From slopes and a hypothesis to the samples that its tests compare.

Each function returns one row per test: the CONDITION columns (null where the compared cells
differ in them), `comparison` in words, the summary statistics `n`, `mean`, `sd` (and `n_b`,
`mean_b`, `sd_b` for independent samples) with the `values` behind them, `kappa` and `rho` beside
the slope, `left_out` (cells without a partner or with an undefined slope), `balanced` (equal
supports throughout) and `differs` (what else the cells differ in). One-sample slopes also have
`n`, `mean` and `sd` of log κ.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis
from distortion.schema import CONTROL

# What may differ between two levels when each of them has one value of it only, as when every data
# set was trained with a model and a recipe of its own.
NUISANCE: Final = {"model": ("study", "recipe"), "dataset": ("study", "recipe", "model")}
SEPARATOR: Final = " − "
SUMMARY: Final = ("n", "mean", "sd", "left_out", "values")
Pair = tuple[object, object]


def by_condition(samples: pl.DataFrame, hypothesis: Hypothesis) -> pl.DataFrame:
    """One sample of the measure per condition, with that of log κ beside it."""
    return (
        samples.group_by(CONDITION, maintain_order=True)
        .agg(*_summary(hypothesis.measure), *_summary("log_kappa", "_log_kappa"), *_beside())
        .with_columns(comparison=pl.lit(""), differs=pl.lit(""))
    )


def trends(samples: pl.DataFrame, hypothesis: Hypothesis) -> pl.DataFrame:
    """One sample per method: the slope of the measure on log2 ratio within each network.

    Least squares over the ratios of a network; networks with one ratio only, or whose measure is
    undefined at one of theirs, are left out. Empty where no network has two ratios.
    """
    rows = [c for c in CONDITION if c != "ratio"]
    x = pl.col("ratio").log(2)
    x = x - x.mean()
    y = pl.col(hypothesis.measure)
    whole = y.is_not_null().all() & (pl.col("ratio").n_unique() > 1)
    slope = pl.when(whole).then((x * y).sum() / (x * x).sum())
    networks = (
        samples.group_by(*rows, "seed", maintain_order=True)
        .agg(
            slope.alias(hypothesis.measure),
            pl.col("ratio").sort().implode().alias("grid"),
            pl.col("balanced").all(),
        )
        .filter((pl.col("grid").list.len() > 1).any().over(rows))
    )
    return (
        networks.group_by(rows, maintain_order=True)
        .agg(
            *_summary(hypothesis.measure),
            pl.col("balanced").all(),
            pl.when(pl.col("grid").filter(pl.col(hypothesis.measure).is_not_null()).n_unique() > 1)
            .then(pl.lit("ratios of the networks"))
            .otherwise(pl.lit(""))
            .alias("differs"),
        )
        .with_columns(
            comparison=pl.lit(""),
            kappa=pl.lit(None, pl.Float64),
            rho=pl.lit(None, pl.Float64),
        )
    )


def changes_by_class(rows: pl.DataFrame) -> pl.DataFrame:
    """One sample of `recall_change` per condition and class, named wherever a name is known."""
    named = ["class_name"] if "class_name" in rows.columns else []
    return (
        rows.group_by(*CONDITION, "class_id", maintain_order=True)
        .agg(*_summary("recall_change"), *(pl.col(c).drop_nulls().first() for c in named))
        .with_columns(comparison=pl.lit(""), differs=pl.lit(""), balanced=pl.lit(True))
    )


def compared(samples: pl.DataFrame, hypothesis: Hypothesis, order: list[str]) -> pl.DataFrame:
    """Differences between levels of the hypothesis' factor, larger expected minus smaller.

    `order` lists the factor's levels (data sets easiest first, models smallest first); ratios
    order themselves. Empty where no two levels can be compared.
    """
    if hypothesis.factor == "arm":
        return _against_control(samples, hypothesis)
    pieces = _across if hypothesis.factor in NUISANCE else _within
    found = [_differences(*piece, hypothesis) for piece in pieces(samples, hypothesis, order)]
    return pl.concat(found, how="diagonal") if found else pl.DataFrame()


def _within(
    samples: pl.DataFrame, hypothesis: Hypothesis, order: list[str]
) -> Iterator[tuple[pl.DataFrame, list[str], pl.DataFrame]]:
    """Cells of the same networks: (cells, what agrees in a pair, pairs of levels)."""
    factor = str(hypothesis.factor)
    context = [c for c in CONDITION if c != factor]
    present = samples.group_by(context, maintain_order=True).agg(pl.col(factor).unique().sort())
    rows = [
        (*context_values, a, b)
        for *context_values, levels in present.iter_rows()
        for a, b in _level_pairs(factor, levels, order)
    ]
    level = samples.schema[factor]
    schema = {c: samples.schema[c] for c in context} | {"level_a": level, "level_b": level}
    if rows:
        yield samples, context, pl.DataFrame(rows, schema=schema, orient="row")


def _across(
    samples: pl.DataFrame, hypothesis: Hypothesis, order: list[str]
) -> Iterator[tuple[pl.DataFrame, list[str], pl.DataFrame]]:
    """Cells of different networks, as `_within`; what must agree is decided for each pair."""
    factor = str(hypothesis.factor)
    for part in samples.partition_by("dataset") if factor == "model" else [samples]:
        for a, b in _level_pairs(factor, part[factor].unique().to_list(), order):
            cells = part.filter(pl.col(factor).is_in([a, b]))
            free = _free(cells, factor)
            context = [c for c in CONDITION if c != factor and c not in free]
            pairs = cells.select(context).unique(maintain_order=True)
            yield cells, context, pairs.with_columns(level_a=pl.lit(a), level_b=pl.lit(b))


def _differences(
    samples: pl.DataFrame, context: list[str], pairs: pl.DataFrame, hypothesis: Hypothesis
) -> pl.DataFrame:
    factor = str(hypothesis.factor)
    a = pairs.join(samples.rename({factor: "level_a"}), on=[*context, "level_a"], how="inner")
    b = pairs.join(samples.rename({factor: "level_b"}), on=[*context, "level_b"], how="inner")
    group = [*context, "level_a", "level_b"]
    compare = _paired if hypothesis.paired else _independent
    tested = compare(a, b, group, hypothesis)
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
    columns = [*group, "seed", "alpha", "log_kappa", "rho", "balanced"]
    both = a.select(columns).join(
        b.select(columns),
        on=[*group, "seed"],
        how="full",
        suffix="_b",
        coalesce=True,
        validate="1:1",
    )
    both = both.with_columns(
        *(pl.col(c) - pl.col(f"{c}_b") for c in ("alpha", "log_kappa", "rho")),
        balanced=pl.col("balanced") & pl.col("balanced_b"),
    )
    return (
        both.group_by(group, maintain_order=True)
        .agg(*_summary(hypothesis.measure), *_beside())
        .with_columns(differs=pl.lit(""))
    )


def _independent(
    a: pl.DataFrame, b: pl.DataFrame, group: list[str], hypothesis: Hypothesis
) -> pl.DataFrame:
    """Two samples of different networks, summarized side by side."""
    free = [c for c in CONDITION if c in a.columns and c not in group]
    kept = [pl.col(c).first().alias(f"which_{c}") for c in free]
    one, other = (
        side.group_by(group, maintain_order=True).agg(
            *_summary(hypothesis.measure), *_beside(), *kept
        )
        for side in (a, b)
    )
    both = one.join(other, on=group, suffix="_b", maintain_order="left")
    differs = [
        pl.when(pl.col(f"which_{c}") != pl.col(f"which_{c}_b")).then(
            pl.format(f"{c} {{}} against {{}}", f"which_{c}", f"which_{c}_b")
        )
        for c in free
    ]
    return both.with_columns(
        kappa=pl.col("kappa") / pl.col("kappa_b"),
        rho=pl.col("rho") - pl.col("rho_b"),
        left_out=pl.col("left_out") + pl.col("left_out_b"),
        balanced=pl.col("balanced") & pl.col("balanced_b"),
        differs=pl.concat_str(differs, separator=", ", ignore_nulls=True) if free else pl.lit(""),
    ).select(
        *group,
        *SUMMARY,
        *(f"{c}_b" for c in ("n", "mean", "sd", "values")),
        "kappa",
        "rho",
        "balanced",
        "differs",
    )


def _summary(measure: str, suffix: str = "") -> list[pl.Expr]:
    value = pl.col(measure).drop_nulls()
    found = {"n": value.len(), "mean": value.mean(), "sd": value.std()}
    if not suffix:
        found["left_out"] = pl.col(measure).is_null().sum()
        found["values"] = value.implode()
    return [expression.alias(f"{name}{suffix}") for name, expression in found.items()]


def _beside() -> list[pl.Expr]:
    """κ and ρ over the same cells, and whether all of them were counted on equal supports."""
    return [
        pl.col("log_kappa").mean().exp().alias("kappa"),
        pl.col("rho").mean(),
        pl.col("balanced").all(),
    ]


def _free(samples: pl.DataFrame, factor: str) -> list[str]:
    free = []
    for column in NUISANCE.get(factor, ()):
        values = samples.group_by(factor).agg(pl.col(column).n_unique())
        if values[column].max() == 1:
            free.append(column)
    return free


def _level_pairs(factor: str, present: list[object], order: list[str]) -> list[Pair]:
    """Pairs (a, b) to compare, a being the level whose slope is expected to be larger."""
    if factor == "ratio":
        return [(larger, smaller) for smaller, larger in pairwise(present)]
    ranked = [level for level in order if level in present]
    if factor == "model":
        return list(pairwise(ranked))
    return [(later, earlier) for earlier, later in combinations(ranked, 2)]


def _plain(level: object) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)
