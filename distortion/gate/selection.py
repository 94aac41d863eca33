"""Which conditions a gate is about, and which of their networks."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.counts import Counts, counts
from distortion.designs import compressed_arm
from distortion.errors import DesignError, did_you_mean
from distortion.gate.limits import Target, is_number
from distortion.inequality.arguments import check_split
from distortion.labels import SEPARATOR, clean, listed, with_class_labels
from distortion.log import RecallLog

CHOICES: Final = ("study", "dataset", "model", "recipe", "intervention", "method", "ratio")
# A ratio typed by hand is found although it was computed: 3.3333 is 10/3.
CLOSE: Final = 1e-3


def select(
    log: RecallLog, arm: str | None, split: str, seed: int | None, choice: Mapping[str, Any]
) -> list[Counts]:
    """The chosen conditions of the compressed arm, in the order of the log, ratios ascending.

    Raises
    ------
    DesignError
        If nothing is left, with what there is.
    """
    check_split(split)
    if (ratio := choice.get("ratio")) is not None and not is_number(ratio):
        raise DesignError(f"ratio is {ratio!r}: give a number, such as 4.")
    arm = compressed_arm(log, arm, split)
    found = [c for c in counts(log, arm=arm, split=split) if c.condition["arm"] == arm]
    for column, wanted in choice.items():
        if wanted is None:
            continue
        known = list(dict.fromkeys(c.condition[column] for c in found))
        found = [c for c in found if _matches(c.condition[column], wanted)]
        if not found:
            raise DesignError(f"No condition with {column} {wanted!r}. {_hint(wanted, known)}")
    if seed is not None:
        seeds = sorted({s for c in found for s in c.seeds})
        found = [_only(c, seed) for c in found if seed in c.seeds]
        if not found:
            raise DesignError(
                f"No network with seed {seed!r} among the chosen conditions. "
                f"Known: {listed(seeds, 20)}."
            )
    order = {key: i for i, key in enumerate(dict.fromkeys(map(_row, found)))}
    return sorted(found, key=lambda c: (order[_row(c)], c.condition["ratio"]))


def target_of(condition: Counts, target: Target | None) -> Target:
    """The target asked for; by default the network where there is one, else the recipe.

    Raises
    ------
    DesignError
        If a recipe has one network only, or a network is meant and there are several.
    """
    networks = condition.size[0]
    if target == "recipe" and networks < 2:
        raise DesignError(
            f"{name(condition)} has one network: how networks of this recipe vary is unknown. "
            "Train it with more seeds, or gate this network alone with target network."
        )
    if target == "network" and networks > 1:
        raise DesignError(
            f"{name(condition)} has {networks} networks (seeds {listed(condition.seeds, 20)}): "
            "say which one is meant with seed, or gate the recipe."
        )
    return target or ("network" if networks == 1 else "recipe")


def name(condition: Counts, among: list[Counts] | None = None) -> str:
    """A condition on one line: method and ratio, and of the rest what varies among the others."""
    row = condition.condition
    context = [
        clean(row[column])
        for column in CHOICES[:5]
        if row[column] and among and len({c.condition[column] for c in among}) > 1
    ]
    return SEPARATOR.join([*context, clean(row["method"]), f"ratio {row['ratio']:g}"])


def with_names(condition: Counts) -> pl.DataFrame:
    """`class_id`, `class_name` and `class_label` of the classes, in their order."""
    frame = pl.DataFrame(
        {"class_id": condition.class_ids, "class_name": condition.class_names},
        schema={"class_id": pl.Int64, "class_name": pl.String},
    )
    return with_class_labels(frame.with_columns(dataset=pl.lit("")))


def _row(condition: Counts) -> tuple[Any, ...]:
    return tuple(v for c, v in condition.condition.items() if c != "ratio")


def _only(condition: Counts, seed: int) -> Counts:
    """The same condition with one of its networks."""
    keep = np.array(condition.seeds) == seed
    control = None if condition.control is None else condition.control[keep]
    return dataclasses.replace(
        condition,
        seeds=(seed,),
        networks=tuple(n for n, k in zip(condition.networks, keep, strict=True) if k),
        n=condition.n[keep],
        dense=condition.dense[keep],
        correct=condition.correct[keep],
        kept=None if condition.kept is None else condition.kept[keep],
        control=None if control is None or np.isnan(control).all() else control,
        ratio_achieved=condition.ratio_achieved[keep],
    )


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(value, float):
        return bool(np.isclose(value, wanted, rtol=CLOSE))
    return bool(value == wanted)


def _hint(wanted: Any, known: list[Any]) -> str:
    if isinstance(known[0], str):
        return did_you_mean(str(wanted), known)
    return f"Known: {listed([f'{v:g}' for v in sorted(known)], 20)}."
