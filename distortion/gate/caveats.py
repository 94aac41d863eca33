"""Caveats of a gate: each one a sentence that appears exactly when something calls for it."""

from typing import Final

import numpy as np
import polars as pl

from distortion.counts import Counts
from distortion.gate.limits import Target
from distortion.labels import counted
from distortion.log import RecallLog
from distortion.schema import FINETUNED
from distortion.scope import failed_cells
from distortion.tables import numbers

FEW: Final = 5


def caveats(log: RecallLog, counts: Counts, target: Target, level: float) -> tuple[str, ...]:
    """The caveats that hold for one condition, most serious first."""
    found = (
        _networks(counts, target, level),
        _unpaired(counts, target),
        _split(log, counts),
        _failed(log, counts),
        _control(counts),
        _unbalanced(counts),
        _ratio(counts),
        " ".join(log.notes),
    )
    return tuple(text for text in found if text)


def _networks(counts: Counts, target: Target, level: float) -> str:
    networks = counts.size[0]
    if target == "network":
        return (
            "One network: the verdict is about this network on further images of the same kind, "
            "not about others trained and compressed alike."
        )
    few = (
        f" With {counted(networks, 'network')} even how much they vary is poorly known."
        if networks < FEW
        else ""
    )
    return (
        "The recipe: the verdict is about the mean over networks trained and compressed alike, on "
        "these test images. A single network may do worse than the mean, and other images would "
        f"add variation.{few} Nor can {networks} networks show how rare a collapse is: of one that "
        f"none of them shows, up to {100 * _unseen(networks, level):.0f}% of networks may suffer "
        f"({numbers.confidence(level)} confidence)."
    )


def _unseen(networks: int, level: float) -> float:
    """Upper bound of the share of networks that do what none of those seen does.

    Clopper & Pearson (1934) for 0 of M, about 3 / M at 95 %: the rule of three.
    """
    return float(1 - (1 - level) ** (1 / networks))


def _unpaired(counts: Counts, target: Target) -> str:
    if counts.kept is not None or target == "recipe":
        return ""
    return (
        "Which images both networks get right is unknown (no column kept): intervals are those of "
        "independent samples, and there is no McNemar test. Paired counts would be sharper."
    )


def _split(log: RecallLog, counts: Counts) -> str:
    split = str(counts.condition["split"])
    if split != "test":
        return (
            f"The images are of split {split!r}, not test: if they chose weights, checkpoints or "
            "settings, losses look smaller than they are."
        )
    if log.provenance:
        return ""
    return (
        "No provenance came with the log: whether the test images also chose checkpoints or "
        "settings is unknown."
    )


def _failed(log: RecallLog, counts: Counts) -> str:
    split = str(counts.condition["split"])
    same = [pl.col(c) == v for c, v in counts.condition.items()]
    failed = failed_cells(log, split).filter(*same).height
    if not failed:
        return ""
    return (
        f"{counted(failed, 'network')} failed in this condition and are not counted: if networks "
        "fail where recall is most distorted, the rest look better than they are."
    )


def _control(counts: Counts) -> str:
    if counts.control is not None and not np.isnan(counts.control).any():
        return ""
    more = " or the further training" if counts.condition["arm"] == FINETUNED else ""
    return (
        "No control arm for every network (fine-tuned, nothing removed): whether the removal of "
        f"weights{more} caused a change, these data cannot tell. The verdict does not depend on it."
    )


def _unbalanced(counts: Counts) -> str:
    if counts.balanced:
        return ""
    low, high = int(counts.n.min()), int(counts.n.max())
    return (
        f"Classes have {low:,} to {high:,} images: accuracy and the balances behind κ and α weigh "
        "large classes more, and small ones have wide intervals."
    )


def _ratio(counts: Counts) -> str:
    if not np.isnan(counts.ratio_achieved).any():
        return ""
    return "The achieved ratio is unknown (no column n_remaining): the ratio is the one asked for."
