"""What a report is about, as facts: what was run, on what, how often, and what is missing.

The prose and the limitations read these facts and the findings, never the log.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from distortion.designs import CONDITION, datasets_by_difficulty, methods, models_by_complexity
from distortion.log import RecallLog
from distortion.schema import (
    BY_NAME,
    CELL,
    CONTROL,
    DENSE,
    FINETUNED,
    NETWORK,
    NO_METHOD,
    PRUNED,
)
from distortion.settings import Settings

NETWORK_FREE: Final = tuple(c for c in NETWORK if c != "seed")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set of the report: its classes and the images that were counted.

    `chance` is the accuracy of always answering with the largest class.
    """

    name: str
    classes: int
    images: int
    balanced: bool
    chance: float


@dataclass(frozen=True, slots=True)
class Scope:
    """The facts of one report. Unless said otherwise, of its tested cells: one arm, one split.

    Attributes
    ----------
    pairs : data set and model of the networks, easiest data set and smallest model first
    untested : what the log has on other arms or splits only: a factor and its levels
    arms : of the whole split
    networks : that have a tested cell; `trained`: all dense networks of the split
    fewest, most : networks per condition
    conditions : how many are tested, `uncontrolled` of them without a control arm
    cells : of the whole split
    ratio_error : largest relative difference between a mean achieved ratio and the one asked
        for; None where `n_remaining` is unknown
    accuracy_lost : largest mean loss of accuracy of a condition of `arm`, as a share
    undefined : cells of `arm` or control whose slope is undefined
    dead : cells with accuracy 0
    missing : cells that other networks of the same kind have, or that failed and have no rows
    """

    datasets: tuple[Dataset, ...]
    models: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    methods: tuple[str, ...]
    ratios: tuple[float, ...]
    interventions: tuple[str, ...]
    untested: tuple[tuple[str, tuple[str, ...]], ...]
    arms: tuple[str, ...]
    networks: int
    trained: int
    fewest: int
    most: int
    conditions: int
    uncontrolled: int
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
    settings: Settings

    @property
    def has_control(self) -> bool:
        """Whether networks of a tested kind were fine-tuned with nothing removed."""
        return self.uncontrolled < self.conditions

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
    settings: Settings,
) -> Scope:
    """Collect the facts; `slopes` is `distortion.slopes(log)` on that split."""
    split = settings.split
    cells = log.cells.filter(pl.col("split") == split)
    used = slopes.filter(pl.col("arm").is_in([arm, CONTROL]))
    tested = used.filter(pl.col("arm") == arm)
    controls = used.filter(pl.col("arm") == CONTROL).select(NETWORK_FREE).unique()
    conditions = tested.group_by(CONDITION).len()
    failed = failed_cells(log, split)
    datasets = _present(datasets_by_difficulty(log, split), tested["dataset"])
    models = _present(models_by_complexity(log), tested["model"])
    pairs = set(tested.select("dataset", "model").iter_rows())
    return Scope(
        datasets=tuple(_dataset(log, name, split) for name in datasets),
        models=tuple(models),
        pairs=tuple((d, m) for d in datasets for m in models if (d, m) in pairs),
        methods=tuple(_present(methods(log), tested["method"])),
        ratios=tuple(tested["ratio"].unique().sort()),
        interventions=tuple(tested["intervention"].unique().sort()),
        untested=_untested(log, tested),
        arms=tuple(cells["arm"].unique(maintain_order=True)),
        networks=tested.select(NETWORK).n_unique(),
        trained=cells.filter(pl.col("arm") == DENSE).height,
        fewest=_whole(conditions["len"].min()),
        most=_whole(conditions["len"].max()),
        conditions=conditions.height,
        uncontrolled=conditions.join(controls, on=NETWORK_FREE, how="anti").height,
        cells=cells.height,
        failed=failed.height,
        missing=_whole(missing_cells(cells, failed)["missing"].sum()),
        undefined=used["alpha"].null_count(),
        dead=cells.filter(pl.col("correct") == 0).height,
        ratio_error=_ratio_error(tested),
        accuracy_lost=_accuracy_lost(tested),
        notes=log.notes,
        provenance=bool(log.provenance),
        arm=arm,
        split=split,
        settings=settings,
    )


def failed_cells(log: RecallLog, split: str) -> pl.DataFrame:
    """What the runner recorded as failed on that split; blanks get the log's defaults."""
    defaults = {c: BY_NAME[c].default for c in CELL if BY_NAME[c].default is not None}
    failed = log.failed.with_columns(
        pl.col(c).fill_null(split if c == "split" else default) for c, default in defaults.items()
    )
    return failed.filter(pl.col("split") == split)


def missing_cells(cells: pl.DataFrame, failed: pl.DataFrame) -> pl.DataFrame:
    """Every condition with its `networks` and how many are `missing`.

    A cell is missing where another network of the same kind has it, or where it is recorded as
    failed and has no rows: a condition that failed for every network has 0 of them.
    """
    dense = cells.filter(pl.col("arm") == DENSE).select(NETWORK).unique()
    shared = cells.select(CONDITION).unique(maintain_order=True)
    wanted = shared.join(dense, on=NETWORK_FREE, maintain_order="left").select(CELL)
    wanted = pl.concat([wanted, failed.select(CELL)]).unique(maintain_order=True)
    present = cells.select(CELL).with_columns(present=pl.lit(1, pl.Int64))
    counted = wanted.join(present, on=CELL, how="left", maintain_order="left", nulls_equal=True)
    return counted.group_by(CONDITION, maintain_order=True).agg(
        pl.col("present").sum().alias("networks"),
        pl.col("present").null_count().cast(pl.Int64).alias("missing"),
    )


def _present(order: list[str], values: pl.Series) -> list[str]:
    known = set(values)
    return [name for name in order if name in known]


def _untested(log: RecallLog, tested: pl.DataFrame) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The levels of each factor that the log has, but not on this arm and split."""
    found = []
    for factor in ("dataset", "model", "method"):
        levels = log.cells[factor].unique(maintain_order=True)
        rest = [name for name in levels if name != NO_METHOD and name not in set(tested[factor])]
        if rest:
            found.append((factor, tuple(rest)))
    return tuple(found)


def _dataset(log: RecallLog, name: str, split: str) -> Dataset:
    rows = log.table.filter(pl.col("dataset") == name, pl.col("split") == split)
    rows = rows.filter(pl.col("cell") == pl.col("cell").first())
    sizes, images = rows["n"], _whole(rows["n"].sum())
    chance = _whole(sizes.max()) / images
    return Dataset(name, rows.height, images, sizes.n_unique() == 1, chance)


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
