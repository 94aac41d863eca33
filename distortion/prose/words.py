"""Phrases that several sentences of the report share."""

from typing import Any

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, clean, setting, varying
from distortion.tables import numbers


def joined(parts: list[str]) -> str:
    """As `listed`, for parts that are clean already and may be long."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def alpha(row: dict[str, Any]) -> str:
    """`α = 1.06 [1.02, 1.10]`."""
    if row["estimate"] is None:
        return "an undefined α"
    bounds = (row[c] for c in ("estimate", "conf_low", "conf_high"))
    return f"α = {numbers.interval(*bounds, null=1.0)}"


def kappa(row: dict[str, Any]) -> str:
    """`κ = 1.06 [1.02, 1.10]`."""
    bounds = (row[c] for c in ("kappa", "kappa_low", "kappa_high"))
    return f"κ = {numbers.interval(*bounds, null=1.0)}"


def shrank_in_points(cells: pl.DataFrame, conditions: pl.DataFrame) -> pl.DataFrame:
    """The conditions that intensify relative to accuracy while plain recalls draw together."""
    up = cells.filter(pl.col("verdict") == "intensifies").select(CONDITION)
    if "variance" not in conditions.columns:
        return up.clear()
    shrank = conditions.filter(pl.col("variance") < pl.col("variance_dense")).select(CONDITION)
    return up.join(shrank, on=CONDITION, how="semi", maintain_order="left")


def place(row: dict[str, Any], among: pl.DataFrame) -> str:
    """Where a condition is, in words: what varies of its context, method and ratio."""
    context = setting(row, varying(among, CONTEXT))
    parts = [context, clean(row["method"]), f"ratio {numbers.ratio(row['ratio'])}"]
    return ", ".join(part for part in parts if part)


def verdicts(found: pl.DataFrame) -> dict[str, int]:
    """How often each verdict was given."""
    return dict(found["verdict"].value_counts().iter_rows())
