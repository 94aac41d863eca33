"""Methods compared where they have the same accuracy, or the same achieved ratio (S2 iii, S12)."""

from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from distortion.counts import Values
from distortion.designs import CONDITION, compressed_arm, methods, slopes
from distortion.errors import DesignError, did_you_mean
from distortion.log import Source, read_log
from distortion.measures import log_spread
from distortion.repairs.intervals import t_over_networks
from distortion.repairs.table import (
    check_level,
    left_out,
    no_interval,
    reasons,
    result,
    to_table,
)

What = Literal["accuracy", "ratio_achieved"]
MEASURES: Final = ("alpha", "log_kappa", "rho", "worst_recall")
# In log ratio: achieved ratios that differ by single weights are the same ratio.
SLACK: Final = 1e-3


def at_equal(
    log: Source,
    what: What = "accuracy",
    measure: str = "alpha",
    *,
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
) -> pl.DataFrame:
    """Compare methods at equal accuracy or equal achieved ratio.

    For each network and each ratio of method a, the measure of method b is read off at the value
    of `what` that a reached, and subtracted. b's curve joins its ratios, in order, by straight
    lines (in accuracy, or in log ratio). Where it passes the value more than once, as an accuracy
    that falls, recovers and falls may, the first passage (smallest ratio) counts. Nothing is
    extrapolated: a network whose value lies outside b's curve is left out, and counted.

    Parameters
    ----------
    what : what is made equal
    measure : "alpha", "log_kappa", "rho" or "worst_recall"
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : confidence of each interval by itself, between 0 and 1

    Returns
    -------
    One row per condition of method a and method b (each pair once; b is the one that comes first
    in the log): the CONDITION columns (of a), `method_b`, `what`, `at` (mean of `what` over the
    networks compared, geometric for ratios), `measure`, then the difference a − b, paired by
    network, and its t-test against 0 in the columns of
    `distortion.repairs.table.repaired_slopes`. Two cautions: the networks left out are not a
    random choice, and lines between distant ratios cut the bends of a curve.

    Raises
    ------
    DesignError
        If an argument is unknown, the log has no cell with that arm and split, or `what` is
        "ratio_achieved" and the log knows no achieved ratio.
    """
    check_level(level)
    _check_known("what", what, ("accuracy", "ratio_achieved"))
    _check_known("measure", measure, MEASURES)
    log = read_log(log)
    chosen = compressed_arm(log, arm, split)
    cells = (
        slopes(log)
        .filter(pl.col("split") == split, pl.col("arm") == chosen)
        .with_columns(log_kappa=log_spread("kappa"))
    )
    if what not in cells.columns:
        raise DesignError(
            "This log knows no achieved ratio: it needs the columns n_params and n_remaining. "
            "Methods can be compared at equal accuracy."
        )
    order = methods(log)
    rows = []
    context = [c for c in CONDITION if c not in ("method", "ratio")]
    for _, part in cells.group_by(context, maintain_order=True):
        present = [name for name in order if name in part["method"]]
        for first, later in combinations(present, 2):
            curves = _curves(part.filter(pl.col("method") == first), what, measure)
            of_a = part.filter(pl.col("method") == later).sort("ratio", maintain_order=True)
            for _, a in of_a.group_by("ratio", maintain_order=True):
                row = a.row(0, named=True)
                rows.append(
                    {c: row[c] for c in CONDITION}
                    | {"method_b": first, "what": what, "measure": measure}
                    | _difference(a, curves, what, measure, first, level)
                )
    words = {"method_b": pl.String, "what": pl.String, "at": pl.Float64, "measure": pl.String}
    return to_table(rows, words)


def first_passage(value: float, at: Values, measure: Values) -> float:
    """`measure` where the polyline through (at, measure), (J,) in order, first has `value`.

    NaN if it never has.
    """
    for j in range(len(at)):
        if at[j] == value:
            return float(measure[j])
        if j + 1 < len(at) and (at[j] - value) * (at[j + 1] - value) < 0:
            share = (value - at[j]) / (at[j + 1] - at[j])
            return float(measure[j] + share * (measure[j + 1] - measure[j]))
    return np.nan


def _curves(cells: pl.DataFrame, what: What, measure: str) -> dict[int, tuple[Values, Values]]:
    """By seed: what is made equal and the measure, in order of the ratio."""
    return {
        part["seed"][0]: (_scale(part, what), part[measure].cast(pl.Float64).to_numpy())
        for _, part in cells.sort("ratio").group_by("seed", maintain_order=True)
    }


def _scale(cells: pl.DataFrame, what: What) -> Values:
    values = cells[what].cast(pl.Float64).to_numpy()
    return np.log(values) if what == "ratio_achieved" else values


def _difference(
    a: pl.DataFrame,
    curves: dict[int, tuple[Values, Values]],
    what: What,
    measure: str,
    method_b: str,
    level: float,
) -> dict[str, Any]:
    """The cells of one condition against the curves of another method, paired by network."""
    at, own = _scale(a, what), a[measure].cast(pl.Float64).to_numpy()
    other = np.full(len(at), np.nan)
    for i, seed in enumerate(a["seed"]):
        if seed in curves:
            reached, values = curves[seed]
            value = at[i]
            if what == "ratio_achieved":
                end = np.clip(value, reached.min(), reached.max())
                value = end if abs(end - value) <= SLACK else value
            other[i] = first_passage(value, reached, values)
    difference = own - other
    compared = np.isfinite(difference)
    mean = at[compared].mean() if compared.any() else np.nan
    where = float(np.exp(mean) if what == "ratio_achieved" else mean)
    tests = t_over_networks(difference, 0.0, level)
    used = int(compared.sum())
    needs = f"the same {what} on the curve of {method_b}, and the measure at both"
    caveat = reasons(left_out(used, len(at), needs), no_interval(tests, used))
    found = result(tests, level=level, null=0.0, networks=used, caveat=caveat)
    return {"at": where if used else None} | found


def _check_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DesignError(f"{name} is {value!r}. {did_you_mean(value, known)}")
