"""Everything that a report reads, computed once from a log and put into one order.

Data sets stand easiest first, models smallest first, methods as they first appear, the control
arm before the compressed ones, ratios ascending. What only some sections read is computed when
they first do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from distortion.asking import Asked, ask
from distortion.designs import (
    CONDITION,
    conditions,
    datasets_by_difficulty,
    measures,
    methods,
    models_by_complexity,
    slopes,
)
from distortion.diagnostics import MixedModel, influences, mixed_models, offsets
from distortion.findings import answers
from distortion.labels import with_class_labels
from distortion.log import RecallLog
from distortion.planning.plan import Plan, plan
from distortion.schema import ARMS, CONTROL, DENSE, NO_METHOD
from distortion.scope import Scope, failed_cells, missing_cells, scope
from distortion.settings import Settings

PLACES: Final = ("study", "dataset", "model", "recipe", "intervention", "method", "arm")
BOUNDS: Final = ("conf_low", "conf_high")


@dataclass(frozen=True)
class Evidence:
    """The frames of one report, all of one split.

    Attributes
    ----------
    findings : `distortion.findings`, with `class_label`
    slopes : `distortion.slopes`, every arm
    conditions : `distortion.conditions`, every arm
    measures : `distortion.measures`, with `class_label`: dense cells, control, the reported arm
    asked : what the findings were computed from
    order : levels of the columns in PLACES, in the order of the report
    """

    log: RecallLog
    scope: Scope
    findings: pl.DataFrame
    slopes: pl.DataFrame
    conditions: pl.DataFrame
    measures: pl.DataFrame
    asked: Asked
    order: Mapping[str, list[str]]

    @property
    def options(self) -> dict[str, Any]:
        """The options of the call, the arm that was chosen among them."""
        return self.scope.settings.record() | {"arm": self.scope.arm}

    def family(self, *names: str) -> pl.DataFrame:
        """The findings of these families."""
        return self.findings.filter(pl.col("family").is_in(names))

    def treated(self, *names: str) -> pl.DataFrame:
        """The same, of the reported arm alone."""
        return self.treated_only(self.family(*names))

    def treated_only(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the reported arm."""
        return frame.filter(pl.col("arm") == self.scope.arm)

    def classes(self) -> pl.DataFrame:
        """The findings of family class, their intervals cut at what a change of recall can be."""
        found = self.family("class")
        keys = [*CONDITION, "class_id"]
        before = self.measures.group_by(keys).agg(pl.col("recall_dense").mean().alias("before"))
        rows = found.join(before, on=keys, how="left", maintain_order="left")
        bounds = [pl.col(c).clip(-pl.col("before"), 1 - pl.col("before")) for c in BOUNDS]
        return rows.with_columns(bounds).drop("before")

    @cached_property
    def failed(self) -> pl.DataFrame:
        """The cells of the split that are recorded as failed."""
        return failed_cells(self.log, self.scope.split)

    @cached_property
    def grid(self) -> pl.DataFrame:
        """Every condition of the split with its networks, and how many are missing or failed."""
        cells = self.log.cells.filter(pl.col("split") == self.scope.split)
        return in_order(missing_cells(cells, self.failed), self.order)

    @cached_property
    def repaired(self) -> pl.DataFrame:
        """`distortion.repaired_slopes`."""
        return in_order(self.asked.repaired, self.order)

    @cached_property
    def null(self) -> pl.DataFrame:
        """`distortion.matched_null`."""
        return in_order(self.asked.null, self.order)

    @cached_property
    def latent(self) -> pl.DataFrame:
        """`distortion.structural`, with Wald intervals."""
        return in_order(self.asked.latent, self.order)

    @cached_property
    def mixed(self) -> dict[str, list[MixedModel]]:
        """The mixed models of α and of log κ, one per method."""
        return {
            measure: mixed_models(
                self.log, self.asked.samples, measure, self.scope.arm, self.scope.split
            )
            for measure in ("alpha", "log_kappa")
        }

    @cached_property
    def influence(self) -> pl.DataFrame:
        """How far single networks and classes move the slope."""
        found = influences(self.log, self.scope.arm, self.scope.split)
        return in_order(found, self.order) if found.height else found

    @cached_property
    def offset(self) -> float:
        """The largest share of residuals that do not cancel over classes."""
        return offsets(self.log, self.scope.arm, self.scope.split)

    @cached_property
    def plan(self) -> Plan:
        """Seeds for the plain slope of every condition, this log being the pilot."""
        scope = self.scope
        return plan(self.log, "cell", arm=scope.arm, split=scope.split, level=scope.settings.level)


def gather(log: RecallLog, settings: Settings) -> Evidence:
    """Compute what the report reads."""
    asked = ask(log, settings)
    found = answers(asked, settings)
    split, tested = asked.split, asked.arm
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
        asked,
        order,
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
