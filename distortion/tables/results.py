"""The tables of slopes and of their comparisons, from findings and conditions."""

from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter
from typing import Final

import polars as pl

from distortion.catalogue import CATALOGUE, unordered
from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis
from distortion.labels import CONTEXT, clean, counted, setting
from distortion.schema import CONTROL
from distortion.settings import Settings
from distortion.tables import numbers
from distortion.tables.table import NAME, Column, Row, Table, Tone, identity, number, share, text

TONES: Final[dict[str, Tone]] = {
    "intensifies": "up",
    "loses": "up",
    "larger slope": "up",
    "evens out": "down",
    "gains": "down",
    "smaller slope": "down",
    "wider gaps": "up",
    "narrower gaps": "down",
    "classes draw apart": "up",
    "classes draw together": "down",
    "raises the slope": "up",
    "lowers the slope": "down",
    "widens gaps": "up",
    "narrows gaps": "down",
    "class pattern widens": "up",
    "class pattern narrows": "down",
    "wider than accuracy explains": "up",
    "narrower than accuracy explains": "down",
    "rises with ratio": "up",
    "falls with ratio": "down",
    "reorders and widens": "mixed",
}
# What a slope below 1 means is up to the spread; a mark of its own says which way that went.
SPREADS: Final = {"evens out": " ↓", "reorders and widens": " ↔"}
SIDES: Final = {
    "two-sided": "Two-sided",
    "greater": "One-sided (larger is expected)",
    "less": "One-sided (smaller is expected)",
}
CORRECTED: Final = {
    "bonferroni": "p-values multiplied by the number of tests of their column (Bonferroni)",
    "holm": "p-values corrected within their column (Holm)",
    "benjamini-hochberg": "p-values corrected within their column (Benjamini and Hochberg)",
    "none": "p-values not corrected",
}
SHOWN: Final = {"alpha": "α", "log_kappa": "log κ", "gamma_vs_control": "γ"}
ALONE: Final = {"log_kappa_excess_corrected": "Excess of log κ", "gamma": "γ"}
VARIATION: Final = "Intervals show the variation between networks (seeds)."


def glance_table(cells: pl.DataFrame) -> Table:
    """One row per context and method, one column per ratio: mean α and its mark."""
    ratios = cells["ratio"].unique().sort().to_list()
    keys = [*CONTEXT, "method"]
    names = {t: f"ratio_{repr(t).removesuffix('.0')}" for t in ratios}
    wide = cells.select(keys).unique(maintain_order=True)
    for t in ratios:
        at = cells.filter(pl.col("ratio") == t).select(
            *keys,
            pl.col("estimate").alias(names[t]),
            pl.col("mark").alias(f"{names[t]}_mark"),
            pl.col("verdict").alias(f"{names[t]}_verdict"),
        )
        wide = wide.join(at, on=keys, how="left", maintain_order="left", nulls_equal=True)
    columns = [
        Column(
            f"t = {numbers.ratio(t)}",
            _glance(names[t]),
            tone=_glance_tone(names[t]),
            value=itemgetter(names[t]),
        )
        for t in ratios
    ]
    return Table(
        "at-a-glance",
        "Mean slope α by ratio t, with its mark",
        wide,
        (*identity(wide, CONTEXT), text("method", names=True), *columns),
        (
            "> α above 1, < below 1 by the corrected test, ? undecided; no mark: no test. "
            "Below 1, ↓ says that the spread κ shrank: gaps even out; ↔ that it grew: other "
            "classes lose than before; without either, the spread is undecided.",
        ),
    )


