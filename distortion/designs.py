"""The tables that models and tests are fitted to, from one log.

measures    one row per cell and class: every rate, and the dense parent's beside it
pairs       one row per class of a compressed cell, with covariates, ready for `fit_*`
slopes      one row per cell: α, ρ, κ and accuracy against its dense parent
conditions  one row per condition (a cell without its seed): means over networks, pooled slope

Pairing with the dense network happens here, once (`_paired`).
"""

from collections.abc import Mapping
from typing import Final, Literal

import polars as pl

from distortion.errors import DesignError
from distortion.log import RecallLog, Source, per_cell, read_log
from distortion.measures import (
    ACCURACY,
    BALANCE,
    F1,
    NORMALIZED_BALANCE,
    PRECISION,
    RECALL,
    association,
    log_spread,
    safe_ratio,
    slope,
    spread,
    variance_over_classes,
)
from distortion.schema import CELL, DENSE, FINETUNED, NETWORK, NO_METHOD, PRUNED

CONDITION: Final = tuple(column for column in CELL if column != "seed")
Scale = Literal["error", "logit"]


def measures(log: Source) -> pl.DataFrame:
    """Every rate of every class of every cell, the dense cells included.

    Returns
    -------
    One row per cell and class: `network` (a name, the unit of replication), the log's columns,
    then `recall`, `accuracy`, `balance` (R − A), `normalized_balance` ((R − A) / A), the same four
    of the dense parent with the suffix `_dense`, `intensification` (I = B̄_t / B̄, null where
    B̄ = 0), `ratio_achieved`, `precision` and `f1` (where `predicted` is known; null without
    predictions), `forgotten` and `gained` (images correct only before, only after; where `kept` is
    known). Rates are shares between 0 and 1. Formulas: `distortion.measures`; Good et al. (2022),
    section 3.
    """
    paired = _paired(read_log(log))
    balances = pl.col("normalized_balance"), pl.col("normalized_balance_dense")
    more = {"intensification": safe_ratio(*balances)}
    if "predicted" in paired.columns:
        more |= {"precision": PRECISION, "f1": F1}
    if "kept" in paired.columns:
        more |= {
            "forgotten": pl.col("correct_dense") - pl.col("kept"),
            "gained": pl.col("correct") - pl.col("kept"),
        }
    return paired.select(_network_name().alias("network"), pl.all().exclude("parent")).with_columns(
        **more
    )


def pairs(
    log: Source,
    *,
    arm: str = FINETUNED,
    split: str = "test",
    difficulty: Mapping[str, float] | None = None,
    complexity: Mapping[str, float] | None = None,
    difficulty_scale: Scale = "error",
) -> pl.DataFrame:
    """Each class of each compressed cell beside its dense parent, with covariates.

    Parameters
    ----------
    arm, split : the rows to take
    difficulty : by data set; default: 1 − mean accuracy of its dense networks, in [0, 1],
        or its logit with `difficulty_scale="logit"`
    complexity : by model; default: log10 of its parameter count, null where `n_params` is unknown

    Returns
    -------
    One row per cell and class: `network` (a name, the unit of replication), the KEY columns,
    `n`, `correct` (and `kept`), `recall_dense`, `recall`, `accuracy_dense`, `accuracy`,
    `balance_dense` and `balance` (both *normalized* recall balance, unitless), `log2_ratio`,
    `difficulty`, `complexity`.

    Raises
    ------
    DesignError
        If no row has that arm and split, or a data set or model has no value in a mapping given.
    """
    log = read_log(log)
    rows = _paired(log).filter(pl.col("arm") == arm, pl.col("split") == split)
    if rows.height == 0:
        raise DesignError(
            f"No rows with arm {arm!r} and split {split!r}. This log has arms "
            f"{_levels(log, 'arm')} and splits {_levels(log, 'split')}."
        )
    hard = _difficulty(log, split, difficulty_scale) if difficulty is None else difficulty
    deep = _complexity(log) if complexity is None else complexity
    _check_covered("difficulty", hard, rows["dataset"])
    _check_covered("complexity", deep, rows["model"])
    return rows.select(
        _network_name().alias("network"),
        *(c for c in (*CELL, "class_id", "class_name") if c in rows.columns),
        *(c for c in ("n", "correct", "kept", "ratio_achieved") if c in rows.columns),
        *("recall_dense", "recall", "accuracy_dense", "accuracy"),
        balance_dense="normalized_balance_dense",
        balance="normalized_balance",
        log2_ratio=pl.col("ratio").log(2),
        difficulty=pl.col("dataset").replace_strict(hard, return_dtype=pl.Float64),
        complexity=pl.col("model").replace_strict(deep, return_dtype=pl.Float64),
    )


