"""Which classes lose most, in words."""

from typing import Final

import polars as pl

from distortion.labels import CONTEXT, clean, listed, varying
from distortion.prose.words import joined, place
from distortion.schema import CONTROL
from distortion.tables import numbers

NAMED: Final = 3
SERIES: Final = (*CONTEXT, "method")
FACTORS: Final = {
    "study": "study",
    "dataset": "data set",
    "model": "model",
    "recipe": "recipe",
    "intervention": "intervention",
    "method": "method",
}


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
    """Per data set, the classes with the largest mean loss at the largest ratio.

    `above_chance` says that conditions near chance level were left out of `classes`.
    """
    at = "At the largest ratio above chance level" if above_chance else "At the largest ratio"
    worst = largest_losses(classes, 1)
    by_dataset = worst.partition_by("dataset", maintain_order=True)
    sentences = []
    for rows in by_dataset[:NAMED]:
        sure = rows.filter(pl.col("verdict") == "loses")
        on = f" on {clean(rows['dataset'][0])}" if len(by_dataset) > 1 else ""
        text = _sentence(sure, rows, conditions) if sure.height else _undetected(rows, conditions)
        sentences.append(f"{at}{on}, {text}")
    if rest := by_dataset[NAMED:]:
        names = listed(rows["dataset"][0] for rows in rest)
        sentences.append(f"The largest losses on {names} stand in the table of largest losses.")
    return sentences


def _undetected(worst: pl.DataFrame, conditions: pl.DataFrame) -> str:
    row = worst.sort("estimate").row(0, named=True)
    lost = numbers.fixed(-100 * row["estimate"], 1)
    return (
        "no loss of a single class is detected; the largest mean loss is "
        f"{lost} points, of class “{clean(row['class_label'])}” ({place(row, conditions)})."
    )


def _sentence(sure: pl.DataFrame, worst: pl.DataFrame, conditions: pl.DataFrame) -> str:
    """`worst`: the largest mean loss of each context and method; `sure`: those detected."""
    counts = (
        sure["class_label"]
        .value_counts(sort=True)
        .sort("count", "class_label", descending=[True, False])
    )
    row = sure.sort("estimate").row(0, named=True)
    name = clean(row["class_label"])
    loss = numbers.change_interval(row["estimate"], row["conf_low"], row["conf_high"])
    example = f"{loss} points ({place(row, conditions)})"
    if worst.height == 1:
        return f"the largest mean loss is that of class “{name}”: {example}."
    of = f" of {worst.height} {_series(worst)}"
    shown = [
        f"“{clean(label)}” in {n}{of if i == 0 else ''}"
        for i, (label, n) in enumerate(counts.head(NAMED).iter_rows())
    ]
    # A single class left over is named, too: "other classes in 1" would not be shorter.
    if counts.height == NAMED + 1:
        label, n = counts.row(NAMED)
        shown.append(f"“{clean(label)}” in {n}")
    elif counts.height > NAMED:
        shown.append(f"other classes in {counts['count'][NAMED:].sum()}")
    unsure = worst.height - sure.height
    rest = f" ({unsure} without a detected loss)" if unsure else ""
    return (
        f"the largest mean loss is that of {joined(shown)}{rest}; the largest of all is that of "
        f"“{name}”: {example}."
    )


def _series(worst: pl.DataFrame) -> str:
    """What the compared series differ in: `methods`, `combinations of model and method`."""
    factors = [FACTORS[c] for c in varying(worst, SERIES)]
    return f"{factors[0]}s" if len(factors) == 1 else f"combinations of {joined(factors)}"
