"""Names as readers see them: on one line, without invisible characters, told apart.

Every name in a log is somebody else's text. These functions make it readable; escaping for a
format is the business of that format's renderer.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import polars as pl

from distortion.schema import CONTROL

# What a panel or a group of table rows shares: a condition without method, ratio, arm and split.
CONTEXT: Final = ("study", "dataset", "model", "recipe", "intervention")
HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn"}
SEPARATOR: Final = " · "


def clean(text: object, limit: int | None = 60) -> str:
    """`text` on one line of at most `limit` characters, without control characters."""
    spaced = " ".join(str(text).split())
    seen = "".join(c for c in spaced if unicodedata.category(c) not in HIDDEN).strip()
    fits = limit is None or len(seen) <= limit
    short = seen if fits else f"{seen[: (limit or 0) - 1].rstrip()}…"
    return short or "(blank)"


def listed(items: Iterable[object], limit: int = 8) -> str:
    """`a, b and c`; beyond `limit` items `a, b, … and 7 more`."""
    names = [clean(item) for item in items]
    if len(names) > limit:
        names = [*names[: limit - 1], f"{len(names) - limit + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 network`, `2 networks`, `1,000 classes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def varying(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that have more than one value in `frame`."""
    return [c for c in columns if frame[c].n_unique() > 1]


def setting(row: Mapping[str, object], columns: Sequence[str]) -> str:
    """The values of `columns` in one row, as a heading; blank ones leave no gap."""
    values = [row[c] for c in columns if row[c] not in (None, "")]
    return SEPARATOR.join(clean(value) for value in values)


def context_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that name a context: those that vary, or data set and model if none does."""
    return varying(frame, CONTEXT) or ["dataset", "model"]


def by_context(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows of each context, its control first.

    The control belongs to a network, whatever is done to it afterwards: it stands with every
    intervention of its network, also where it was logged under another one.
    """
    control = frame.filter(pl.col("arm") == CONTROL)
    parts = []
    for part in frame.filter(pl.col("arm") != CONTROL).partition_by(CONTEXT, maintain_order=True):
        context = part.select(CONTEXT).unique()
        same = [c for c in CONTEXT if c != "intervention"]
        own = control.join(context.select(same), on=same, how="semi")
        own = own.with_columns(intervention=pl.lit(context["intervention"][0]))
        parts.append(pl.concat([own, part]))
    return parts


def with_class_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `class_label`: the class' name, or its number; both where a data set repeats a name."""
    number = pl.col("class_id").cast(pl.String)
    if "class_name" not in frame.columns:
        return frame.with_columns(class_label=number)
    classes = frame.select("dataset", "class_id", "class_name").unique(maintain_order=True)
    label = pl.col("class_name").fill_null("").map_elements(clean, return_dtype=pl.String)
    named = classes.with_columns(label=label)
    repeated = pl.struct("dataset", "label").is_duplicated()
    blank = pl.col("class_name").fill_null("").str.strip_chars() == ""
    named = named.with_columns(
        class_label=pl.when(blank)
        .then(number)
        .when(repeated)
        .then(pl.format("{} ({})", "label", "class_id"))
        .otherwise("label")
    )
    return frame.join(
        named.drop("class_name", "label").unique(["dataset", "class_id"], keep="first"),
        on=["dataset", "class_id"],
        how="left",
        maintain_order="left",
    )
