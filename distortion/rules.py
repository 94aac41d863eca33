"""The rules of single rows, each with its own error that names rows, rule and next step.

Columns and types come before: `distortion.columns`; cells and their dense parents after:
`distortion.cells`; what concerns several networks last: `distortion.traits`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from distortion.schema import (
    ARMS,
    CONTROL,
    COUNTS,
    DENSE,
    KEY,
    NO_METHOD,
    SHOWN,
)
from distortion.violations import ROW, Violation


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
    """Raise Violation for the first row rule that any row of a conformed table breaks."""
    possible = [_restrict(rule, table.columns) for rule in ROW_RULES]
    for i, rule in enumerate(rule for rule in possible if rule is not None):
        if found := of_rows(table, rule.broken, rule.rule, rule.next_step):
            raise found.ranked(ROW, i)


def of_rows(table: pl.DataFrame, broken: pl.Expr, rule: str, next_step: str) -> Violation | None:
    """The violation of a rule by those rows of `table` where `broken` is true, if there are any."""
    where = table.select(broken).to_series().arg_true()
    if where.is_empty():
        return None
    places = [(i, in_words(table.row(i, named=True))) for i in where.head(SHOWN)]
    return Violation(len(where), f"row(s) break the rule that {rule}", places, next_step)


def in_words(row: dict[str, object]) -> str:
    """A cell or row in words: the values that tell it apart, as `column=value`."""
    shown = [c for c in (*KEY, "class_name", *COUNTS, "n_params", "n_remaining") if c in row]
    quiet = {"study": "default", "recipe": "", "intervention": "pruning", "split": "test"}
    return ", ".join(f"{c}={row[c]!r}" for c in shown if row[c] != quiet.get(c, object()))


def _restrict(rule: RowRule, columns: Iterable[str]) -> RowRule | None:
    """The rule on the columns at hand: the counts' rule holds for those counts that are given."""
    present = set(columns)
    if rule.needs == COUNTS:
        counts = tuple(c for c in COUNTS if c in present)
        broken = pl.any_horizontal(pl.col(c) < 0 for c in counts)
        return RowRule(counts, broken, rule.rule, rule.next_step)
    return rule if present.issuperset(rule.needs) else None
