"""What is compared across networks: names, copied seeds, dead cells. Small, however long the log.

The traits of a log larger than memory are those of its parts, put below each other.
"""

from collections.abc import Iterable
from typing import TypeAlias

import polars as pl

from distortion.rules import in_words
from distortion.schema import DENSE, NETWORK, SHOWN
from distortion.violations import Violation

SPELLED = ("dataset", "model", "recipe", "method")
PRINTS = ("dense counts", "initial weights")

# Tables by name; in each, `row` says where in the log a trait stands first, from 0.
Traits: TypeAlias = dict[str, pl.DataFrame]


def traits(rows: pl.DataFrame, cells: pl.DataFrame) -> Traits:
    """The traits of whole networks, from their rows and numbered cells."""
    found = {c: cells.group_by(name=c).agg(pl.col("row").min()) for c in SPELLED}
    found["dead"] = cells.filter(pl.col("correct") == 0).drop("cell", "signature", "parent")
    if "class_name" in rows.columns:
        named = rows.select("dataset", "class_id", "class_name", row=pl.int_range(pl.len()))
        found["class_name"] = _first(named.filter(pl.col("class_name").is_not_null()))
    of_dense = pl.col("arm") == DENSE
    counts = pl.struct("split", "class_id", "n", "correct").hash()
    prints = {PRINTS[0]: (counts.alias("print"), pl.col("print").sum())}
    if "weights_hash" in rows.columns:
        weights = pl.col("weights_hash").alias("print")
        prints[PRINTS[1]] = (weights, pl.col("print").drop_nulls().first())
    for what, (of_row, of_network) in prints.items():
        row = cells["row"].gather(rows["cell"])
        dense = rows.select(*NETWORK, "arm", of_row, row=row).filter(of_dense)
        networks = dense.group_by(NETWORK).agg(of_network, pl.col("row").min())
        found[what] = networks.filter(pl.col("print").is_not_null())
    return found


def moved(found: Traits, row: pl.Series) -> Traits:
    """The traits of a part of a log, where `row` numbers the rows of the part within the log."""
    return {what: table.with_columns(row=row.gather(table["row"])) for what, table in found.items()}


def together(parts: Iterable[Traits]) -> Traits:
    """The traits of a log from those of its parts, which have the same columns."""
    every = list(parts)
    found = {what: pl.concat([part[what] for part in every]) for what in every[0]}
    return {what: _first(table).sort("row") for what, table in found.items()}


def check_names(found: Traits) -> None:
    """Raise Violation if a class of a data set has several names."""
    if "class_name" not in found:
        return
    names = found["class_name"]
    several = names.filter(pl.struct("dataset", "class_id").is_duplicated())
    if several.height:
        shown = several.head(SHOWN).iter_rows(named=True)
        raise Violation(
            several.height,
            "class name(s) break the rule that a class_id of a data set has one class_name",
            [(name["row"], in_words(name)) for name in shown],
            "Use the same numbering of classes in all runs on a data set.",
        )


def weaknesses(found: Traits) -> list[str]:
    """Sentences on what breaks no rule, but weakens what can be concluded from the log."""
    return [*_dead(found["dead"]), *_copied(found), *_spelled_alike(found)]


def _first(table: pl.DataFrame) -> pl.DataFrame:
    """Each trait once, where it stands first."""
    return table.group_by(pl.exclude("row"), maintain_order=True).agg(pl.col("row").min())


def _dead(cells: pl.DataFrame) -> list[str]:
    if cells.is_empty():
        return []
    return [
        f"{cells.height} cell(s) have accuracy 0, for example "
        f"{in_words(cells.row(0, named=True))}: their normalized recall balance is undefined "
        "and left out of every slope."
    ]


def _copied(found: Traits) -> list[str]:
    sentences = []
    for what in PRINTS:
        if what not in found:
            continue
        # The same initial weights are the same seed, whatever the study is called.
        apart = {"seed"} if what == PRINTS[0] else {"seed", "study"}
        same = [c for c in NETWORK if c not in apart]
        networks = found[what]
        copies = networks.filter(pl.struct(*same, "print").is_duplicated())
        if copies.height:
            seeds = copies["seed"].unique().sort().to_list()
            sentences.append(
                f"Copied seeds? {copies.height} networks share identical {what}, for example "
                f"{in_words(copies.row(0, named=True))} (seeds {seeds[:6]}). Copies are not "
                "independent replicates: if they are copies, retrain them with different seeds."
            )
    return sentences


def _spelled_alike(found: Traits) -> list[str]:
    """Names that differ in upper and lower case or blanks only."""
    sentences = []
    for column in SPELLED:
        names = found[column].sort("name")
        plain = pl.col("name").str.to_lowercase().str.replace_all(r"[\s_-]", "")
        alike = names.filter(plain.is_duplicated())["name"].to_list()
        if alike:
            sentences.append(
                f"Values of {column!r} differ in spelling only: {', '.join(map(repr, alike))}. "
                "Each counts as one of its own; give them one name if they are the same."
            )
    return sentences
