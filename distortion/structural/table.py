"""γ of every condition of a log, against 1, against the control arm, and along the ratio."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from distortion.counts import CONTEXT, Counts, counts
from distortion.designs import CONDITION
from distortion.errors import DesignError, FitError
from distortion.fits.mixed.types import Array
from distortion.fits.results.arguments import choice
from distortion.inequality.arguments import check_split
from distortion.log import Source
from distortion.resampling.intervals import check_level
from distortion.schema import CONTROL, FINETUNED
from distortion.structural.alignment import informative
from distortion.structural.fit import (
    INTERVALS,
    Inference,
    Inheritance,
    Interval,
    StructuralFit,
    fit_structural,
    fixed_share,
)

# Of these classes and test images; see the notes of `fit_structural`.
SOURCE = "networks"
NUMBERS = ("std_error", "df", "statistic", "p_value", "conf_low", "conf_high", "conf_level", "null")
BESIDE = ("phi", "sigma_v", "sigma_w", "tau", "departure")
SCHEMA = pl.Schema(
    {
        **{c: pl.Float64() if c == "ratio" else pl.String() for c in CONDITION},
        **{"measure": pl.String(), "estimate": pl.Float64()},
        **{c: pl.Float64() for c in NUMBERS},
        **{"networks": pl.Int64(), "source": pl.String(), "caveat": pl.String()},
        **{c: pl.Float64() for c in BESIDE},
    }
)
# p-value below which a departure of classes from the line is a caveat.
DEPARTS = 0.01
# SD in logits above which networks of an arm have hardly anything in common.
WILD = 3.0
FEW_CLASSES = 5


def structural(
    log: Source,
    *,
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
    inheritance: Inheritance = "free",
    interval: Interval = "profile",
) -> pl.DataFrame:
    """Fit the structural model to every method of every context of a log.

    Parameters
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : confidence of each interval, between 0 and 1
    inheritance : of deviations that a class has in one network: φ free, or fixed at a number
    interval : "profile" or "wald"

    Returns
    -------
    The CONDITION columns, then `measure`: "gamma" (null 1) for every condition and the control
    arm; "gamma_vs_control" (of fine-tuned cells: γ − γ of the control, null 0); "gamma_trend" of a
    method (least-squares slope of γ on log2 ratio, null 0, per doubling; its ratio is null). `phi`,
    `sigma_v`, `sigma_w`, `tau` and `departure` as in `StructuralFit`. All ratios of a method and
    the control arm are one fit, so that differences know their covariance; the control's own row is
    a fit by itself. Std errors are those of the likelihood times `StructuralFit.widening`. A bound
    beyond which nothing is unlikely enough is null, with a caveat.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or `level` is no confidence.
    FitError
        If `inheritance` or `interval` is unknown.
    """
    choice("interval", interval, INTERVALS)
    fixed_share(inheritance)
    check_level(level)
    check_split(split)
    rows: list[dict[str, Any]] = []
    found = counts(log, arm=arm, split=split)
    for members, control in _families(found):
        rows += _family(members, control, level, inheritance, interval)
    return pl.DataFrame(rows, schema=SCHEMA)


def _families(found: list[Counts]) -> Iterator[tuple[list[Counts], Counts | None]]:
    """The ratios of a method of a context, fine-tuned ones with their control; then controls."""
    controls = {_context(c): c for c in found if c.condition["arm"] == CONTROL}
    families: dict[Any, list[Counts]] = {}
    for c in found:
        key = (_context(c), c.condition["intervention"], c.condition["method"], c.condition["arm"])
        families.setdefault(key, []).append(c)
    for (context, *_, of_arm), members in families.items():
        members.sort(key=lambda c: float(c.condition["ratio"]))
        yield members, controls.get(context) if of_arm == FINETUNED else None


def _context(c: Counts) -> tuple[Any, ...]:
    return (*(c.condition[column] for column in CONTEXT), c.class_ids)


def _family(
    members: list[Counts],
    control: Counts | None,
    level: float,
    inheritance: Inheritance,
    interval: Interval,
) -> Iterator[dict[str, Any]]:
    """Rows of one fit."""
    usable = [c for c in members if _usable(c)]
    others = [control] if control is not None and _usable(control) else []
    failed = ""
    fit: StructuralFit | None = None
    if usable:
        try:
            fit = fit_structural([*others, *usable], inheritance=inheritance)
        except (DesignError, FitError) as error:
            failed = str(error)
    for c in members:
        if fit is None or c not in usable:
            caveat = failed or "no fit: in most networks every class is always or never recognised"
            yield _row(c, "gamma", 1.0, level, None, len(c.seeds), caveat)
            continue
        place = len(others) + usable.index(c)
        unit = np.eye(len(fit.gamma))[place]
        beside = _beside(fit, place)
        tests = [("gamma", 1.0, unit)]
        if others:
            tests.append(("gamma_vs_control", 0.0, unit - np.eye(len(fit.gamma))[0]))
        for measure, null, weights in tests:
            tested = fit.test(weights, null, level, interval)
            caveat = _caveat(fit, [place], tested)
            yield _row(c, measure, null, level, tested, len(fit.seeds), caveat) | beside
    if fit is not None and len(usable) > 1:
        tested = fit.test(_trend(fit, len(others)), 0.0, level, interval)
        places = range(len(others), len(fit.gamma))
        caveat = _caveat(fit, places, tested)
        row = _row(usable[0], "gamma_trend", 0.0, level, tested, len(fit.seeds), caveat)
        yield row | {"ratio": None, "sigma_v": fit.sigma_v, "tau": fit.tau}


def _usable(c: Counts) -> bool:
    """Whether most networks recognise some class sometimes, as networks at chance do not."""
    return float(informative(c.correct, c.n).mean()) > 0.5


def _trend(fit: StructuralFit, first: int) -> Array:
    """Weights of the least-squares slope of γ on log2 ratio; arms before `first` have none."""
    ratios = np.array([float(c["ratio"]) for c in fit.conditions[first:]])
    x = np.log2(ratios) - np.log2(ratios).mean()
    return np.concatenate([np.zeros(first), x / (x @ x)])


def _beside(fit: StructuralFit, place: int) -> dict[str, float | None]:
    values = {
        "phi": fit.phi[place],
        "sigma_v": fit.sigma_v,
        "sigma_w": fit.sigma_w[place],
        "tau": fit.tau,
        "departure": fit.departure[place],
    }
    return {name: _number(value) for name, value in values.items()}


def _caveat(fit: StructuralFit, places: Sequence[int], tested: Inference) -> str:
    which = list(places)
    said = [*fit.notes]
    if tested.note and not np.isnan(tested.estimate):
        said.append(tested.note)
    said += [
        f"unbounded {side}"
        for side, end in (("below", tested.conf_low), ("above", tested.conf_high))
        if np.isinf(end)
    ]
    if (fit.departs[which] < DEPARTS).any():
        said.append("classes leave the line alike in all networks: about these classes only")
    if (fit.sigma_w[which] > WILD).any():
        said.append("networks have hardly anything in common: near chance")
    if fit.classes < FEW_CLASSES:
        said.append(f"only {fit.classes} classes")
    return "; ".join(said)


def _row(
    c: Counts,
    measure: str,
    null: float,
    level: float,
    tested: Inference | None,
    networks: int,
    caveat: str,
) -> dict[str, Any]:
    names = ("estimate", *NUMBERS[:6])
    values = {name: _number(getattr(tested, name)) if tested else None for name in names}
    return {
        **c.condition,
        "measure": measure,
        **values,
        "conf_level": level,
        "null": null,
        "networks": networks,
        "source": SOURCE,
        "caveat": caveat,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
