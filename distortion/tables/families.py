"""The families of tests: how many, corrected how, and how many are significant."""

from typing import Final

import polars as pl

from distortion.catalogue import CATALOGUE
from distortion.tables import numbers
from distortion.tables.table import Column, Row, Table

ORDER: Final = {h.family: place for place, h in enumerate(CATALOGUE)}
METHODS: Final = {
    "bonferroni": "Bonferroni",
    "holm": "Holm",
    "benjamini-hochberg": "Benjamini–Hochberg",
    "none": "none",
}


def family_table(findings: pl.DataFrame, level: float) -> Table:
    """One row per family of the catalogue that has a test, and one for all of them."""
    error = 1 - level
    data = (
        findings.group_by("family", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("p_value").count().cast(pl.Int64).alias("tests"),
            pl.col("n_tests").min().alias("fewest"),
            pl.col("n_tests").max().alias("most"),
            pl.col("correction").first(),
            (pl.col("p_value") < error).sum().cast(pl.Int64).alias("below"),
            (pl.col("p_corrected") < error).sum().cast(pl.Int64).alias("below_corrected"),
        )
        .sort(pl.col("family").replace_strict(ORDER, return_dtype=pl.Int64))
    )
    data = data.with_columns(expected=error * pl.col("tests"))
    columns = (
        Column("Family", lambda row: row["family"], names=True, numeric=False),
        Column("Tests", lambda row: numbers.count(row["tests"])),
        Column("Corrected together", _together),
        Column("Correction", lambda row: METHODS[row["correction"]], numeric=False),
        Column(f"p below {numbers.significant(error)}", lambda row: numbers.count(row["below"])),
        Column("… by chance", lambda row: numbers.fixed(row["expected"], 1)),
        Column("… corrected", lambda row: numbers.count(row["below_corrected"])),
    )
    note = (
        "Tests: rows with a p-value. Corrected together: tests of one column. By chance: how many "
        "uncorrected p-values would be expected below the level if no family had an effect."
    )
    caption = "Families of tests, and how they are corrected"
    return Table("families", caption, data, columns, (note,), central=True)


def _together(row: Row) -> str:
    low, high = row["fewest"], row["most"]
    return numbers.count(low) if low == high else f"{numbers.count(low)} to {numbers.count(high)}"