def slopes(log: Source) -> pl.DataFrame:
    """The slope of every compressed or control cell against its dense parent.

    Files may be larger than memory: of a path, or a list of them, a batch of networks is read at a
    time, with the table, errors and warnings of `slopes(read_log(path))`.

    Returns
    -------
    One row per cell that is not dense: `network` (a name, the unit of replication), CELL columns,
    `ratio_achieved`, `n_params`, `n_classes`, `n` (test images), `balanced` (equal supports),
    `accuracy_dense`, `accuracy`, `alpha`, `rho`, `kappa` (null values 1; null where undefined),
    `worst_recall_dense`, `worst_recall`, `variance_dense`, `variance` (of balances over classes,
    Good et al. 2022, appendix F). Source of α: their section 5.
    """
    return per_cell(log, _slopes)


def conditions(log: Source) -> pl.DataFrame:
    """Each condition (a cell without its seed) over its networks.

    Returns
    -------
    One row per condition that is not dense: CONDITION columns, `networks`, `undefined` (networks
    whose α is undefined), mean `accuracy_dense`, `accuracy`, `worst_recall_dense`,
    `worst_recall`, `variance_dense`, `variance`, `ratio_achieved`; over networks the mean and SD
    of α (`alpha`, `alpha_sd`), the mean ρ (`rho`) and the geometric mean κ (`kappa`, of κ > 0);
    and over all classes of all networks at once the `alpha_pooled`, its `r2` (uncentred) and
    `kappa_pooled`, as in Good et al. (2022), figure 5.
    """
    log = read_log(log)
    x, y = "normalized_balance_dense", "normalized_balance"
    pooled = (
        _paired(log)
        .filter(pl.col("arm") != DENSE)
        .group_by(CONDITION, maintain_order=True)
        .agg(
            slope(x, y).alias("alpha_pooled"),
            (association(x, y) ** 2).alias("r2"),
            spread(x, y).alias("kappa_pooled"),
        )
    )
    cells = slopes(log)
    means = ["accuracy_dense", "accuracy", "worst_recall_dense", "worst_recall"]
    means += ["variance_dense", "variance", "ratio_achieved", "alpha", "rho"]
    over_networks = cells.group_by(CONDITION, maintain_order=True).agg(
        pl.len().alias("networks"),
        pl.col("alpha").is_null().sum().alias("undefined"),
        pl.col(c for c in means if c in cells.columns).mean(),
        pl.col("alpha").std().alias("alpha_sd"),
        log_spread("kappa").mean().exp().alias("kappa"),
    )
    return over_networks.join(pooled, on=CONDITION, how="left", maintain_order="left")


def compressed_arm(log: Source, arm: str | None = None, split: str = "test") -> str:
    """The compressed arm to analyse: `arm`, by default finetuned where the log has it.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split.
    """
    cells = read_log(log).cells
    arms = cells.filter(pl.col("split") == split)["arm"].unique(maintain_order=True).to_list()
    chosen = arm or (FINETUNED if FINETUNED in arms else PRUNED)
    if chosen not in arms or chosen not in (PRUNED, FINETUNED):
        raise DesignError(
            f"No compressed cells to test: arm {chosen!r}, split {split!r}. This log has arms "
            f"{arms} on that split and splits {cells['split'].unique().to_list()}."
        )
    return chosen


def datasets_by_difficulty(log: Source, split: str = "test") -> list[str]:
    """The data sets that have this split, easiest first (ties by name)."""
    hard = _difficulty(read_log(log), split, "error")
    return sorted(hard, key=lambda name: (hard[name], name))


def models_by_complexity(log: Source) -> list[str]:
    """The models of a log, fewest parameters first; by name where `n_params` is unknown."""
    size = _complexity(read_log(log))
    return sorted(size, key=lambda name: (size[name] or 0, name))


def sizes_are_known(log: Source) -> bool:
    """Whether every model has a parameter count, and no two the same."""
    sizes = list(_complexity(read_log(log)).values())
    return None not in sizes and len(set(sizes)) == len(sizes)


