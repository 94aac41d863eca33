"""The rules of the log, each with its own error that names rows, rule and next step.

`check_rows` looks at single rows; `number_cells` finds the cells; `check_cells` looks at cells
and at their dense parents. Columns and types come first: `distortion.columns`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from distortion.errors import LogError
from distortion.schema import (
    ARMS,
    CELL,
    CONTROL,
    COUNTS,
    DENSE,
    KEY,
    NETWORK,
    NO_METHOD,
    SHOWN,
)


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule that one row alone can break: `broken` is true on the offending rows."""

    needs: tuple[str, ...]
    broken: pl.Expr
    rule: str
    next_step: str


_unpruned = pl.col("arm").is_in([DENSE, CONTROL])
ROW_RULES = (
    RowRule(
        ("ratio",),
        ~(pl.col("ratio").is_finite() & (pl.col("ratio") >= 1)),
        "ratio (parameters before / after) is a finite number, at least 1",
        "Convert a sparsity s to 1 / (1 - s), a density d to 1 / d.",
    ),
    RowRule(
        ("arm",),
        ~pl.col("arm").is_in(ARMS),
        f"arm is one of {', '.join(ARMS)}",
        "Rename the arms, or leave the column out to have it filled in.",
    ),
    RowRule(
        ("arm", "method", "ratio"),
        _unpruned & ((pl.col("method") != NO_METHOD) | (pl.col("ratio") != 1)),
        f"dense and control rows have method {NO_METHOD!r} and ratio 1",
        "Write them so; a network has one dense cell, not one per method.",
    ),
    RowRule(
        ("arm", "method"),
        ~_unpruned & (pl.col("method") == NO_METHOD),
        "pruned and finetuned rows name their method",
        "Give the method, or set the arm to dense or control.",
    ),
    RowRule(
        ("n",),
        pl.col("n") < 1,
        "every class has support: n is at least 1",
        "Remove classes that have no test image from the whole study, or test on more images.",
    ),
    RowRule(
        COUNTS,
        pl.any_horizontal(pl.col(c) < 0 for c in COUNTS),
        "counts are not negative",
        "Counts are numbers of images: check how they were exported.",
    ),
    RowRule(
        ("n", "correct"),
        pl.col("correct") > pl.col("n"),
        "correct is at most n",
        "Perhaps the two columns are swapped, or correct holds a percentage.",
    ),
    RowRule(
        ("predicted", "correct"),
        pl.col("predicted") < pl.col("correct"),
        "predicted (images predicted as this class) is at least correct",
        "It counts correct and wrong predictions of the class together.",
    ),
    RowRule(
        ("kept", "correct", "arm"),
        (pl.col("arm") == DENSE) & (pl.col("kept") != pl.col("correct")),
        "kept of a dense row is its correct",
        "Every image that the dense network gets right is one that it gets right itself.",
    ),
    RowRule(
        ("kept", "correct"),
        pl.col("kept") > pl.col("correct"),
        "kept (correct here and in the dense parent) is at most correct",
        "Recount kept from the two networks' predictions, or leave the column out.",
    ),
    RowRule(
        ("n_params", "n_remaining"),
        (pl.col("n_remaining") < 1) | (pl.col("n_remaining") > pl.col("n_params")),
        "n_remaining lies between 1 and n_params",
        "Both count parameters of the whole network, biases and classifier included.",
    ),
)


def check_rows(table: pl.DataFrame) -> None:
    """Raise LogError for the first row rule that any row of a conformed table breaks."""
    possible = [_restrict(rule, table.columns) for rule in ROW_RULES]
    rules = [rule for rule in possible if rule is not None]
    broken = table.select(rule.broken.any().alias(str(i)) for i, rule in enumerate(rules))
    for rule, is_broken in zip(rules, broken.row(0), strict=True):
        if is_broken:
            raise _violation(table, rule.broken, rule.rule, rule.next_step)


