"""Phrases that several sentences of the report share."""

from typing import Any

import polars as pl

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


def place(row: dict[str, Any], among: pl.DataFrame) -> str:
    """Where a condition is, in words: what varies of its context, method and ratio."""
    context = setting(row, varying(among, CONTEXT))
    parts = [context, clean(row["method"]), f"ratio {numbers.ratio(row['ratio'])}"]
    return ", ".join(part for part in parts if part)


def verdicts(found: pl.DataFrame) -> dict[str, int]:
    """How often each verdict was given."""
    return dict(found["verdict"].value_counts().iter_rows())