def _glance(name: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        mark = row[f"{name}_mark"] or ""
        spread = SPREADS.get(row[f"{name}_verdict"] or "", "")
        return f"{numbers.fixed(row[name])} {mark}{spread}".rstrip()

    return show


def _glance_tone(name: str) -> Callable[[Row], Tone]:
    return lambda row: TONES.get(row[f"{name}_verdict"] or "", "")


def slope_table(found: pl.DataFrame, conditions: pl.DataFrame, name: str, caption: str) -> Table:
    """α with its interval, κ, ρ, pooled slope and accuracy, one row per condition.

    `found` holds one-sample findings on α (families cell and control).
    """
    beside = conditions.select(
        *CONDITION, "alpha_pooled", "r2", "accuracy_dense", "accuracy", "undefined"
    )
    data = found.join(beside, on=CONDITION, how="left", maintain_order="left")
    columns = (
        *identity(data, CONTEXT),
        Column("Method", _method, names=True, numeric=False),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        estimate(data, "α"),
        Column("Mark", lambda row: row["mark"] or "", numeric=False, tone=_tone),
        Column("κ [interval]", _spread, value=itemgetter("kappa")),
        number("ρ", "rho"),
        Column(
            "p", lambda row: numbers.p_value(row["p_corrected"]), value=itemgetter("p_corrected")
        ),
        number("α̂", "alpha_pooled"),
        number("r²", "r2"),
        share("Ā", "accuracy"),
        text("verdict"),
        *network_column(data),
        *caveats(data),
    )
    notes = (
        f"α: mean over networks, with {_levels(data)} intervals. {VARIATION} κ: geometric mean "
        "over networks, with an interval at the same level; ρ: mean. α̂, r²: one line through the "
        "classes of all networks. Ā: mean accuracy.",
        *_network_note(data),
    )
    return Table(name, caption, data, columns, (*notes, *common_caveat(data)), central=True)


def arm_table(conditions: pl.DataFrame, name: str, caption: str) -> Table:
    """Means without tests, for an arm that the report does not test."""
    columns = (
        *identity(conditions, CONTEXT),
        text("method", names=True),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        number("α", "alpha"),
        number("SD of α", "alpha_sd"),
        number("κ", "kappa"),
        number("ρ", "rho"),
        share("Ā", "accuracy"),
        share("Worst recall", "worst_recall"),
        Column("Networks", lambda row: numbers.count(row["networks"])),
    )
    return Table(name, caption, conditions, columns, ("SD: between networks (seeds).",))


def comparison_table(found: pl.DataFrame, hypothesis: Hypothesis, settings: Settings) -> Table:
    """The tests of one family that compares levels of a factor."""
    measure = hypothesis.measure
    heading = ALONE.get(measure) or f"Difference of {SHOWN[measure]}"
    columns = (
        *identity(found, [c for c in CONDITION if c not in ("split", "arm")]),
        *([text("comparison", names=True)] if _named(found["comparison"]) else []),
        estimate(found, heading, signed=hypothesis.null == 0),
        Column(
            "p", lambda row: numbers.p_value(row["p_corrected"]), value=itemgetter("p_corrected")
        ),
        *_beside(found),
        Column("Networks", _networks),
        Column("Verdict", lambda row: row["verdict"], numeric=False, tone=_tone),
        *caveats(found),
    )
    return Table(
        f"comparison-{hypothesis.family.replace(' ', '-')}",
        f"{hypothesis.question} ({where(found)})",
        found,
        columns,
        (tested_how(found, hypothesis, settings), *common_caveat(found)),
    )


def _named(names: pl.Series) -> bool:
    return bool((names.fill_null("") != "").any())


def _beside(found: pl.DataFrame) -> list[Column]:
    """κ and ρ, where the family knows them."""
    if not found["kappa"].count():
        return []
    return [
        number("κ / κ", "kappa"),
        Column(
            "Difference of ρ",
            lambda row: numbers.fixed(row["rho"], signed=True),
            value=itemgetter("rho"),
        ),
    ]


def tested_how(found: pl.DataFrame, hypothesis: Hypothesis, settings: Settings) -> str:
    """Which test, on which side, corrected how: a note for the table."""
    kind = "Student's t-tests, pooled variance" if settings.equal_variances else "Welch's t-tests"
    if hypothesis.paired:
        kind = "Paired t-tests (same dense network)"
    if hypothesis.samples == "latent":
        kind = "Wald tests of the structural model"
    elif hypothesis.samples == "null":
        kind = "Jackknife t-tests over networks"
    elif hypothesis.samples == "equal accuracy":
        kind += " at the accuracy that the first method reached, read off the other's curve"
    elif hypothesis.samples == "equal ratio":
        kind += " at the ratio that the first method achieved, read off the other's curve"
    side = SIDES[hypothesis.side]
    if hypothesis.kind == "equivalence":
        side = f"Two one-sided tests against ± {numbers.significant(settings.margin)}"
        kind += ", the larger p-value counts; the interval lies within the margin where both reject"
    sizes = sorted(set(found["n_tests"].drop_nulls()))
    tests = counted(sizes[-1], "test") if sizes else "no test"
    tests = f"{sizes[0]} to {tests}" if len(sizes) > 1 else tests
    return f"{side}. {kind}; {CORRECTED[found['correction'][0]]}: {tests} in a column. {VARIATION}"


def where(frame: pl.DataFrame) -> str:
    """The data set and model that a table is about where it has only one, or how many."""
    parts = []
    for column, plural in (("dataset", "data sets"), ("model", "models")):
        values = frame[column].drop_nulls().unique()
        if len(values) == 1:
            parts.append(setting({column: values[0]}, [column]))
        elif len(values):
            parts.append(f"{len(values)} {plural}")
    return ", ".join(parts)


def estimate(found: pl.DataFrame, heading: str, *, signed: bool = False) -> Column:
    """The estimate with its interval; its level stands in the heading where it is one."""
    one = found["conf_level"].drop_nulls().n_unique() == 1
    known = f" [{_levels(found)} interval]" if one else " [interval]"

    def show(row: Row) -> str:
        bounds = row["estimate"], row["conf_low"], row["conf_high"]
        return numbers.interval(*bounds, null=row["null"], signed=signed)

    return Column(f"{heading}{known}", show, value=itemgetter("estimate"))


def network_column(found: pl.DataFrame) -> list[Column]:
    """The number of networks, where rows differ in it."""
    return [Column("Networks", _networks)] if found["networks"].n_unique() > 1 else []


def caveats(found: pl.DataFrame) -> list[Column]:
    """The caveat column, where rows differ in their caveats."""
    return [text("caveat")] if found["caveat"].n_unique() > 1 else []


def common_caveat(found: pl.DataFrame) -> list[str]:
    """The caveat as a note, where all rows have the same one."""
    shared = found["caveat"].unique()
    return [f"All rows: {shared[0]}."] if len(shared) == 1 and shared[0] else []


def family(name: str, found: pl.DataFrame) -> Hypothesis:
    """The hypothesis of a family of the catalogue, as its findings were tested."""
    hypothesis = next(h for h in CATALOGUE if h.family == name)
    hypothesis = replace(hypothesis, side=found["side"][0])
    doubtful = found["caveat"].str.contains("without a direction", literal=True).any()
    return unordered(hypothesis) if hypothesis.factor == "model" and doubtful else hypothesis


def _tone(row: Row) -> Tone:
    return TONES.get(row["verdict"] or "", "")


def _levels(found: pl.DataFrame) -> str:
    levels = found["conf_level"].drop_nulls().unique().sort()
    return " and ".join(dict.fromkeys(map(numbers.confidence, levels)))


def _method(row: Row) -> str:
    return "control" if row["arm"] == CONTROL else clean(row["method"], NAME)


def _spread(row: Row) -> str:
    return numbers.interval(row["kappa"], row["kappa_low"], row["kappa_high"], null=1.0)


def _network_note(found: pl.DataFrame) -> list[str]:
    sizes = found["networks"].unique()
    return [f"{counted(sizes[0], 'network')} in every row."] if len(sizes) == 1 else []


def _networks(row: Row) -> str:
    second = row["networks_b"]
    return numbers.count(row["networks"]) + ("" if second is None else f" and {second}")
