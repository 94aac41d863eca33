"""The sentences of a plan: its table in words, most important first."""

from typing import Any, Final

import numpy as np
import polars as pl

from distortion.fits.results.rendering import fixed, significant
from distortion.labels import clean
from distortion.planning.assumptions import Assumptions
from distortion.planning.power import MOST_SEEDS
from distortion.planning.request import Request
from distortion.planning.sheet import TESTS, identity, median, percent, seeds_needed, test_name

BETWEEN: Final = {
    "control": "a condition and its control arm",
    "ratio": "a ratio and the next smaller one",
    "method": "two methods",
    "model": "two models",
    "dataset": "two data sets",
}
# A slope that noise alone pulls below this is worth a warning.
DILUTED: Final = 0.99


def sentences(
    table: pl.DataFrame, request: Request, assumptions: Assumptions | None
) -> tuple[str, ...]:
    """The answer in words."""
    found = [] if assumptions is None else [_assumed(assumptions)]
    known = table.filter(pl.col("sd") > 0)
    if not known.height:
        first = table["caveat"][0]
        none = f"There is no SD over networks to plan with: {first}."
        return tuple(sentence for sentence in (*found, none, _pair(table)) if sentence)
    for i, effect in enumerate(request.effects):
        rows = known.filter(pl.col("effect") == effect)
        start = f"{_goal(request, effect)} with {_terms(rows, request)}"
        found.append(f"{start if i == 0 else _goal(request, effect)}, {_need(rows, request)}")
    found += [_detectable(known, request), _caution(known, request), _images(known, request)]
    found += [_pair(known), _dilution(request, assumptions)]
    if table.height > known.height:
        found.append(f"{table.height - known.height} rows have no SD to plan with; see `caveat`.")
    return tuple(sentence for sentence in found if sentence)


def _assumed(assumptions: Assumptions) -> str:
    after, images = assumptions.seed_sd_after, assumptions.images
    later = "" if after is None else f" ({_points(after)} after compression)"
    sampling = "the sampling of test images included"
    if images is not None:
        sampling = f"plus the sampling of {images:,} test images per class"
    return (
        f"Assumed: {assumptions.classes} classes, accuracy {assumptions.accuracy:g}, "
        f"a spread of the normalized balances of {significant(assumptions.spread, 2)}, a seed SD "
        f"of a class's recall of {_points(assumptions.seed_sd)}{later}, {sampling}. Source: "
        f"{clean(assumptions.source, None)}."
    )


def _goal(request: Request, effect: float) -> str:
    """What is to be shown: To detect a slope α that differs from 1 by 0.10."""
    size = effect if request.margin is None else request.margin
    if request.question == "class":
        if request.kind == "difference":
            return f"To detect that the recall of a class changes by {_points(size)}"
        goal = f"To show that a class loses no more than {_points(size)} of recall"
        return goal if effect == 0 else f"{goal}, where it loses {_points(effect)},"
    name, gap, truly = "slope α", f"{size:g}", f"{effect:g}"
    if request.measure == "kappa":
        name, gap, truly = "spread κ", f"a factor of {_factor(size)}", f"a factor {_factor(effect)}"
    between = BETWEEN.get(request.question)
    if between is not None:
        name = name.replace(" ", "s ")
    if request.kind == "difference":
        if between is None:
            return f"To detect that the {name} of a condition differs from 1 by {gap}"
        return f"To detect that the {name} of {between} differ by {gap}"
    whose = "of a condition differs from 1" if between is None else f"of {between} differ"
    goal = f"To show that the {name} {whose} by less than {gap}"
    return goal if effect == 0 else f"{goal}, where it differs by {truly},"


def _terms(rows: pl.DataFrame, request: Request) -> str:
    """80% power (two-sided, at 99%: 95% for 5 tests together)."""
    sides = "two-sided" if request.kind == "difference" and not request.one_sided else "one-sided"
    low, high = _extremes(rows["conf_level"])
    at = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
    tests = _range(rows["n_tests"])
    together = "" if tests == "1" else f": {percent(request.level)} for {tests} tests together"
    return f"{percent(request.power)} power ({sides}, at {at}{together})"


def _need(rows: pl.DataFrame, request: Request) -> str:
    """The seeds that one test needs, or where they are enough among several."""
    if rows.select(TESTS).n_unique() > 1:
        return _need_of_many(rows, request)
    row = rows.row(0, named=True)
    need = f"{seeds_needed(row['seeds_needed'])} seeds{_each(request)} are needed."
    if rows.height > 1:
        return need
    return f"{need[:-1]}; {row['seeds']:,} have a power of {percent(row['power'], 1)}."


