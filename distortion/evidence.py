"""Everything that a report reads, computed once from a log and put into one order.

Data sets stand easiest first, models smallest first, methods as they first appear, the control
arm before the compressed ones, ratios ascending.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from distortion.designs import (
    CONDITION,
    conditions,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    slopes,
)
from distortion.findings import found_with
from distortion.labels import with_class_labels
from distortion.log import RecallLog
from distortion.schema import ARMS, CONTROL, DENSE, NO_METHOD
from distortion.scope import Scope, scope
from distortion.settings import Settings

PLACES: Final = ("study", "dataset", "model", "recipe", "intervention", "method", "arm")
BOUNDS: Final = ("conf_low", "conf_high")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The frames of one report, all of one split.

    Attributes
    ----------
    findings : `distortion.findings`, with `class_label`
    slopes : `distortion.slopes`, every arm
    conditions : `distortion.conditions`, every arm
    measures : `distortion.measures`, with `class_label`: dense cells, control, the reported arm
    """

    log: RecallLog
    scope: Scope
    findings: pl.DataFrame
    slopes: pl.DataFrame
    conditions: pl.DataFrame
    measures: pl.DataFrame

    @property
    def options(self) -> dict[str, Any]:
        """The options of the call, the arm that was chosen among them."""
        return self.scope.settings.record() | {"arm": self.scope.arm}

    def family(self, *names: str) -> pl.DataFrame:
        """The findings of these families."""
        return self.findings.filter(pl.col("family").is_in(names))

    def classes(self) -> pl.DataFrame:
        """The findings of family class, their intervals cut at what a change of recall can be."""
        found = self.family("class")
        keys = [*CONDITION, "class_id"]
        before = self.measures.group_by(keys).agg(pl.col("recall_dense").mean().alias("before"))
        rows = found.join(before, on=keys, how="left", maintain_order="left")
        bounds = [pl.col(c).clip(-pl.col("before"), 1 - pl.col("before")) for c in BOUNDS]
        return rows.with_columns(bounds).drop("before")


def gather(log: RecallLog, settings: Settings) -> Evidence:
    """Compute what the report reads."""
    found = found_with(log, settings)
    split = settings.split
    tested = found.filter(pl.col("family") == "cell")["arm"][0]
    order = {
        "dataset": datasets_by_difficulty(log, split),
        "model": models_by_complexity(log),
        "method": [NO_METHOD, *methods(log)],
        "arm": list(ARMS),
    }
    on_split = pl.col("split") == split
    cells = in_order(slopes(log).filter(on_split), order)
    rows = measures(log).filter(on_split, pl.col("arm").is_in([DENSE, CONTROL, tested]))
    facts = scope(log, cells, arm=tested, settings=settings)
    return Evidence(
        log,
        facts,
        in_order(with_class_labels(found), order),
        cells,
        in_order(conditions(log).filter(on_split), order),
        in_order(with_class_labels(rows), order),
    )


def in_order(frame: pl.DataFrame, order: Mapping[str, list[str]]) -> pl.DataFrame:
    """Sort by context, method, arm and ratio; rows that agree in these keep their order."""
    ranked = [
        pl.col(c).replace_strict(order[c], range(len(order[c])), default=None)
        if c in order
        else pl.col(c)
        for c in PLACES
    ]
    return frame.sort(*ranked, "ratio", maintain_order=True, nulls_last=True)
