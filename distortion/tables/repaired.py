"""The plain slope and its repairs side by side: one row per condition, one column per estimator."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, Literal

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import clean
from distortion.schema import CONTROL
from distortion.tables import numbers
from distortion.tables.table import NAME, Column, Row, Table

BOUNDS: Final = ("estimate", "conf_low", "conf_high")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimator as readers see it.

    Attributes
    ----------
    key : its name in the tables it comes from
    heading, label : in a table, in a figure
    null : its null value, as shown
    kept_from : the table: repaired slopes, accuracy-matched null or structural model
    logarithm : whether it is shown as the factor whose logarithm was estimated
    """

    key: str
    heading: str
    label: str
    null: float
    kept_from: Literal["repaired", "null", "latent"]
    logarithm: bool = False


ESTIMATES: Final = (
    Estimate("plain", "α", "plain α", 1.0, "repaired"),
    Estimate("between", "Between", "between", 1.0, "repaired"),
    Estimate("split_half", "Split-half", "split-half", 1.0, "repaired"),
    Estimate("control_alpha", "α − α of control", "1 + α − α of control", 0.0, "repaired"),
    Estimate("log_kappa", "κ", "κ", 1.0, "repaired", logarithm=True),
    Estimate("log_kappa_excess_corrected", "κ / κ of null", "κ beyond accuracy", 1.0, "null", True),
    Estimate("gamma", "γ", "γ (logit)", 1.0, "latent"),
)
NOTES: Final = (
    "Every interval by itself at {level}, not corrected for their number; variation between "
    "networks (seeds).",
    "α: plain slope. Between: slope of the class pattern that networks share, free of seed noise. "
    "Split-half: free of the noise of test images. α − α of control: null value 0; all others: 1. "
    "κ: spread after over before. κ / κ of null: the spread beyond what lost accuracy alone gives. "
    "γ: slope on the logit scale.",
)


def estimates(repaired: pl.DataFrame, null: pl.DataFrame, latent: pl.DataFrame) -> pl.DataFrame:
    """One row per condition and estimator: CONDITION columns, `estimator`, estimate and bounds.

    κ and its excess are factors. The tables are those of `repaired_slopes`, `matched_null` and
    `structural`.
    """
    sources = {
        "repaired": repaired,
        "null": null.rename({"measure": "estimator"}),
        "latent": latent.rename({"measure": "estimator"}),
    }
    tables = []
    for estimate in ESTIMATES:
        rows = sources[estimate.kept_from].filter(pl.col("estimator") == estimate.key)
        shown = [pl.col(c).exp() if estimate.logarithm else pl.col(c) for c in BOUNDS]
        tables.append(rows.select(*CONDITION, "estimator", *shown, "conf_level", "caveat"))
    return pl.concat(tables).with_columns(pl.col(*BOUNDS).replace(float("inf"), None))


def repaired_table(found: pl.DataFrame, name: str, caption: str) -> Table:
    """All estimators of the conditions of one context; `found` as from `estimates`."""
    present = [
        e for e in ESTIMATES if found.filter(pl.col("estimator") == e.key)["estimate"].count()
    ]
    data = found.select(CONDITION).unique(maintain_order=True)
    for estimate in present:
        rows = found.filter(pl.col("estimator") == estimate.key)
        names = {c: _column(estimate.key, c) for c in BOUNDS}
        rows = rows.select(*CONDITION, *BOUNDS).rename(names)
        data = data.join(rows, on=CONDITION, how="left", maintain_order="left")
    columns = (
        Column("Method", _method, names=True, numeric=False),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        *(
            Column(e.heading, _interval(e), value=itemgetter(_column(e.key, "estimate")))
            for e in present
        ),
    )
    levels = found["conf_level"].drop_nulls().unique().sort()
    level = " and ".join(map(numbers.confidence, levels)) or numbers.NOTHING
    notes = tuple(note.format(level=level) for note in NOTES)
    return Table(name, caption, data, columns, notes, central=True)


def _column(key: str, part: str) -> str:
    return key if part == "estimate" else f"{key}_{part.removeprefix('conf_')}"


def _interval(estimate: Estimate) -> Callable[[Row], str]:
    names = [_column(estimate.key, part) for part in BOUNDS]

    def show(row: Row) -> str:
        return numbers.interval(*(row[n] for n in names), signed=estimate.null == 0)

    return show


def _method(row: Row) -> str:
    return CONTROL if row["arm"] == CONTROL else clean(row["method"], NAME)
