"""`plan`: seeds and test images for an effect, and the effect that a design can see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from distortion.errors import DesignError
from distortion.fits.results.arguments import generator
from distortion.labels import listed
from distortion.log import Source
from distortion.planning import sheet, wording
from distortion.planning.assumptions import Assumptions, Measure
from distortion.planning.pilot import Pilot, Question, assumed, from_log
from distortion.planning.request import FAMILY, SEEDS, Request, check_class, several
from distortion.planning.table import Row, curve, simulated_power, table


@dataclass(frozen=True, eq=False)
class Plan:
    """The answer to `plan`; as text, Markdown or HTML in sentences first, then the table.

    Attributes
    ----------
    table : one row per test, effect and number of seeds, see `plan`
    request : what was asked for
    assumptions : None where a log was the pilot
    rows : the pilot, effect and seeds of each row of `table`
    """

    table: pl.DataFrame
    request: Request
    assumptions: Assumptions | None
    rows: list[Row] = field(repr=False)

    @cached_property
    def curve(self) -> pl.DataFrame:
        """Power by seeds: the columns of `table` that name a test, then `seeds` and `power`."""
        return curve(self.rows, self.request, self.table["seeds_needed"])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words, most important first."""
        return wording.sentences(self.table, self.request, self.assumptions)

    def __str__(self) -> str:
        return sheet.text(self.sentences, self.table)

    def to_markdown(self) -> str:
        """The answer as GitHub-flavoured Markdown."""
        return sheet.markdown(self.sentences, self.table)

    def _repr_html_(self) -> str:
        return sheet.html(self.sentences, self.table)


def plan(
    source: "Source | Assumptions",
    question: Question = "cell",
    *,
    effect: float | Sequence[float] | None = None,
    margin: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
    family: int | None = None,
    one_sided: bool = False,
    measure: Measure = "alpha",
    seeds: int | Sequence[int] | None = None,
    caution: float = 0.8,
    arm: str | None = None,
    split: str = "test",
    methods: str | Sequence[str] | None = None,
    ratios: float | Sequence[float] | None = None,
    rng: int | np.random.Generator | None = None,
) -> Plan:
    """How many seeds and test images a question takes, and what a design can see.

    Parameters
    ----------
    source : a log, whose networks are the pilot, or `Assumptions`
    question : what is tested, as in `findings`: "cell" (a condition against no change, α or κ of
        1), "control" (against the control arm of the same networks), "ratio" and "method" (two
        conditions of the same networks), "model" and "dataset" (of different networks, Welch),
        "class" (the recall of a class against its dense network's)
    effect : difference to detect: of α; of κ as a factor, 0.1 being κ = 1.1; of the recall of a
        class as a share. Default 0.1, for a class 0.02. With a margin, the true difference in the
        harmful direction, default 0
    margin : largest difference that does not matter, in the same unit. Given, the plan is for
        showing equivalence within ± margin (two one-sided tests), for a class that it loses no more
    power : probability to show it, above 0.5
    level : family-wise confidence
    family : tests corrected together by Bonferroni, so that 5 at a level of 0.95 are tested at
        0.99 each; default: as many as in the log, 5 with assumptions. Holm needs no more seeds
    one_sided : a test for a difference in one direction; tests with a margin always are
    measure : "alpha", or "kappa" on the scale of log κ
    seeds : numbers of networks (per group) to judge; default: those of the log, with assumptions
        5, 10 and 30
    caution : confidence of the upper bound of the SD in the cautious plan (χ²)
    arm, split : rows of the log, as in `findings`
    methods, ratios : conditions of the log to plan for; its families stay as large as they are
    rng : seed or generator; given, every design is also simulated 2,000 times

    Returns
    -------
    `Plan`; its table has the CONDITION columns (null where compared conditions differ, or
    assumed), `class_id`, `class_name`, `question`, `comparison`, `measure`, `kind`, `effect`,
    `margin`, `conf_level` of each test, `n_tests`; the `sd` over networks (of log κ for κ; of two
    groups √(σ_a² + σ_b²)), its upper bound `sd_high`, its parts `sd_images` (at most; null if
    unknown, see `distortion.planning.images`) and `sd_seeds`; at `seeds` the `power`,
    `power_simulated` and `detectable` (the smallest effect, or margin, with the power planned
    for); `seeds_needed`, with the upper bound of the SD `seeds_needed_cautious`, with endless test
    images at least `seeds_needed_all_images` (null beyond 10,000); `images` of each network (of
    the class), `images_needed` at `seeds` (null if none are enough), `images_one_pair` (of the
    class, to decide about one pair of networks by its discordant images); `caveat`.

    Power is exact for normal differences; see `distortion.planning.power`.

    Raises
    ------
    DesignError
        If an option is out of its range, or the log has nothing to compare.
    """
    request = Request(
        question=question,
        effect=effect,
        margin=margin,
        power=power,
        level=level,
        family=family,
        one_sided=one_sided,
        measure=measure,
        seeds=seeds,
        caution=caution,
    )
    assumptions = source if isinstance(source, Assumptions) else None
    if isinstance(source, Assumptions):
        for name, chosen in (("arm", arm), ("methods", methods), ("ratios", ratios)):
            if chosen is not None:
                raise DesignError(f"{name} chooses rows of a log: leave it out with assumptions.")
        check_class(request, source)
        rows = _assumed_rows(source, request)
    else:
        pilots = from_log(source, question, measure, arm, split)
        rows = _log_rows(_chosen(pilots, methods, ratios), request)
    planned = table(rows, request)
    power_simulated = pl.Series("power_simulated", [None] * len(rows), dtype=pl.Float64)
    if rng is not None:
        power_simulated = simulated_power(rows, request, assumptions, generator(rng))
    place = planned.columns.index("power") + 1
    return Plan(
        table=planned.insert_column(place, power_simulated),
        request=request,
        assumptions=assumptions,
        rows=rows,
    )


def _assumed_rows(assumptions: Assumptions, request: Request) -> list[Row]:
    tests = FAMILY if request.family is None else request.family
    rows = []
    for effect in request.effects:
        scaled = float(request.scaled(effect))
        pilot = assumed(assumptions, request.question, request.measure, scaled, tests)
        rows += [(pilot, effect, n) for n in request.sizes or SEEDS]
    return rows


def _log_rows(pilots: list[Pilot], request: Request) -> list[Row]:
    return [
        (pilot, effect, n)
        for pilot in pilots
        for effect in request.effects
        for n in request.sizes or (pilot.seeds,)
    ]


def _chosen(
    pilots: list[Pilot],
    methods: str | Sequence[str] | None,
    ratios: float | Sequence[float] | None,
) -> list[Pilot]:
    """The pilots about one of these methods and one of these ratios."""
    for name, asked in (("method", methods), ("ratio", ratios)):
        if asked is None:
            continue
        wanted = several(asked)
        known = set[Any]().union(*(pilot.about(name) for pilot in pilots))
        if unknown := [value for value in wanted if value not in known]:
            raise DesignError(
                f"No {name} {unknown[0]!r} to plan for. Choose among {listed(sorted(known), 20)}."
            )
        pilots = [pilot for pilot in pilots if pilot.about(name) & set(wanted)]
    if not pilots:
        raise DesignError("No condition has both a method and a ratio that were asked for.")
    return pilots
