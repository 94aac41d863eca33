"""The plain slope and its repairs side by side, for every condition of a log."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.counts import Counts, counts
from distortion.designs import CONDITION
from distortion.errors import DesignError
from distortion.fits.results.arguments import Seed, generator
from distortion.fits.ttests import TTests
from distortion.log import Source
from distortion.repairs.estimators import ESTIMATORS, Estimator, simex_with
from distortion.repairs.intervals import SOURCE, jackknife_test, t_over_networks
from distortion.repairs.needs import lacking, networks_with

RESULT: Final = {
    "estimate": pl.Float64,
    "std_error": pl.Float64,
    "df": pl.Float64,
    "statistic": pl.Float64,
    "p_value": pl.Float64,
    "conf_low": pl.Float64,
    "conf_high": pl.Float64,
    "conf_level": pl.Float64,
    "null": pl.Float64,
    "networks": pl.Int64,
    "source": pl.String,
    "caveat": pl.String,
}
WEAK: Final = "denominator not clearly above 0: hardly any class pattern beyond noise"
UNEQUAL: Final = "unequal supports: see support_weighted, macro and intercept"


def repaired_slopes(
    log: Source,
    *,
    arm: str | None = None,
    split: str = "test",
    level: float = 0.95,
    rng: Seed | None = None,
) -> pl.DataFrame:
    """Estimate the slope of every condition in every way that the log allows.

    Parameters
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : confidence of each interval by itself, between 0 and 1
    rng : seed or generator; SIMEX draws random numbers and is left out without it

    Returns
    -------
    One row per condition (those of the arm, then the control's) and estimator of
    `distortion.repairs.estimators`, `plain` first: the CONDITION columns, `estimator`, `estimand`
    (what the number estimates), then `estimate`, `std_error`, `df`, `statistic`, `p_value`
    (two-sided, against `null`), `conf_low`, `conf_high`, `conf_level`, `null` (null where there
    is nothing to test), `networks` (that the estimate is made of), `source` (what varies in the
    interval: networks) and `caveat`. Undefined numbers are null, with the reason in `caveat`.
    Intervals are Student's t over networks where each network has its own number, and over the
    delete-one jackknife where sums are pooled. `support_weighted`, `macro` and `intercept` are
    there only where classes differ in support: elsewhere the first two are `plain`, the third 0.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or level is not between 0 and 1.
    FitError
        If rng is neither a seed nor a generator.
    """
    check_level(level)
    chosen = (*ESTIMATORS, simex_with(generator(rng))) if rng is not None else ESTIMATORS
    rows = [
        {"estimator": estimator.name} | row(condition, estimator, level)
        for condition in counts(log, arm=arm, split=split)
        for estimator in chosen
        if not (estimator.unbalanced and condition.balanced)
    ]
    return to_table(rows, {"estimator": pl.String, "estimand": pl.String})


def check_level(level: float) -> None:
    """Refuse a confidence that is not between 0 and 1."""
    if not 0 < level < 1:
        raise DesignError(f"level is a confidence between 0 and 1, such as 0.95, not {level}.")


def result(
    tests: TTests, *, level: float, null: float, networks: int, caveat: str
) -> dict[str, Any]:
    """The columns of `RESULT` for one test."""
    fields = {name: float(getattr(tests, name)) for name in tests.__slots__}
    fields |= {"conf_level": level, "null": null}
    return {
        **{name: value if np.isfinite(value) else None for name, value in fields.items()},
        "networks": networks,
        "source": SOURCE,
        "caveat": caveat,
    }


def to_table(rows: Iterable[Mapping[str, Any]], words: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a frame: the CONDITION columns, those of `words`, those of `RESULT`."""
    condition = {c: pl.Float64 if c == "ratio" else pl.String for c in CONDITION}
    return pl.DataFrame(list(rows), schema={**condition, **words, **RESULT}, orient="row")


def reasons(*found: str) -> str:
    """The reasons that are not empty, as one caveat."""
    return "; ".join(reason for reason in found if reason)


def left_out(used: int, networks: int, needs: str) -> str:
    """Why networks are not part of an estimate, or "" if all are."""
    if used == networks:
        return ""
    return f"{networks - used} of {networks} networks left out: needs {needs}"


def row(counts: Counts, estimator: Estimator, level: float, doubt: str = "") -> dict[str, Any]:
    """The columns of a condition and estimator, but for its name; `doubt` goes into the caveat."""
    networks, weak = counts.size[0], False
    if estimator.by_network is not None:
        values = estimator.by_network(counts)
        usable = np.isfinite(values)
        tests = t_over_networks(values, estimator.null, level)
    else:
        usable = networks_with(estimator.needs, counts)
        tests, weak = jackknife_test(counts, estimator, level)
    used = int(usable.sum())
    if not np.isfinite(tests.estimate):
        # With networks that have all they need, it is their sums that lack something.
        concerned = usable if used else ~usable
        caveat = f"undefined: needs {lacking(estimator.needs, counts, concerned)}"
    else:
        caveat = reasons(
            estimator.caveat,
            doubt,
            WEAK if weak else "",
            left_out(used, networks, lacking(estimator.needs, counts, ~usable)),
            no_interval(tests, used),
            UNEQUAL if estimator.name in ("plain", "pooled") and not counts.balanced else "",
        )
    return {
        **counts.condition,
        "estimand": estimator.estimand,
        **result(tests, level=level, null=estimator.null, networks=used, caveat=caveat),
    }


def no_interval(tests: TTests, used: int) -> str:
    """Why an estimate of so many networks has no interval, or "" if it has one, or no estimate."""
    if np.isfinite(tests.std_error) or not np.isfinite(tests.estimate):
        return ""
    if used < 2:
        return "no interval: one network"
    return "no interval: networks do not differ, or it is undefined without one of them"
