"""The answer in one sentence. Gaps are relative to accuracy, as α is; it says so."""

from typing import Final

import polars as pl

from distortion.prose.beyond import explained
from distortion.prose.words import joined, shrank_in_points, verdicts

SEEN: Final = (
    ("intensifies", "widened relative to accuracy"),
    ("evens out", "narrowed relative to accuracy"),
    ("reorders and widens", "opened between other classes than before"),
)


def headline(
    cells: pl.DataFrame,
    versus: pl.DataFrame,
    conditions: pl.DataFrame,
    excess: pl.DataFrame | None = None,
    latent: pl.DataFrame | None = None,
) -> str:
    """One sentence on the gaps, what accuracy alone could make of them, and the control's.

    `cells`, `versus`, `excess` and `latent` are findings (families cell, versus control, excess and
    latent), `conditions` the means of the tested arm.
    """
    count = verdicts(cells)
    total = cells.height
    if count.get("no test", 0) == total:
        return "Nothing could be tested: the numbers below describe the networks at hand only."
    seen = [(count[verdict], text) for verdict, text in SEEN if count.get(verdict)]
    below = count.get("slope below 1", 0)
    none = cells.clear()
    alone = _by_accuracy(
        cells, none if excess is None else excess, none if latent is None else latent
    )
    noise = "the slope lies below 1, which noise alone can do"
    if total == 1:
        found = "No change of the gaps between classes was detected in the one condition tested"
        if seen:
            found = f"The gaps between classes {seen[0][1]} in the one condition tested{alone}"
        elif below:
            found = f"{found}; {noise}"
    elif not seen:
        found = f"No change of the gaps between classes was detected in any of {total} conditions"
        found += f"; in {below} of them {noise}" if below else ""
    else:
        (first, text), *others = seen
        parts = [f"in {first} of {total} conditions the gaps between classes {text}{alone}"]
        parts += [f"in {number} they {text}" for number, text in others]
        if below:
            parts.append(f"in {below} {noise}")
        if undecided := total - below - sum(number for number, _ in seen):
            parts.append(f"in {undecided} the data do not decide")
        found = joined(parts)
        found = found[0].upper() + found[1:]
    return f"{found}{_in_points(cells, conditions)}{_than_control(versus, total)}."


def _by_accuracy(cells: pl.DataFrame, excess: pl.DataFrame, latent: pl.DataFrame) -> str:
    """Where wider gaps may be no more than what lost accuracy gives by itself."""
    alone, tested = explained(cells, excess, latent)
    if not alone:
        return ""
    could = "the loss of accuracy alone could explain it"
    up = cells.filter(pl.col("verdict") == "intensifies").height
    if up == 1:
        return f" ({could})"
    of = "these" if tested == up else f"the {tested} where that could be tested"
    return f" ({could} in {alone if alone < tested else 'all'} of {of})"


def _in_points(cells: pl.DataFrame, conditions: pl.DataFrame) -> str:
    """Where most gaps that widened relative to accuracy did not do so in plain recall."""
    up = cells.filter(pl.col("verdict") == "intensifies").height
    shrank = shrank_in_points(cells, conditions).height
    if 2 * shrank <= up:
        return ""
    if cells.height == 1:
        return ", though in plain recall they shrank"
    return f"; in plain recall, though, they shrank in {shrank} of those {up}"


def _than_control(versus: pl.DataFrame, total: int) -> str:
    """The end of the headline: how slopes compare with those of the control."""
    count = verdicts(versus)
    if count.get("no test", 0) == versus.height:
        return ""
    start = "; compared with fine-tuning alone, "
    words = {"larger slope": "larger", "smaller slope": "smaller"}
    if total == 1:
        word = words.get(versus["verdict"][0])
        return start + (f"the slope α is {word}" if word else "no difference was detected")
    of = f"{versus.height}" + ("" if versus.height == total else " conditions that have a control")
    parts = [f"{word} in {count[verdict]}" for verdict, word in words.items() if verdict in count]
    if not parts:
        return f"{start}no difference was detected in any of {of}"
    return f"{start}the slope α is {joined(parts)} of {of}"
