"""Which classes lose most, in words."""

from typing import Final

import polars as pl

from distortion.labels import CONTEXT, clean, counted
from distortion.prose.words import place
from distortion.schema import CONTROL
from distortion.tables import numbers

NAMED: Final = 3
SERIES: Final = (*CONTEXT, "method")


def largest_losses(classes: pl.DataFrame, first: int) -> pl.DataFrame:
    """The `first` largest mean losses of each context and method at its largest ratio."""
    compressed = classes.filter(pl.col("arm") != CONTROL, pl.col("estimate") < 0)
    last = compressed.filter(pl.col("ratio") == pl.col("ratio").max().over(SERIES))
    return (
        last.sort("estimate", maintain_order=True)
        .filter(pl.int_range(pl.len()).over(SERIES) < first)
        .join(
            last.select(SERIES).unique(maintain_order=True).with_row_index("place"),
            on=SERIES,
            maintain_order="left",
        )
        .sort("place", "estimate", maintain_order=True)
        .drop("place")
    )


def losing_classes(
    classes: pl.DataFrame, conditions: pl.DataFrame, *, above_chance: bool = False
) -> list[str]:
    """Per data set, the classes that lose most at the largest ratio, and the largest loss.

    `above_chance` says that conditions near chance level were left out of `classes`.
    """
    at = "At the largest ratio above chance level" if above_chance else "At the largest ratio"
    worst = largest_losses(classes, 1)
    sentences = []
    for rows in worst.partition_by("dataset", maintain_order=True):
        sure = rows.filter(pl.col("verdict") == "loses")
        of = f" of {clean(rows['dataset'][0])}" if worst["dataset"].n_unique() > 1 else ""
        if not sure.height:
            sentences.append(f"{at}, {_undetected(rows, of, conditions)}")
            continue
        sentences.append(f"{at}, {_sentence(sure, rows.height, of, conditions)}")
    return sentences[:NAMED]


def _undetected(worst: pl.DataFrame, of: str, conditions: pl.DataFrame) -> str:
    row = worst.sort("estimate").row(0, named=True)
    lost = numbers.fixed(-100 * row["estimate"], 1)
    return (
        f"no loss of a single class{of} is detected; the largest mean loss is "
        f"{lost} points, of class “{clean(row['class_label'])}” ({place(row, conditions)})."
    )


def _sentence(sure: pl.DataFrame, series: int, of: str, conditions: pl.DataFrame) -> str:
    """`sure`: the class that loses most of each context and method, where that is detectable."""
    counts = (
        sure["class_label"]
        .value_counts(sort=True)
        .sort("count", "class_label", descending=[True, False])
    )
    row = sure.sort("estimate").row(0, named=True)
    loss = numbers.change_interval(row["estimate"], row["conf_low"], row["conf_high"])
    example = f"{loss} points ({place(row, conditions)})"
    if series == 1:
        name = clean(row["class_label"])
        return f"class “{name}”{of} loses most recall: {example}."
    shown = [f"“{clean(label)}” in {n}" for label, n in counts.head(NAMED).iter_rows()]
    pairs = counted(series, "combination")
    return (
        f"the class{of} that loses most recall is "
        f"{', '.join(shown)} of {pairs} of model and method; the largest of these losses is class "
        f"“{clean(row['class_label'])}”, {example}."
    )
