"""The first paragraphs: what was found, in plain words with numbers, and for what population.

Without a control arm no sentence says that compression does anything: networks before and after
are described. What cannot be told apart from no change is called undecided, never unchanged.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, counted, listed, setting, varying
from distortion.prose.cautions import cautions, near_chance
from distortion.prose.losers import losing_classes
from distortion.prose.population import networks_per_condition, population
from distortion.prose.words import alpha, joined, kappa, place, shrank_in_points, verdicts
from distortion.scope import Scope
from distortion.tables import numbers

SHOWN: Final = 3
CONDITION_MEANS: Final = "a condition is one data set, model, method and ratio"
IN_WORDS: Final = {
    "slope below 1": "below 1, the spread undecided",
    "reorders and widens": "gaps reorder and widen",
    "evens out": "gaps even out",
    "intensifies": "gaps intensify",
}


def verdict(
    scope: Scope,
    cells: pl.DataFrame,
    control: pl.DataFrame,
    versus: pl.DataFrame,
    classes: pl.DataFrame,
    conditions: pl.DataFrame,
    left: Sequence[str] = (),
) -> list[str]:
    """The paragraphs after the headline.

    Parameters
    ----------
    cells, control, versus, classes : the findings of these families; any but the first may be empty
    conditions : `distortion.conditions` of the reported arm
    left : the sentences of `distortion.prose.beyond`
    """
    lost = near_chance(scope, conditions)
    working = classes.join(lost, on=CONDITION, how="anti")
    paragraphs = [
        [population(scope)],
        [
            _counts(cells),
            *_starts(scope, cells),
            *_strongest(cells.join(lost, on=CONDITION, how="anti"), cells, conditions),
            *_in_points(cells, conditions),
        ],
        [_control(scope, control, versus)],
        left,
        losing_classes(working, conditions, above_chance=lost.height > 0),
        cautions(cells, conditions, lost),
    ]
    return [" ".join(sentences) for sentences in paragraphs if sentences]


def _counts(cells: pl.DataFrame) -> str:
    count = verdicts(cells)
    tested = cells.height - count.get("no test", 0)
    if tested == cells.height == 1:
        row = cells.row(0, named=True)
        word = IN_WORDS.get(row["verdict"], row["verdict"])
        rho = numbers.fixed(row["rho"])
        return f"The slope is {alpha(row)}, with {kappa(row)} and ρ = {rho}: {word}."
    if not tested:
        slopes = cells["estimate"].drop_nulls().sort()
        known = (
            f" The slopes α run from {numbers.fixed(slopes[0])} to {numbers.fixed(slopes[-1])}."
            if len(slopes)
            else " No slope is defined."
        )
        return (
            "With one network per condition, networks that do not vary or slopes that are not "
            f"defined, no test is possible ({CONDITION_MEANS}).{known}"
        )
    words = [
        ("intensifies", "above 1 in {} (gaps intensify)"),
        ("evens out", "below 1 with a smaller spread in {} (gaps even out)"),
        ("reorders and widens", "below 1 with a larger spread in {} (gaps reorder and widen)"),
        ("slope below 1", "below 1 with an undecided spread in {} (which noise alone can do)"),
        ("undecided", "undecided in {}"),
    ]
    parts = [text.format(count[verdict]) for verdict, text in words if count.get(verdict)]
    untested = (
        f" ({counted(count['no test'], 'condition')} without a test)"
        if count.get("no test")
        else ""
    )
    return (
        f"Of {counted(tested, 'tested condition')} ({CONDITION_MEANS}), the slope α is "
        f"{joined(parts)}{untested}."
    )


def _starts(scope: Scope, cells: pl.DataFrame) -> list[str]:
    """Per method: the ratio from which gaps are seen to intensify; methods that agree together."""
    if cells.height == 1 or not (cells["verdict"] == "intensifies").any():
        return []
    plurals = {"dataset": "data sets", "model": "models"}
    differ = varying(cells, CONTEXT)
    noun = plurals.get(differ[0], "settings") if len(differ) == 1 else "settings"
    found: dict[tuple[float, str, str], list[str]] = {}
    silent = []
    for method in cells["method"].unique(maintain_order=True):
        series = cells.filter(pl.col("method") == method).partition_by(CONTEXT, maintain_order=True)
        starts, gaps = [], False
        for rows in series:
            up = rows.filter(pl.col("verdict") == "intensifies")["ratio"]
            if len(up):
                starts.append(up.sort()[0])
                gaps |= len(up) < rows.filter(pl.col("ratio") >= starts[-1]).height
        if not starts:
            silent.append(method)
            continue
        low, high = numbers.ratio(min(starts)), numbers.ratio(max(starts))
        some = "" if len(starts) == len(series) else f" in {len(starts)} of {len(series)} {noun}"
        note = some + (" (not at every larger ratio)" if gaps else "")
        at = low if low == high else f"{low} to {high}"
        found.setdefault((min(starts), at, note), []).append(method)
    parts = [f"{at} for {listed(names)}{note}" for (_, at, note), names in sorted(found.items())]
    text = (
        f"With {networks_per_condition(scope).replace(' per', ' networks per', 1)}, "
        f"intensification is first detected at ratio {joined(parts)}"
    )
    return [f"{text}; at no ratio for {listed(silent)}." if silent else f"{text}."]


def _in_points(cells: pl.DataFrame, conditions: pl.DataFrame) -> list[str]:
    """The direction in plain recall, where gaps widened relative to accuracy."""
    up = cells.filter(pl.col("verdict") == "intensifies")
    if not up.height or "variance" not in conditions.columns:
        return []
    shrank = shrank_in_points(cells, conditions)
    if up.height == 1:
        there = conditions.join(up.select(CONDITION), on=CONDITION, how="semi")
        spreads = [
            numbers.fixed(100 * there[c][0] ** 0.5, 1) for c in ("variance_dense", "variance")
        ]
        moved = "shrinks" if shrank.height else "grows"
        where = "There the" if cells.height > 1 else "The"
        return [
            f"{where} spread of plain recalls over classes {moved} from {spreads[0]} to "
            f"{spreads[1]} points (SD)."
        ]
    if not shrank.height:
        every = "both" if up.height == 2 else f"all {up.height}"
        return [f"In plain recall, too, the classes lie farther apart in {every} of these."]
    example = place(shrank.row(0, named=True), cells)
    return [
        f"In plain recall, not divided by accuracy, the classes lie farther apart in "
        f"{up.height - shrank.height} of these {up.height} and closer together in {shrank.height} "
        f"(such as {example}): there α rises because accuracy falls."
    ]


def _strongest(working: pl.DataFrame, cells: pl.DataFrame, conditions: pl.DataFrame) -> list[str]:
    """The largest detected slope among conditions whose networks still work."""
    up = working.filter(pl.col("verdict") == "intensifies").sort("estimate", descending=True)
    if cells.height == 1 or not up.height:
        return []
    row = up.row(0, named=True)
    there = conditions.join(up.head(1).select(CONDITION), on=CONDITION, how="semi")
    accuracy = ""
    if there.height:
        before, after = (numbers.percent(there[c][0]) for c in ("accuracy_dense", "accuracy"))
        accuracy = f", where mean accuracy goes from {before} to {after}"
    which = "The largest such slope" if up.height > 1 else "There"
    is_ = " is" if up.height > 1 else ","
    return [f"{which}{is_} {alpha(row)} ({place(row, cells)}){accuracy}."]


def _control(scope: Scope, control: pl.DataFrame, versus: pl.DataFrame) -> str:
    if not scope.has_control or not control.height:
        return (
            "There is no control arm (networks fine-tuned with nothing removed), so that the part "
            "of further training in all this is unknown."
        )
    named = varying(control, CONTEXT)
    slopes = []
    for row in control.head(SHOWN).to_dicts():
        where = f" with {setting(row, named)}" if named else ""
        slopes.append(f"{alpha(row)}{where} ({IN_WORDS.get(row['verdict'], row['verdict'])})")
    more = f" and {control.height - SHOWN} more below" if control.height > SHOWN else ""
    text = f"Fine-tuning alone, with nothing removed, gives {joined(slopes)}{more}."
    if not versus.height:
        return f"{text} The reported arm was not fine-tuned, so that it is not compared with it."
    lacking = ""
    if scope.uncontrolled:
        has = "condition has" if scope.uncontrolled == 1 else "conditions have"
        lacking = (
            f" {scope.uncontrolled} of {scope.conditions} {has} no control: what further training "
            "alone does is unknown there."
        )
    count = verdicts(versus)
    if count.get("no test", 0) == versus.height:
        return f"{text} The difference from it could not be tested.{lacking}"
    if versus.height == 1:
        row = versus.row(0, named=True)
        bounds = (row[c] for c in ("estimate", "conf_low", "conf_high"))
        difference = numbers.interval(*bounds, null=0.0, signed=True)
        return (
            f"{text} Against their own control, the slope of {scope.treated} networks differs by "
            f"{difference} ({row['verdict']}).{lacking}"
        )
    with_control = " that have a control" if scope.uncontrolled else ""
    untested = f", untested in {count['no test']}" if count.get("no test") else ""
    return (
        f"{text} Against their own control, slopes of compressed networks are larger in "
        f"{count.get('larger slope', 0)} of {counted(versus.height, 'condition')}{with_control}, "
        f"smaller in {count.get('smaller slope', 0)}, undecided in "
        f"{count.get('undecided', 0)}{untested}.{lacking}"
    )
