"""What is left of wider gaps once lost accuracy, the logit scale and equal accuracy are considered.

None of these sentences says why: they count conditions in which a number can or cannot be told
from what lost accuracy, or the control, gives.
"""

from typing import Any, Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import counted
from distortion.prose.reservations import FEW_ERRORS
from distortion.prose.words import place, verdicts
from distortion.tables import numbers

WIDER: Final = "wider than accuracy explains"
NARROWER: Final = "narrower than accuracy explains"
APART: Final = "classes draw apart"
TOGETHER: Final = "classes draw together"


def explained(cells: pl.DataFrame, excess: pl.DataFrame, latent: pl.DataFrame) -> tuple[int, int]:
    """Of the conditions that intensify: where lost accuracy alone could be all, and where tested.

    It could where the spread is not found to exceed the accuracy-matched null and γ is not found
    to exceed 1. The families may be empty.
    """
    up = cells.filter(pl.col("verdict") == "intensifies").select(CONDITION)
    tested = up.join(_tested(excess), on=CONDITION, how="inner")
    apart = _tested(latent).filter(pl.col("verdict") == APART)
    alone = tested.filter(pl.col("verdict") != WIDER).join(apart, on=CONDITION, how="anti")
    return alone.height, tested.height


def beyond(
    cells: pl.DataFrame,
    excess: pl.DataFrame,
    latent: pl.DataFrame,
    latent_versus: pl.DataFrame,
    method: pl.DataFrame,
    equal: pl.DataFrame,
    lost: pl.DataFrame,
) -> list[str]:
    """At most three sentences; those whose family has no test are left out.

    Parameters
    ----------
    cells, excess, latent, latent_versus, method, equal : findings of these families about the
        reported arm (`latent_versus`: against the control; `method`, `equal`: methods at the same
        ratio, and at equal accuracy); any but the first may be empty
    lost : conditions near chance, which are no examples
    """
    found = [_excess(cells, excess, lost), _latent(latent, latent_versus), _equal(method, equal)]
    return [sentence for sentence in found if sentence]


def _excess(cells: pl.DataFrame, excess: pl.DataFrame, lost: pl.DataFrame) -> str:
    tested = _tested(excess)
    if not tested.height:
        return ""
    count = verdicts(tested)
    start = "Beyond what a loss of accuracy that spares no class would give (the accuracy-matched"
    if tested.height == 1:
        row = tested.row(0, named=True)
        words = {
            WIDER: "the spread is wider",
            NARROWER: "the spread is narrower",
            "undecided": "no difference of the spread is detected",
        }
        return f"{start} null), {words[row['verdict']]}: {_factor(row)}."
    example = ""
    works = tested.filter(pl.col("verdict") == WIDER).join(lost, on=CONDITION, how="anti")
    if works.height:
        largest = works.sort("estimate", descending=True).row(0, named=True)
        aside = "" if works.height == count[WIDER] else ", conditions near chance aside"
        example = f" (at most {_factor(largest)} at {place(largest, cells)}{aside}{_doubt(works)})"
    return (
        f"{start} null), the spread κ is wider in {count.get(WIDER, 0)} of "
        f"{counted(tested.height, 'condition')}{example}, narrower in {count.get(NARROWER, 0)} and "
        f"cannot be told from it in {count.get('undecided', 0)}."
    )


def _doubt(wider: pl.DataFrame) -> str:
    few = wider["caveat"].str.contains(FEW_ERRORS, literal=True).any()
    return "; too high, because classes have few errors" if few else ""


def _latent(latent: pl.DataFrame, versus: pl.DataFrame) -> str:
    tested = _tested(latent)
    if not tested.height:
        return ""
    start = "On the logit scale, on which such a loss leaves γ at 1,"
    if tested.height == 1:
        row = tested.row(0, named=True)
        words = {"undecided": "no change of the distances between classes is detected"}
        bounds = (row[c] for c in ("estimate", "conf_low", "conf_high"))
        gamma = numbers.interval(*bounds, null=1.0)
        return f"{start} {words.get(row['verdict'], row['verdict'])}: γ = {gamma}."
    count = verdicts(tested)
    text = (
        f"{start} classes draw apart in {count.get(APART, 0)} of "
        f"{counted(tested.height, 'condition')}, together in {count.get(TOGETHER, 0)}"
    )
    against = _tested(versus)
    if against.height:
        count = verdicts(against)
        text += (
            f"; compared with the control, apart in {count.get(APART, 0)} of {against.height} and "
            f"together in {count.get(TOGETHER, 0)}"
        )
    return f"{text}."


def _equal(method: pl.DataFrame, equal: pl.DataFrame) -> str:
    tested, at_ratio = _tested(equal), _tested(method)
    if not tested.height:
        return ""
    differ, before = (
        rows.filter(pl.col("verdict") != "undecided").height for rows in (tested, at_ratio)
    )
    lacking = equal.height - tested.height
    untested = f" ({lacking} more could not be compared)" if lacking else ""
    was = ""
    if at_ratio.height:
        was = f"; at the same ratio, they differ in {before} of {at_ratio.height}"
    return (
        f"Where two methods are equally accurate, their slopes α are found to differ in {differ} "
        f"of {counted(tested.height, 'comparison')}{untested}{was}."
    )


def _tested(found: pl.DataFrame) -> pl.DataFrame:
    return found.filter(pl.col("verdict") != "no test")


def _factor(row: dict[str, Any]) -> str:
    """`by a factor of 1.14 [1.05, 1.24]`, from logarithms."""
    bounds = (row[c] for c in ("estimate", "conf_low", "conf_high"))
    return f"by a factor of {numbers.factor_interval(*bounds)}"
