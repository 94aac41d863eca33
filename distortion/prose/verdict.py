"""The first paragraph: what was found, in plain words with numbers, and for what population.

Without a control arm no sentence says that compression does anything: networks before and after
are described. What cannot be told apart from no change is called undecided, never unchanged.
"""

from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, clean, counted, listed, setting, varying
from distortion.prose.cautions import cautions, near_chance
from distortion.prose.losers import losing_classes
from distortion.prose.words import alpha, joined, place, verdicts
from distortion.scope import Scope
from distortion.tables import numbers

SHOWN: Final = 3
CONDITION_MEANS: Final = "a condition is one data set, model, method and ratio"


def headline(cells: pl.DataFrame, versus: pl.DataFrame) -> str:
    """The answer in one sentence."""
    count = verdicts(cells)
    total = cells.height
    if count.get("no test", 0) == total:
        return "Nothing could be tested: the numbers below describe the networks at hand only."
    words = [
        ("intensifies", "widened"),
        ("evens out", "narrowed"),
        ("reorders and widens", "opened between other classes than before"),
    ]
    seen = [(count[verdict], text) for verdict, text in words if count.get(verdict)]
    if total == 1:
        change = f"The gaps between classes {seen[0][1]}" if seen else "No change was detected"
        found = f"{change} in the one condition tested"
    elif not seen:
        found = f"No change of the gaps between classes was detected in any of {total} conditions"
    else:
        (first, text), *others = seen
        parts = [f"in {first} of {total} conditions the gaps between classes {text}"]
        parts += [f"in {number} they {text}" for number, text in others]
        if undecided := total - sum(number for number, _ in seen):
            parts.append(f"in {undecided} the data do not decide")
        found = joined(parts)
        found = found[0].upper() + found[1:]
    return f"{found}{_than_control(versus, total)}."


def _than_control(versus: pl.DataFrame, total: int) -> str:
    """The end of the headline: how slopes compare with those of the control."""
    count = verdicts(versus)
    if count.get("no test", 0) == versus.height:
        return ""
    start = "; compared with fine-tuning alone, "
    if versus.height == 1:
        words = {"larger slope": "they widened", "smaller slope": "they narrowed"}
        return start + words.get(versus["verdict"][0], "no difference was detected")
    of = "" if versus.height == total else f" of {versus.height}"
    words = {"larger slope": "widened", "smaller slope": "narrowed"}
    parts = [
        f"{word} in {count[verdict]}{of}" for verdict, word in words.items() if verdict in count
    ]
    return start + (f"they {joined(parts)}" if parts else "no difference was detected")


def population(scope: Scope) -> str:
    """Who was looked at: data sets, models, networks, methods, ratios."""
    datasets = [
        f"{clean(d.name)} ({counted(d.classes, 'class', 'classes')}, "
        f"{counted(d.images, f'{scope.split} image')})"
        for d in scope.datasets
    ]
    each = f"{scope.fewest}" if scope.fewest == scope.most else f"{scope.fewest} to {scope.most}"
    per = "" if len(scope.datasets) * len(scope.models) == 1 else f", {each} per data set and model"
    ratio_word = "ratio" if len(scope.ratios) == 1 else "ratios"
    done = scope.treated.split(",")[0].split(" and ")[0]
    ending = scope.treated.removeprefix(done).replace(" and ", ", then ").strip()
    joint = "" if not ending else (ending if ending.startswith(",") else f" {ending}")
    return (
        f"This is about {counted(scope.networks, 'network')}{per}: "
        f"{'model' if len(scope.models) == 1 else 'models'} {listed(scope.models)}, trained on "
        f"{joined(datasets)}; {done} by {listed(scope.methods)} to {ratio_word} "
        f"{listed(numbers.ratio(t) for t in scope.ratios)}{joint}."
    )