def _need_of_many(rows: pl.DataFrame, request: Request) -> str:
    rows = rows.unique(TESTS, keep="last", maintain_order=True)
    order = pl.col("seeds_needed").fill_null(MOST_SEEDS + 1)
    short = rows.filter(order > pl.col("seeds")).sort(order, maintain_order=True)
    seeds = f"{_range(rows['seeds'])} seeds{_each(request)} are"
    tested = _tested(request, several=True)
    if not short.height:
        return f"{seeds} enough in all {rows.height:,} {tested}."
    names = identity(rows)
    needs = [
        f"{seeds_needed(row['seeds_needed'])} ({test_name(row, names)})"
        for row in (short.row(i, named=True) for i in (0, -1))
    ]
    if short.height == rows.height:
        none = f"{seeds} not enough in any of {rows.height:,} {tested}"
        return f"{none}: they need {' to '.join(needs)}."
    rest = f"others need {' to '.join(needs)}" if short.height > 1 else f"other needs {needs[0]}"
    enough = rows.height - short.height
    return f"{seeds} enough in {enough:,} of {rows.height:,} {tested}; the {rest}."


def _detectable(known: pl.DataFrame, request: Request) -> str:
    if request.kind == "difference":
        known = known.unique([*TESTS, "seeds"], keep="first", maintain_order=True)
        what = "The smallest difference with that power"
    else:
        what = "The smallest margin with that power"
    found = []
    for (seeds,), rows in known.group_by("seeds", maintain_order=True):
        values = rows["detectable"].drop_nulls()
        if values.len():
            shown = _size(values.median(), request)
            if values.len() > 1:
                low, high = (_size(v, request) for v in _extremes(values))
                shown = f"{shown} in the median {_tested(request)} ({low} to {high})"
            found.append(f"with {seeds:,} seeds {shown}")
    return f"{what}: {'; '.join(found)}." if found else ""


def _caution(known: pl.DataFrame, request: Request) -> str:
    """That the SDs of a pilot are rough; nothing where they are assumed."""
    rows = known.filter(pl.col("sd_high") > pl.col("sd"))
    if not rows.height:
        return ""
    need, careful = median(rows["seeds_needed"]), median(rows["seeds_needed_cautious"])
    one = "" if rows.select(TESTS).n_unique() == 1 else f" in the median {_tested(request)}"
    return (
        f"An SD from so few networks is itself uncertain: planned with its "
        f"{percent(request.caution)} upper bound, {seeds_needed(careful)} seeds are needed instead "
        f"of {seeds_needed(need)}{one}."
    )


def _images(known: pl.DataFrame, request: Request) -> str:
    rows = known.drop_nulls("sd_images")
    if not rows.height:
        return ""
    share = float(np.median((rows["sd_images"] / rows["sd"]).to_numpy() ** 2))
    fewest = seeds_needed(median(rows["seeds_needed_all_images"]))
    one = "" if rows.select(TESTS).n_unique() == 1 else f" in the median {_tested(request)}"
    return (
        f"More test images shrink at most {percent(round(share, 2))} of the variance between "
        f"networks{one}: endless images would still leave at least {fewest} seeds to need."
    )


def _pair(known: pl.DataFrame) -> str:
    rows = known.drop_nulls("images_one_pair")
    if not rows.height:
        return ""
    shown = _range(rows["images_one_pair"])
    return f"To decide about one given pair of networks takes {shown} test images of the class."


def _dilution(request: Request, assumptions: Assumptions | None) -> str:
    if assumptions is None or request.question != "cell" or request.measure != "alpha":
        return ""
    pulled = assumptions.alpha * assumptions.reliability
    if assumptions.reliability > DILUTED:
        return ""
    return (
        f"Noise in the dense balances alone pulls a true slope of {assumptions.alpha:g} to "
        f"{fixed(pulled, 3)}: compare with the control arm (question control) rather than with 1."
    )


def _tested(request: Request, several: bool = False) -> str:
    if request.question == "class":
        return "classes" if several else "class"
    one = "condition" if request.question in ("cell", "control") else "comparison"
    return f"{one}s" if several else one


def _size(value: Any, request: Request) -> str:
    if request.question == "class":
        return _points(value)
    return significant(value, 2) if request.measure == "alpha" else f"a factor of {_factor(value)}"


def _factor(value: float) -> str:
    return significant(1 + value, 3)


def _points(share: float) -> str:
    shown = f"{float(f'{100 * share:.2g}'):g}"
    return f"{shown} point{'' if shown == '1' else 's'}"


def _each(request: Request) -> str:
    return " in each group" if request.question in ("model", "dataset") else ""


def _range(values: pl.Series) -> str:
    low, high = _extremes(values)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _extremes(values: pl.Series) -> tuple[float, float]:
    known = values.drop_nulls().to_numpy()
    return float(known.min()), float(known.max())
