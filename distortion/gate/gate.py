"""The gate: limits and a log in, a verdict per condition out."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl

from distortion.counts import Counts
from distortion.designs import CONDITION
from distortion.fits.results.arguments import choice
from distortion.gate.caveats import caveats
from distortion.gate.criteria import criteria
from distortion.gate.decisions import Decision, Errors, decide, errors, together
from distortion.gate.limits import DEFAULT_CLASS_DROP, PASS, Limits, Target, Verdict
from distortion.gate.rows import criterion_rows, network_rows, to_table
from distortion.gate.selection import select, target_of
from distortion.log import RecallLog, Source, read_log
from distortion.resampling.intervals import check_level

Across = Literal["all", "any"]


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """One condition behind the gate: its counts, what was decided, and at which error rates."""

    counts: Counts
    target: Target
    rates: Errors
    decisions: tuple[Decision, ...]
    caveats: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail if one limit is certainly exceeded, pass if all are certainly kept."""
        return together(tuple(d.verdict for d in self.decisions))

    @property
    def held(self) -> bool:
        """Whether a single network of the recipe is beyond a limit."""
        return any(bool(d.beyond.any()) for d in self.decisions)


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """What `gate` found.

    Attributes
    ----------
    gated : one element per condition, ratios ascending within a method
    limits, level, across : as asked
    arm, split : of the rows that were compared with the dense network
    """

    log: RecallLog
    gated: tuple[Gated, ...]
    limits: Limits
    level: float
    across: Across
    arm: str
    split: str

    @property
    def verdict(self) -> Verdict:
        """Of all conditions together: all must pass, or with `across="any"` one."""
        return together(tuple(g.verdict for g in self.gated), enough=self.across == "any")

    @property
    def table(self) -> pl.DataFrame:
        """One row per condition, criterion and class, see `distortion.gate.rows.CRITERIA`."""
        return to_table([row for g in self.gated for row in criterion_rows(g)])

    @property
    def networks(self) -> pl.DataFrame:
        """The drop of recall of each class of each network, with its interval over test images."""
        return pl.concat([network_rows(g.counts, self.level) for g in self.gated])

    @property
    def conditions(self) -> pl.DataFrame:
        """One row per condition: CONDITION columns, `target`, `networks`, `verdict`."""
        rows = [
            dict(g.counts.condition)
            | {"target": g.target, "networks": g.counts.size[0], "verdict": g.verdict}
            for g in self.gated
        ]
        return pl.DataFrame(rows)

    @property
    def largest(self) -> pl.DataFrame:
        """The largest ratio up to which every tested ratio passes, by method; null if none does.

        Ratios are tested in ascending order up to the first that does not pass. In such a fixed
        sequence no correction for the number of ratios is needed (Maurer, Hothorn & Lehmacher
        1995; Westfall & Krishen 2001).
        """
        context = [c for c in CONDITION if c != "ratio"]
        ordered = self.conditions.sort("ratio", maintain_order=True)
        return ordered.group_by(context, maintain_order=True).agg(
            pl.col("ratio")
            .filter((pl.col("verdict") == PASS).cast(pl.Int8).cum_prod() == 1)
            .max()
            .alias("largest_ratio"),
            pl.len().alias("tested"),
        )


def gate(
    log: Source,
    *,
    max_class_drop: float | None = DEFAULT_CLASS_DROP,
    max_accuracy_drop: float | None = None,
    max_kappa: float | None = None,
    max_alpha: float | None = None,
    min_worst_recall: float | None = None,
    study: str | None = None,
    dataset: str | None = None,
    model: str | None = None,
    recipe: str | None = None,
    intervention: str | None = None,
    method: str | None = None,
    ratio: float | None = None,
    seed: int | None = None,
    target: Target | None = None,
    across: Across = "all",
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
) -> Gate:
    """May these compressed networks replace their dense ones?

    Non-inferiority: a limit is kept where the whole interval lies within it, exceeded where the
    whole interval lies beyond, and else the data are not enough.

    Parameters
    ----------
    max_class_drop : recall that any class may lose, a share; None: not asked
    max_accuracy_drop : accuracy that may be lost, a share
    max_kappa, max_alpha : largest spread ratio κ and slope α of normalized recall balance
    min_worst_recall : recall that every class must keep, a share
    study, dataset, model, recipe, intervention, method, ratio : which conditions; default all
    seed : one network of them
    target : "network": this network on ever more images of the same kind, intervals over test
        images; "recipe": the mean over networks that the recipe yields, on these test images,
        intervals over networks; it does not pass where a single network certainly exceeds a limit
        on recall or accuracy. Default: network where a condition has one, else recipe.
    across : "all": every condition must pass; "any": one is enough
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : 1 − the error rate of a pass, and of a fail, for all limits and classes together; of a
        recipe if losses vary roughly normally between networks

    Raises
    ------
    DesignError
        If no condition is left, a limit is out of its range, or the target needs other networks.
    FitError
        If `across` or `target` is unknown.
    """
    limits = Limits(max_class_drop, max_accuracy_drop, max_kappa, max_alpha, min_worst_recall)
    check_level(level, above=0.5)
    choice("across", across, get_args(Across))
    if target is not None:
        choice("target", target, get_args(Target))
    log = read_log(log)
    wanted: dict[str, Any] = {
        "study": study,
        "dataset": dataset,
        "model": model,
        "recipe": recipe,
        "intervention": intervention,
        "method": method,
        "ratio": ratio,
    }
    chosen = select(log, arm, split, seed, wanted)
    gated = []
    for counts in chosen:
        aim = target_of(counts, target)
        found = criteria(counts, limits, aim)
        rates = errors(level, found, len(chosen), enough=across == "any")
        decisions = tuple(decide(criterion, rates, aim) for criterion in found)
        gated.append(Gated(counts, aim, rates, decisions, caveats(log, counts, aim, level)))
    arm = str(chosen[0].condition["arm"])
    return Gate(log, tuple(gated), limits, level, across, arm, split)
