"""Families of comparisons in words: their outcome, or why there is none."""

from itertools import combinations
from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis
from distortion.labels import clean, counted, listed
from distortion.prose.words import joined, verdicts
from distortion.tables import numbers

NAMES: Final = {
    "study": ("study", "studies"),
    "dataset": ("data set", "data sets"),
    "model": ("model", "models"),
    "recipe": ("recipe", "recipes"),
    "intervention": ("intervention", "interventions"),
    "method": ("method", "methods"),
    "ratio": ("ratio", "ratios"),
}


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


def equivalent_in_words(found: pl.DataFrame) -> str:
    """The outcome of an equivalence family."""
    counts = {
        word: found.filter(pl.col("verdict").str.starts_with(word)).height
        for word in ("equivalent", "differs", "undecided", "no test")
    }
    untested = f", untested in {counts['no test']}" if counts["no test"] else ""
    return (
        f"Shown in {counts['equivalent']} of {counted(found.height, 'comparison')}; a larger "
        f"difference in {counts['differs']}, undecided in {counts['undecided']}{untested}."
    )


def not_asked(slopes: pl.DataFrame, hypothesis: Hypothesis) -> str:
    """Why no two levels of the factor were compared; `slopes` has the cells of the tested arm."""
    factor = str(hypothesis.factor)
    one, many = NAMES[factor]
    levels = slopes[factor].unique(maintain_order=True).sort().to_list()
    shown = [numbers.ratio(v) if factor == "ratio" else clean(v) for v in levels]
    if len(levels) < 2:
        return f"Not asked: the only {one} is {listed(shown)}."
    others = [c for c in CONDITION if c not in (factor, "arm", "split")]
    shared = {c: _share(slopes, factor, levels, c) for c in others}
    apart = [NAMES[c][0] for c in others if not shared[c]]
    why = (
        f"no two share a {' or a '.join(apart)}"
        if apart
        else f"no two agree in {joined([NAMES[c][0] for c in others])} at once"
    )
    hint = ""
    if factor == "dataset":
        hint = (
            " Where several models were trained on a data set, `--reference-model` names the one "
            "that stands for it."
        )
    return f"Not asked: of the {many} {listed(shown)}, {why}.{hint}"


def _share(slopes: pl.DataFrame, factor: str, levels: list[object], column: str) -> bool:
    """Whether any two levels of `factor` have a value of `column` in common."""
    values = [set(slopes.filter(pl.col(factor) == level)[column]) for level in levels]
    return any(a & b for a, b in combinations(values, 2))
