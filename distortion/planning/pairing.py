"""Which conditions of a log are compared with which, as the catalogue compares them."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, Final

from distortion.counts import Counts
from distortion.designs import CONDITION
from distortion.schema import CONTROL

# What may differ between two levels where each has one value of it only.
NUISANCE: Final = {"model": ("study", "recipe"), "dataset": ("study", "recipe", "model")}
SEPARATOR: Final = " − "
Pair = tuple[Counts, Counts]


def with_control(treated: list[Counts], cells: list[Counts]) -> Iterator[Pair]:
    """Each treated condition with the control arm of its networks, where they have one."""
    context = ("study", "dataset", "model", "recipe", "split")

    def key(cell: Counts) -> tuple[Any, ...]:
        return (*(cell.condition[c] for c in context), cell.class_ids)

    controls = {key(cell): cell for cell in cells if cell.condition["arm"] == CONTROL}
    yield from ((cell, controls[key(cell)]) for cell in treated if key(cell) in controls)


def pairs(cells: list[Counts], factor: str, order: list[Any]) -> Iterator[Pair]:
    """Cells that differ in `factor` (and in nuisances of it), the level later in order first."""
    free = NUISANCE.get(factor, ())
    for group in _alike(cells, (factor, *free), factor):
        levels = [cell.condition[factor] for cell in group]
        parts = [group] if len(set(levels)) == len(levels) else _alike(group, (factor,), factor)
        for part in parts:
            ranked = sorted(part, key=lambda cell: order.index(cell.condition[factor]))
            steps = combinations(ranked, 2) if factor in ("method", "dataset") else pairwise(ranked)
            for earlier, later in steps:
                # A smaller model is expected to distort more: it comes first.
                yield (earlier, later) if factor == "model" else (later, earlier)


def _alike(cells: list[Counts], without: tuple[str, ...], factor: str) -> list[list[Counts]]:
    found: dict[tuple[Any, ...], list[Counts]] = {}
    for cell in cells:
        key: tuple[Any, ...] = tuple(cell.condition[c] for c in CONDITION if c not in without)
        found.setdefault(key if factor == "dataset" else (*key, cell.class_ids), []).append(cell)
    return list(found.values())


def named(a: Counts, b: Counts | None) -> tuple[dict[str, Any], str]:
    """The condition of a test, None where the compared ones differ, and what is compared."""
    if b is None:
        return dict(a.condition), ""
    if b.condition["arm"] == CONTROL:
        return dict(a.condition), f"{a.condition['arm']}{SEPARATOR}{CONTROL}"
    differs = [c for c in CONDITION if a.condition[c] != b.condition[c]]
    main = next(c for c in ("dataset", "model", "method", "ratio") if c in differs)
    shown = (f"{v:g}" if isinstance(v := cell.condition[main], float) else v for cell in (a, b))
    condition = {c: None if c in differs else a.condition[c] for c in CONDITION}
    if main == "ratio":
        condition["ratio"] = a.condition["ratio"]
    return condition, SEPARATOR.join(shown)


def matched(a: Counts, b: Counts) -> tuple[list[int], list[int]]:
    """The rows of the networks that both conditions have, in the same order."""
    shared = [seed for seed in a.seeds if seed in b.seeds]
    return [a.seeds.index(s) for s in shared], [b.seeds.index(s) for s in shared]
