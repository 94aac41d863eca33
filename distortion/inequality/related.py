"""Neighbouring papers' tests of recall per class: Hooker et al. (2019) and Paganini (2020).

symbol  name here            formula                      unit
R       recall               k / n                        share of the class's images
A       accuracies(k, n)     Σ k / Σ n                    share of all images
Ā       population accuracy  mean of A over networks      share
        relative recall      R / A = B̄ + 1                relative to accuracy
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
import polars.selectors as cs

from distortion.counts import Counts, accuracies, counts
from distortion.errors import FitError
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.ttests import two_sample
from distortion.inequality.arguments import check_split
from distortion.inequality.table import CONDITION_TYPES, TEST, TEST_TYPES
from distortion.log import Source
from distortion.resampling.intervals import check_level

HOOKER: Final = pl.Schema(
    CONDITION_TYPES
    | {"class_id": pl.Int64(), "class_name": pl.String()}
    | TEST_TYPES
    | {"impacted": pl.Boolean(), "classes_impacted": pl.Int64(), "share_impacted": pl.Float64()}
    | {"networks": pl.Int64(), "source": pl.String(), "caveat": pl.String()}
)
PAGANINI: Final = pl.Schema(
    CONDITION_TYPES
    | {"term": pl.String()}
    | TEST_TYPES
    | {"networks": pl.Int64(), "source": pl.String(), "caveat": pl.String()}
)
# The note that every clustered fit has.
EXPECTED: Final = "Clustered errors have the factor"
# Under "nothing changes", relative recall after is relative recall before.
TERMS: Final = {"intercept": 0.0, "slope": 1.0}


def hooker(
    log: Source, *, arm: str | None = None, split: str = "test", level: float = 0.95
) -> pl.DataFrame:
    """Hooker et al. (2019): does a class lose or gain more than the networks do on average?

    Their statistic as they coded it: R − Ā, the recall of a class less the mean accuracy of all
    networks of its condition, neither divided by accuracy nor by the network's own. A two-sided
    Welch test compares dense with compressed networks as if they were different ones, and nothing
    corrects for the number of classes: at level 0.95 one class in twenty is impacted by chance. It
    tests E[B_t] = E[B], not whether relative imbalance grows.

    Parameters
    ----------
    level : of the intervals; a class is impacted where p ≤ 1 − level

    Returns
    -------
    One row per condition and class: `estimate` (after − before, as a share), its test and interval,
    `impacted`, and of the whole condition `classes_impacted` and `share_impacted`, which count
    untestable classes as not impacted.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or `level` is not between 0 and 1.
    """
    check_level(level)
    check_split(split)
    tables = [_hooker(condition, level) for condition in counts(log, arm=arm, split=split)]
    return pl.concat(tables)


def paganini(
    log: Source, *, arm: str | None = None, split: str = "test", level: float = 0.95
) -> pl.DataFrame:
    """Paganini (2020): relative recall after, regressed on relative recall before.

    R_t / A_t on R / A with an intercept, over all classes of all networks of a condition at once.
    Since R / A = B̄ + 1, the slope is α with an intercept, pooled over networks. On a balanced test
    set the intercept is 1 − slope and says nothing of its own. Paganini's further covariates
    (imbalance, complexity, sparsity) are for `fit_ols` on `distortion.designs.pairs`.

    Returns
    -------
    One row per condition and term, `intercept` (null value 0) and `slope` (null value 1), by
    ordinary least squares with errors clustered by network (`fit_ols`). `caveat` holds what the fit
    has to say, and why the numbers are null where no line can be fitted.

    Raises
    ------
    DesignError
        If the log has no cell with that arm and split, or `level` is not between 0 and 1.
    """
    check_level(level)
    check_split(split)
    tables = [_paganini(condition, level) for condition in counts(log, arm=arm, split=split)]
    return pl.concat(tables)


def _hooker(counts: Counts, level: float) -> pl.DataFrame:
    networks = counts.size[0]
    before, after = (
        k / counts.n - accuracies(k, counts.n).mean() for k in (counts.dense, counts.correct)
    )
    samples = (
        (recall.mean(axis=0), recall.std(axis=0, ddof=min(1, networks - 1)), networks)
        for recall in (after, before)
    )
    test = two_sample(*next(samples), *next(samples), 0.0, "two-sided", level)
    impacted = pl.Series(test.p_value, nan_to_null=True) <= 1 - level
    why = "no test: one network" if networks == 1 else "no test: the networks do not vary"
    columns = {name: getattr(test, name) for name in TEST} | {
        "class_id": counts.class_ids,
        "class_name": counts.class_names,
        "impacted": impacted,
        "caveat": ["" if tested else why for tested in impacted.is_not_null()],
    }
    fixed = {
        "conf_level": level,
        "null": 0.0,
        "classes_impacted": impacted.sum(),
        "share_impacted": impacted.sum() / len(impacted),
        "networks": networks,
        "source": "networks",
    }
    return _table(columns, dict(counts.condition) | fixed, HOOKER)


def _paganini(counts: Counts, level: float) -> pl.DataFrame:
    defined = (counts.dense.sum(axis=1) > 0) & (counts.correct.sum(axis=1) > 0)
    networks, classes = int(defined.sum()), counts.size[1]
    fixed = dict(counts.condition) | {"conf_level": level, "networks": networks}
    n = counts.n[defined]
    before, after = (
        (k[defined] / n / accuracies(k[defined], n)[:, None]).ravel()
        for k in (counts.dense, counts.correct)
    )
    rows = pl.DataFrame(
        {"after": after, "before": before, "network": np.repeat(np.arange(networks), classes)}
    )
    left_out = counts.size[0] - networks
    notes = [f"{left_out} network(s) with accuracy 0 left out"] if left_out else []
    columns: dict[str, Any] = {"term": list(TERMS), "null": list(TERMS.values())}
    try:
        fit = fit_ols("after ~ before", rows, cluster="network", conf_level=level)
        if len(fit.names) < len(TERMS):
            raise FitError("all dense recalls are equal, so there is no slope")
        tested = fit.contrast(np.eye(len(TERMS)), null=list(TERMS.values()))
        columns |= {name: tested[name] for name in TEST}
        notes += [note for note in fit.notes if not note.startswith(EXPECTED)]
    except FitError as error:
        notes.append(str(error))
    fixed |= {"source": "networks", "caveat": "; ".join(notes)}
    return _table(columns, fixed, PAGANINI)


def _table(columns: Mapping[str, Any], fixed: Mapping[str, Any], schema: pl.Schema) -> pl.DataFrame:
    table = pl.DataFrame(dict(columns)).with_columns(pl.lit(v).alias(k) for k, v in fixed.items())
    missing = [pl.lit(None).alias(name) for name in schema if name not in table.columns]
    table = table.with_columns(missing).select(pl.col(c).cast(t) for c, t in schema.items())
    return table.with_columns(cs.float().fill_nan(None))
