"""What a report is about, as facts: what was run, on what, how often, and what is missing.

The prose and the limitations read these facts and the findings, never the log.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from distortion.corrections import Correction
from distortion.designs import CONDITION, datasets_by_difficulty, methods, models_by_complexity
from distortion.log import RecallLog
from distortion.schema import CELL, CONTROL, DENSE, FINETUNED, NETWORK, PRUNED

NETWORK_FREE: Final = tuple(c for c in NETWORK if c != "seed")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set of the report: its classes and the images that were counted."""

    name: str
    classes: int
    images: int
    balanced: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The facts of one report.

    Attributes
    ----------
    networks : trained networks in all; `fewest` and `most` per data set, model and recipe
    ratio_error : largest relative difference between a mean achieved ratio and the one asked
        for; None where `n_remaining` is unknown
    accuracy_lost : largest mean loss of accuracy of a condition of `arm`, as a share
    undefined : cells of `arm` or control whose slope is undefined
    dead : cells with accuracy 0
    missing : cells that other networks of the same kind have, failed ones included
    """

    datasets: tuple[Dataset, ...]
    models: tuple[str, ...]
    methods: tuple[str, ...]
    ratios: tuple[float, ...]
    interventions: tuple[str, ...]
    arms: tuple[str, ...]
    networks: int
    fewest: int
    most: int
    cells: int
    failed: int
    missing: int
    undefined: int
    dead: int
    ratio_error: float | None
    accuracy_lost: float
    notes: tuple[str, ...]
    provenance: bool
    arm: str
    split: str
    level: float
    correction: Correction
    equal_variances: bool

    @property
    def has_control(self) -> bool:
        """Whether networks were fine-tuned with nothing removed."""
        return CONTROL in self.arms

    @property
    def treated(self) -> str:
        """What happened to the networks that are reported on, in words."""
        done = "pruned" if self.interventions == ("pruning",) else "compressed"
        return {FINETUNED: f"{done} and fine-tuned", PRUNED: f"{done}, not fine-tuned"}[self.arm]

    @property
    def treatment(self) -> str:
        """The same as a noun."""
        noun = "pruning" if self.interventions == ("pruning",) else "compression"
        return {FINETUNED: f"{noun} and fine-tuning", PRUNED: noun}[self.arm]


def scope(
    log: RecallLog,
    slopes: pl.DataFrame,
    *,
    arm: str,
    split: str,
    level: float,
    correction: Correction,
    equal_variances: bool,
) -> Scope:
    """Collect the facts; `slopes` is `distortion.slopes(log)` on that split."""
    cells = log.cells.filter(pl.col("split") == split)
    used = slopes.filter(pl.col("arm").is_in([arm, CONTROL]))
    tested = used.filter(pl.col("arm") == arm)
    per_kind = cells.select(NETWORK).unique().group_by(NETWORK_FREE).len()["len"]
    failed = log.failed.filter(pl.col("split").fill_null(split) == split)
    datasets = [_dataset(log, name, split) for name in datasets_by_difficulty(log)]
    return Scope(
        datasets=tuple(dataset for dataset in datasets if dataset.classes),
        models=tuple(models_by_complexity(log)),
        methods=tuple(methods(log)),
        ratios=tuple(tested["ratio"].unique().sort()),
        interventions=tuple(tested["intervention"].unique().sort()),
        arms=tuple(cells["arm"].unique(maintain_order=True)),
        networks=cells.select(NETWORK).n_unique(),
        fewest=_whole(per_kind.min()),
        most=_whole(per_kind.max()),
        cells=cells.height,
        failed=failed.height,
        missing=_whole(missing_cells(cells)["missing"].sum()),
        undefined=used["alpha"].null_count(),
        dead=cells.filter(pl.col("correct") == 0).height,
        ratio_error=_ratio_error(tested),
        accuracy_lost=_accuracy_lost(tested),
        notes=log.notes,
        provenance=bool(log.provenance),
        arm=arm,
        split=split,
        level=level,
        correction=correction,
        equal_variances=equal_variances,
    )


def missing_cells(cells: pl.DataFrame) -> pl.DataFrame:
    """Conditions that some networks of a kind have and others lack: CONDITION, `missing`."""
    kinds = cells.filter(pl.col("arm") == DENSE).select(NETWORK).unique()
    trained = kinds.group_by(NETWORK_FREE).agg(pl.len().cast(pl.Int64).alias("trained"))
    present = cells.select(CELL).group_by(CONDITION, maintain_order=True).len("networks")
    missing = (pl.col("trained") - pl.col("networks")).alias("missing")
    return present.join(trained, on=NETWORK_FREE, maintain_order="left").select(*CONDITION, missing)


def _dataset(log: RecallLog, name: str, split: str) -> Dataset:
    rows = log.table.filter(pl.col("dataset") == name, pl.col("split") == split)
    rows = rows.filter(pl.col("cell") == pl.col("cell").first())
    return Dataset(name, rows.height, _whole(rows["n"].sum()), rows["n"].n_unique() == 1)


def _ratio_error(slopes: pl.DataFrame) -> float | None:
    if "ratio_achieved" not in slopes.columns:
        return None
    achieved = slopes.group_by(CONDITION).agg(pl.col("ratio_achieved").mean())
    error = achieved.select((pl.col("ratio_achieved") / pl.col("ratio") - 1).abs().max()).item()
    return None if error is None else float(error)


def _accuracy_lost(slopes: pl.DataFrame) -> float:
    lost = (pl.col("accuracy_dense") - pl.col("accuracy")).mean().alias("lost")
    return float(slopes.group_by(CONDITION).agg(lost).select(pl.col("lost").max()).item())


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
