"""Methods compared where they have the same accuracy, or the same achieved ratio (S2 iii, S12)."""

from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from distortion.counts import Values
from distortion.designs import CONDITION, compressed_arm, methods, slopes
from distortion.errors import DesignError, did_you_mean
from distortion.fits.ttests import one_sample
from distortion.log import Source, read_log
from distortion.measures import log_spread
from distortion.nulls.curves import NOWHERE, Reading, read_off
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
# Of a standard error: a bend that leaves a test at 5 % at 8 %, even if all of it were error.
TOLERATED: Final = 0.5
SELECTED: Final = "no test: which networks can be compared depends on how accurate they are"


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

    For each network and each ratio of a method, the measure of the other method (`method_b`) is
    read off at the value of `what` that the first one reached, and subtracted. Every pair is
    compared at the ratios of either method, so that the order of the methods in the log has no say
    but over the sign where both met at the same points, which is one comparison, not two. Where a
    curve passes the value more than once, as an accuracy that falls, recovers and falls may, the
    first passage (smallest ratio) counts. Nothing is extrapolated: a network whose value lies
    outside the curve is left out, and counted.

    Between its ratios a curve is a monotone cubic, in accuracy or in log ratio, because a straight
    line cuts a bend always on the same side: α that rises ever faster is overstated by it, and the
    method whose ratios lie between looks milder, be it the same method. What the cubic changes
    measures what it may miss. Where that bend, on average over networks, is more than half a
    standard error (a test at 5 % then rejects in 8 % if all of it were error), or is unknown for
    most networks, the ratios are too far apart to compare there: the row has an estimate and a
    caveat, and no test. Nor has it one where accuracy, an outcome, decides which networks are
    compared: those within a curve are a selection that differs from the others in α too.

    Parameters
    ----------
    what : what is made equal
    measure : "alpha", "log_kappa", "rho" or "worst_recall"
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : confidence of each interval by itself, between 0 and 1

    Returns
    -------
    One row per condition of a method and other method: the CONDITION columns, `method_b`, `what`,
    `at` (mean of `what` over the networks compared, geometric for ratios), `measure`, then the
    difference method − method_b, paired by network, and its t-test against 0 in the columns of
    `distortion.repairs.table.repaired_slopes`. Where all networks met at points of both curves, the
    row is there once, of the method that comes later in the log.

    Raises
    ------
    DesignError
        If an argument is unknown, the log has no cell with that arm and split, no two methods on
        the same dataset and model, or `what` is "ratio_achieved" and the log knows no achieved
        ratio.
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
    pairs = 0
    context = [c for c in CONDITION if c not in ("method", "ratio")]
    for _, part in cells.group_by(context, maintain_order=True):
        by_method = {name: part.filter(pl.col("method") == name) for name in order}
        for first, later in combinations([m for m in order if by_method[m].height], 2):
            pairs += 1
            for a, b in ((later, first), (first, later)):
                curves = _curves(by_method[b], what, measure)
                of_a = by_method[a].sort("ratio", maintain_order=True)
                for _, cell in of_a.group_by("ratio", maintain_order=True):
                    readings = _readings(cell, curves, what)
                    if a == first and _met(readings):
                        continue
                    partners = sum(seed in curves for seed in cell["seed"])
                    row = cell.row(0, named=True)
                    rows.append(
                        {c: row[c] for c in CONDITION}
                        | {"method_b": b, "what": what, "measure": measure}
                        | _difference(cell, readings, partners, what, measure, b, level)
                    )
    if not pairs:
        raise DesignError(
            "A comparison needs two methods on the same dataset and model; this log has "
            f"{', '.join(map(repr, order))}. Add a second one, or compare with the control."
        )
    words = {"method_b": pl.String, "what": pl.String, "at": pl.Float64, "measure": pl.String}
    return to_table(rows, words)


def _curves(cells: pl.DataFrame, what: What, measure: str) -> dict[int, tuple[Values, Values]]:
    """By seed: what is made equal and the measure, in order of the ratio."""
    return {
        part["seed"][0]: (_scale(part, what), part[measure].cast(pl.Float64).to_numpy())
        for _, part in cells.sort("ratio").group_by("seed", maintain_order=True)
    }


def _scale(cells: pl.DataFrame, what: What) -> Values:
    values = cells[what].cast(pl.Float64).to_numpy()
    return np.log(values) if what == "ratio_achieved" else values


def _readings(
    cell: pl.DataFrame, curves: dict[int, tuple[Values, Values]], what: What
) -> list[Reading]:
    """The other method's measure where it has what each network of a condition reached."""
    slack = SLACK if what == "ratio_achieved" else 0.0
    return [
        read_off(value, *curves[seed], slack) if seed in curves else NOWHERE
        for seed, value in zip(cell["seed"], _scale(cell, what), strict=True)
    ]


def _met(readings: list[Reading]) -> bool:
    """Whether some networks have a partner, and each of them at a point of the other's curve."""
    bends = [reading.bend for reading in readings if np.isfinite(reading.measure)]
    return bool(bends) and not any(bends)


def _difference(
    cell: pl.DataFrame,
    readings: list[Reading],
    partners: int,
    what: What,
    measure: str,
    method_b: str,
    level: float,
) -> dict[str, Any]:
    """The networks of a condition against the curves that `partners` of them have, paired."""
    other, bend = np.array(readings).T
    difference = cell[measure].cast(pl.Float64).to_numpy() - other
    compared = np.isfinite(difference)
    used = int(compared.sum())
    mean = _scale(cell, what)[compared].mean() if used else np.nan
    where = float(np.exp(mean) if what == "ratio_achieved" else mean)
    tests = t_over_networks(difference, 0.0, level)
    std_error = float(tests.std_error)
    selected = what == "accuracy" and 0 < used < partners
    doubt = SELECTED if selected else _too_coarse(bend[compared], std_error, method_b)
    if doubt and np.isfinite(std_error):
        tests = one_sample(tests.estimate, np.nan, used, 0.0, "two-sided", level)
    needs = f"the same {what} on the curve of {method_b}, and the measure at both"
    caveat = reasons(doubt or no_interval(tests, used), left_out(used, len(cell), needs))
    found = result(tests, level=level, null=0.0, networks=used, caveat=caveat)
    return {"at": where if used else None} | found


def _too_coarse(bend: Values, std_error: float, method_b: str) -> str:
    """Why a difference has no test though it has a standard error, or ""."""
    known = bend[np.isfinite(bend)]
    if not np.isfinite(std_error):
        return ""
    if 2 * known.size < bend.size:
        return f"no test: too few ratios of {method_b} there to see how its curve bends"
    worth = abs(float(known.mean()))
    if worth <= TOLERATED * std_error:
        return ""
    return (
        f"no test: ratios of {method_b} too far apart there, its curve bends by {worth:.2g} "
        f"between them (standard error {std_error:.2g})"
    )


def _check_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DesignError(f"{name} is {value!r}. {did_you_mean(value, known)}")