def verdict(
    scope: Scope,
    cells: pl.DataFrame,
    control: pl.DataFrame,
    versus: pl.DataFrame,
    classes: pl.DataFrame,
    conditions: pl.DataFrame,
) -> list[str]:
    """The paragraphs after the headline.

    Parameters
    ----------
    cells, control, versus, classes : the findings of these families; any but the first may be empty
    conditions : `distortion.conditions` of the reported arm
    """
    lost = near_chance(scope, conditions)
    working = classes.join(lost, on=CONDITION, how="anti")
    paragraphs = [
        [population(scope)],
        [_counts(cells), *_starts(cells), *_strongest(cells, conditions)],
        [_control(scope, control, versus)],
        losing_classes(working, conditions, above_chance=lost.height > 0),
        cautions(cells, conditions, lost),
    ]
    return [" ".join(sentences) for sentences in paragraphs if sentences]


def compared_in_words(found: pl.DataFrame) -> str:
    """The outcome of a family that compares levels; a one-sided one cannot find smaller slopes."""
    count = verdicts(found)
    outcomes = {"larger slope": "larger", "smaller slope": "smaller", "undecided": "undecided"}
    if found["side"][0] == "greater":
        outcomes.pop("smaller slope")
    parts = [f"{text} in {count.get(verdict, 0)}" for verdict, text in outcomes.items()]
    if untested := count.get("no test", 0):
        parts.append(f"untested in {untested}")
    return f"{joined(parts).capitalize()} of {counted(found.height, 'comparison')}."


def _counts(cells: pl.DataFrame) -> str:
    count = verdicts(cells)
    tested = cells.height - count.get("no test", 0)
    if tested == cells.height == 1:
        row = cells.row(0, named=True)
        kappa, rho = numbers.fixed(row["kappa"]), numbers.fixed(row["rho"])
        return f"The slope is {alpha(row)}, with κ = {kappa} and ρ = {rho}: {row['verdict']}."
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


def _starts(cells: pl.DataFrame) -> list[str]:
    """Per method: the ratio from which gaps intensify."""
    if cells.height == 1 or not (cells["verdict"] == "intensifies").any():
        return []
    plurals = {"dataset": "data sets", "model": "models"}
    differ = varying(cells, CONTEXT)
    noun = plurals.get(differ[0], "settings") if len(differ) == 1 else "settings"
    found, silent = [], []
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
        at = low if low == high else f"{low} to {high}"
        some = "" if len(starts) == len(series) else f", in {len(starts)} of {len(series)} {noun}"
        text = f"{at} for {clean(method)}{some}"
        found.append(f"{text} (not detected at every larger ratio)" if gaps else text)
    text = f"Intensification starts at ratio {joined(found)}"
    return [
        f"{text}; it is not detected at any ratio for {listed(silent)}." if silent else f"{text}."
    ]


def _strongest(cells: pl.DataFrame, conditions: pl.DataFrame) -> list[str]:
    up = cells.filter(pl.col("verdict") == "intensifies").sort("estimate", descending=True)
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
        slopes.append(f"{alpha(row)}{where} ({row['verdict']})")
    more = f" and {control.height - SHOWN} more below" if control.height > SHOWN else ""
    text = f"Fine-tuning alone, with nothing removed, gives {joined(slopes)}{more}."
    if not versus.height:
        return f"{text} The reported arm was not fine-tuned, so that it is not compared with it."
    count = verdicts(versus)
    if count.get("no test", 0) == versus.height:
        return f"{text} The difference from it could not be tested."
    if versus.height == 1:
        row = versus.row(0, named=True)
        bounds = (row[c] for c in ("estimate", "conf_low", "conf_high"))
        difference = numbers.interval(*bounds, null=0.0, signed=True)
        return (
            f"{text} Against their own control, the slope of {scope.treated} networks differs by "
            f"{difference} ({row['verdict']})."
        )
    return (
        f"{text} Against their own control, slopes of compressed networks are larger in "
        f"{count.get('larger slope', 0)} of {counted(versus.height, 'condition')}, smaller in "
        f"{count.get('smaller slope', 0)} and undecided in {count.get('undecided', 0)}."
    )