def number_cells(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number the cells of a log.

    Returns
    -------
    rows : the table with the column `cell` (UInt32) in front
    cells : one row per cell: `cell`, its CELL columns, `n_classes`, `n` and `correct` (pooled),
        `parent` (the cell of its dense network, null where there is none) and `signature`
        (a hash of the classes and their supports)
    """
    # Rows of a cell usually stand together: compare neighbours first, group only the few runs.
    changed = pl.any_horizontal(pl.col(c) != pl.col(c).shift() for c in CELL).fill_null(True)
    rows = table.with_columns(changed.alias("_new"))
    runs = rows.filter("_new").select(CELL)
    numbers = runs.unique(maintain_order=True).with_row_index("cell")
    of_run = runs.join(numbers, on=CELL, how="left", maintain_order="left")["cell"]
    run = rows["_new"].cast(pl.UInt32).cum_sum() - 1
    rows = rows.drop("_new").select(of_run.gather(run).alias("cell"), pl.all().exclude("cell"))
    totals = rows.group_by("cell").agg(
        pl.len().alias("n_classes"),
        pl.col("n", "correct").sum(),
        pl.struct("class_id", "n").hash().sum().alias("signature"),
    )
    cells = numbers.join(totals, on="cell", how="left", maintain_order="left")
    parents = (
        cells.filter(pl.col("arm") == DENSE)
        .unique([*NETWORK, "split"], keep="first", maintain_order=True)
        .select(*NETWORK, "split", parent="cell")
    )
    cells = cells.join(parents, on=[*NETWORK, "split"], how="left", maintain_order="left")
    return rows, cells


def check_cells(rows: pl.DataFrame, cells: pl.DataFrame) -> None:
    """Raise LogError for the first rule that cells, or cells and their parents, break."""
    duplicated = rows.select(pl.struct("cell", "class_id").is_duplicated())
    if duplicated.to_series().any():
        raise _violation(
            rows,
            duplicated.to_series(),
            f"the key ({', '.join(KEY)}) is unique",
            "Remove the copies; networks trained twice need different seeds or recipes.",
        )
    _check_constant(rows)
    for arm in (DENSE, CONTROL):
        of_arm = cells.filter(pl.col("arm") == arm)
        _refuse_cells(
            of_arm.filter(pl.struct(*NETWORK, "split").is_duplicated()),
            f"are one of several {arm} cells of their network",
            "A network has one of them per split: keep one, whatever the intervention.",
        )
    _refuse_cells(
        cells.filter(pl.col("parent").is_null()),
        "have no dense cell (arm dense, ratio 1) of the same network and split",
        "Every slope compares a network with its own dense one: add the dense rows (method none, "
        "ratio 1), or drop these networks from the log yourself.",
    )
    _refuse_cells(
        cells.filter(pl.col("n_classes") < 2),
        "hold a single class",
        "Recall balance compares classes: a log needs at least two of them.",
    )
    of_parent = cells.select(parent="cell", parent_signature="signature", classes="n_classes")
    paired = cells.join(of_parent, on="parent", how="left", maintain_order="left")
    differs = paired.filter(pl.col("signature") != pl.col("parent_signature"))
    _refuse_cells(
        differs,
        "are counted on other classes, or on another number of images per class, than their "
        "dense network",
        "Count both on the same test images; if only some classes are of interest, filter "
        "the whole log.",
    )
    _check_against_parent(rows, cells)


def _restrict(rule: RowRule, columns: Iterable[str]) -> RowRule | None:
    """The rule on the columns at hand: the counts' rule holds for those counts that are given."""
    present = set(columns)
    if rule.needs == COUNTS:
        counts = tuple(c for c in COUNTS if c in present)
        broken = pl.any_horizontal(pl.col(c) < 0 for c in counts)
        return RowRule(counts, broken, rule.rule, rule.next_step)
    return rule if present.issuperset(rule.needs) else None


def _check_constant(rows: pl.DataFrame) -> None:
    """Run-level columns (n_params, flops, …) say one thing per cell; names one per class."""
    per_row = {*KEY, *COUNTS, "cell", "class_name"}
    run_level = [c for c in rows.columns if c not in per_row]
    if run_level:
        varies = rows.group_by("cell").agg(
            (pl.col(c).first().eq_missing(pl.col(c))).all().not_().alias(c) for c in run_level
        )
        for column in run_level:
            offending = varies.filter(column)["cell"]
            if len(offending):
                raise _violation(
                    rows,
                    rows["cell"] == offending[0],
                    f"the run-level column {column!r} is constant within a cell",
                    "Keep one value per cell, or drop the column.",
                )
    if "class_name" in rows.columns:
        names = rows.select("dataset", "class_id", "class_name").unique().drop_nulls()
        several = names.filter(pl.struct("dataset", "class_id").is_duplicated())
        if several.height:
            raise _violation(
                several,
                pl.col("class_id").is_not_null(),
                "a class_id of a data set has one class_name",
                "Use the same numbering of classes in all runs on a data set.",
            )


def _check_against_parent(rows: pl.DataFrame, cells: pl.DataFrame) -> None:
    """Kept images are correct in the parent too; predictions are not more than images."""
    if "predicted" in rows.columns:
        over = rows.group_by("cell").agg(pl.col("predicted", "n").sum())
        over = over.filter(pl.col("predicted") > pl.col("n"))
        _refuse_cells(
            cells.filter(pl.col("cell").is_in(over["cell"].implode())),
            "have more predictions than test images",
            "`predicted` counts the images predicted as a class; its sum is at most that of n.",
        )
    if "kept" in rows.columns:
        parents = cells.select("cell", "parent")
        dense = rows.select(parent="cell", class_id="class_id", dense_correct="correct")
        paired = rows.select("cell", *KEY, "n", "correct", "kept").join(parents, on="cell")
        paired = paired.join(dense, on=["parent", "class_id"], how="left", maintain_order="left")
        fewest = pl.col("correct") + pl.col("dense_correct") - pl.col("n")
        broken = (pl.col("kept") > pl.col("dense_correct")) | (pl.col("kept") < fewest)
        if paired.select(broken.any()).item():
            raise _violation(
                paired,
                broken,
                "kept is at most the dense parent's correct, and at least the overlap of the two "
                "that n images force",
                "Recount kept from the two networks' predictions, or leave the column out.",
            )


def _refuse_cells(cells: pl.DataFrame, what: str, next_step: str) -> None:
    if cells.height:
        shown = "; ".join(in_words(row) for row in cells.head(SHOWN).iter_rows(named=True))
        raise LogError(f"{cells.height} cell(s) {what}, for example {shown}. {next_step}")


def _violation(
    table: pl.DataFrame, broken: pl.Expr | pl.Series, rule: str, next_step: str
) -> LogError:
    where = table.select(broken).to_series().arg_true()
    shown = "; ".join(
        f"row {i + 1} {in_words(table.row(i, named=True))}" for i in where.head(SHOWN)
    )
    return LogError(
        f"{len(where)} row(s) break the rule that {rule}, for example {shown}. {next_step}"
    )


def in_words(row: dict[str, object]) -> str:
    """A cell or row in words: the values that tell it apart, as `column=value`."""
    shown = [c for c in (*KEY, "class_name", *COUNTS, "n_params", "n_remaining") if c in row]
    quiet = {"study": "default", "recipe": "", "intervention": "pruning", "split": "test"}
    return ", ".join(f"{c}={row[c]!r}" for c in shown if row[c] != quiet.get(c, object()))