def methods(log: Source) -> list[str]:
    """The compression methods of a log in the order in which they first appear."""
    return [name for name in _levels(read_log(log), "method") if name != NO_METHOD]


def _slopes(log: RecallLog) -> pl.DataFrame:
    rows = _paired(log).filter(pl.col("arm") != DENSE)
    x, y = "normalized_balance_dense", "normalized_balance"
    constant = [c for c in ("n_params", "n_remaining", "ratio_achieved") if c in rows.columns]
    return (
        rows.group_by("cell", maintain_order=True)
        .agg(
            pl.col(*CELL, *constant).first(),
            pl.len().alias("n_classes"),
            pl.col("n").sum(),
            (pl.col("n").min() == pl.col("n").max()).alias("balanced"),
            pl.col("accuracy_dense", "accuracy").first(),
            slope(x, y).alias("alpha"),
            association(x, y).alias("rho"),
            spread(x, y).alias("kappa"),
            pl.col("recall_dense").min().alias("worst_recall_dense"),
            pl.col("recall").min().alias("worst_recall"),
            variance_over_classes("balance_dense").alias("variance_dense"),
            variance_over_classes("balance").alias("variance"),
        )
        .select("cell", _network_name().alias("network"), pl.exclude("cell"))
    )


def _paired(log: RecallLog) -> pl.DataFrame:
    """Every row with its rates and, under the suffix `_dense`, those of its parent."""
    rows = log.table
    cells = log.cells
    rows = rows.with_columns(
        parent=cells["parent"].gather(rows["cell"]),
        n_total=cells["n"].gather(rows["cell"]),
        correct_total=cells["correct"].gather(rows["cell"]),
    ).with_columns(
        recall=RECALL,
        accuracy=ACCURACY,
        balance=BALANCE,
        normalized_balance=NORMALIZED_BALANCE,
    )
    if {"n_params", "n_remaining"}.issubset(rows.columns):
        rows = rows.with_columns(ratio_achieved=pl.col("n_params") / pl.col("n_remaining"))
    rates = ("correct", "recall", "accuracy", "balance", "normalized_balance")
    dense = rows.filter(pl.col("arm") == DENSE).select(
        pl.col("cell").alias("parent"), "class_id", pl.col(rates).name.suffix("_dense")
    )
    rows, on = rows.drop("n_total", "correct_total"), ["parent", "class_id"]
    return rows.join(dense, on=on, how="left", validate="m:1", maintain_order="left")


def _difficulty(log: RecallLog, split: str, scale: Scale) -> dict[str, float]:
    dense = log.cells.filter(pl.col("arm") == DENSE, pl.col("split") == split)
    error = 1 - pl.col("correct").sum() / pl.col("n").sum()
    value = error if scale == "error" else (error / (1 - error)).log()
    by_dataset = dense.group_by("dataset").agg(value.alias("difficulty"))
    return dict(by_dataset.select("dataset", "difficulty").iter_rows())


def _complexity(log: RecallLog) -> dict[str, float | None]:
    if "n_params" not in log.table.columns:
        return dict.fromkeys(log.cells["model"].unique())
    # A model's size differs a little between data sets (channels, classes): the mean over them.
    by_dataset = log.table.group_by("model", "dataset").agg(pl.col("n_params").mean())
    by_model = by_dataset.group_by("model").agg(pl.col("n_params").mean().log10())
    return dict(by_model.iter_rows())


def _check_covered(name: str, values: Mapping[str, object], needed: pl.Series) -> None:
    missing = sorted(set(needed.unique()) - set(values))
    if missing:
        raise DesignError(
            f"{name} has no value for {', '.join(map(repr, missing))}. Give one for every "
            f"{needed.name} of the log, or leave {name} out to have it derived."
        )


def _network_name() -> pl.Expr:
    """`study/dataset/model/recipe/seed`; empty parts (an unnamed recipe) leave no gap."""
    parts = [pl.col(c).cast(pl.String) for c in NETWORK]
    kept = [pl.when(part != "").then(part) for part in parts]
    return pl.concat_str(kept, separator="/", ignore_nulls=True)


def _levels(log: RecallLog, column: str) -> list[str]:
    return log.cells[column].unique(maintain_order=True).to_list()
