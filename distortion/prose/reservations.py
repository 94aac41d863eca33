"""Limitations that the estimates themselves call for, each a sentence or nothing."""

from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, counted, listed
from distortion.tables import numbers

# What the structural model and the accuracy-matched null write into their caveats.
DEPARTS: Final = "classes leave the line"
FEW_ERRORS: Final = "too few to separate class patterns from image noise"
UNEQUAL: Final = 0.02


def reservations(
    conditions: pl.DataFrame, latent: pl.DataFrame, excess: pl.DataFrame, method: pl.DataFrame
) -> list[str]:
    """The sentences that apply.

    Parameters
    ----------
    conditions : `distortion.conditions` of the reported arm
    latent, excess, method : the findings of these families, of that arm; may be empty
    """
    found = [
        unequal_accuracy(conditions, method),
        structural_departures(latent),
        few_errors(excess),
    ]
    return [sentence for sentence in found if sentence]


def unequal_accuracy(conditions: pl.DataFrame, method: pl.DataFrame) -> str:
    """S2: methods at one ratio that differ in accuracy, and in slope for that alone."""
    if not method.height:
        return ""
    keys = [*CONTEXT, "ratio"]
    apart = conditions.group_by(keys, maintain_order=True).agg(
        (pl.col("accuracy").max() - pl.col("accuracy").min()).alias("apart")
    )
    largest = apart.sort("apart", descending=True, nulls_last=True, maintain_order=True).row(
        0, named=True
    )
    if largest["apart"] is None or largest["apart"] < UNEQUAL:
        return ""
    return (
        "Methods are compared at unequal accuracy: at the same ratio they lie up to "
        f"{numbers.fixed(100 * largest['apart'], 1)} points apart (ratio "
        f"{numbers.ratio(largest['ratio'])}), and a lower accuracy widens gaps by itself. The "
        "comparison at equal accuracy avoids this, for the networks whose curves cross."
    )


def structural_departures(latent: pl.DataFrame) -> str:
    """γ is one number for all classes."""
    rows = latent.filter(pl.col("caveat").str.contains(DEPARTS, literal=True))
    if not rows.height:
        return ""
    return (
        f"In {rows.height} of {counted(latent.height, 'condition')} the classes leave the line of "
        "the structural model alike in all networks: γ is then a summary of these classes, and its "
        "interval says nothing about others."
    )


def few_errors(excess: pl.DataFrame) -> str:
    """The correction of the excess is of first order."""
    rows = excess.filter(pl.col("caveat").str.contains(FEW_ERRORS, literal=True))
    if not rows.height:
        return ""
    names = listed(rows["dataset"].unique(maintain_order=True))
    return (
        f"On {names} a typical class has only a handful of misses: the excess over the "
        "accuracy-matched null is then too high, and gaps that it calls wider than accuracy "
        f"explains may not be ({counted(rows.select(CONDITION).n_unique(), 'condition')})."
    )
