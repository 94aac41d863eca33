"""What breaks no rule of the log, but weakens what can be concluded from it."""

import polars as pl

from distortion.rules import in_words
from distortion.schema import DENSE, NETWORK


def weaknesses(rows: pl.DataFrame, cells: pl.DataFrame) -> list[str]:
    """Sentences on what breaks no rule but weakens conclusions: accuracy 0, copied seeds."""
    found = []
    dead = cells.filter(pl.col("correct") == 0)
    if dead.height:
        found.append(
            f"{dead.height} cell(s) have accuracy 0, for example "
            f"{in_words(dead.row(0, named=True))}: their normalized recall balance is undefined "
            "and left out of every slope."
        )
    dense = rows.filter(pl.col("arm") == DENSE)
    counts = pl.struct("split", "class_id", "n", "correct").hash().sum()
    prints: dict[str, tuple[pl.Expr, tuple[str, ...]]] = {"dense counts": (counts, NETWORK)}
    if "weights_hash" in rows.columns:
        # The same initial weights are the same seed, whatever the study is called.
        anywhere = tuple(c for c in NETWORK if c != "study")
        prints["initial weights"] = (pl.col("weights_hash").drop_nulls().first(), anywhere)
    for what, (fingerprint, network) in prints.items():
        networks = dense.group_by(NETWORK, maintain_order=True).agg(fingerprint.alias("print"))
        known = networks.filter(pl.col("print").is_not_null())
        same = [c for c in network if c != "seed"]
        copies = known.filter(pl.struct(*same, "print").is_duplicated())
        if copies.height:
            seeds = copies["seed"].unique().sort().to_list()
            found.append(
                f"Copied seeds? {copies.height} networks share identical {what}, for example "
                f"{in_words(copies.row(0, named=True))} (seeds {seeds[:6]}). Copies are not "
                "independent replicates: if they are copies, retrain them with different seeds."
            )
    return found


def spelled_alike(cells: pl.DataFrame) -> list[str]:
    """Sentences on names that differ in upper and lower case or blanks only."""
    found = []
    for column in ("dataset", "model", "recipe", "method"):
        names = pl.DataFrame({"name": cells[column].unique().sort()})
        plain = pl.col("name").str.to_lowercase().str.replace_all(r"[\s_-]", "")
        alike = names.filter(plain.is_duplicated())["name"].to_list()
        if alike:
            found.append(
                f"Values of {column!r} differ in spelling only: {', '.join(map(repr, alike))}. "
                "Each counts as one of its own; give them one name if they are the same."
            )
    return found
