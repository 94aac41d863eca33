"""What the tests lean on: residuals of the mixed models, influence of single networks and classes.

symbol  name here   size    meaning
M, C                ()      networks; classes
R, A                (M, C)  recall; accuracy, over the classes that are not left out
α_-m                (M,)    mean slope without one network: (M ᾱ − α_m) / (M − 1)
α_-c                (C,)    mean slope without one class, balances taken anew

With class c left out, Σ B̄ B̄_t = Σ R R_t / (A A_t) − Σ R / A − Σ R_t / A_t + (C − 1), where every
sum is that over all classes minus its own term, so that no class has to be left out one by one.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.special import ndtri

from distortion.counts import Counts, Values, counts
from distortion.covariates import COVARIATES, POOLED, fit_covariates
from distortion.designs import CONDITION, pairs
from distortion.errors import FitError
from distortion.fits.results.result import Fit
from distortion.log import RecallLog
from distortion.repairs.networkwise import plain
from distortion.schema import CONTROL

SHARED: Final = [c for c in CONDITION if c not in POOLED]
# Cells of a model below which its residuals are not tested.
FEWEST: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel:
    """The mixed model of one method: `cells` are the rows fitted, `place` says what they share."""

    place: dict[str, Any]
    measure: str
    cells: pl.DataFrame
    fit: Fit


def mixed_models(
    log: RecallLog, samples: pl.DataFrame, measure: str, arm: str, split: str
) -> list[MixedModel]:
    """The fits behind `distortion.covariates.covariate_effects`; those that fail are left out."""
    keys = [c for c in CONDITION if c not in ("split", "arm")]
    known = pairs(log, arm=arm, split=split).select("network", *keys, *COVARIATES).unique()
    cells = samples.filter(pl.col("arm") != CONTROL, pl.col(measure).is_not_null()).join(
        known, on=["network", *keys], how="left", maintain_order="left"
    )
    found = []
    for part in cells.partition_by(SHARED, maintain_order=True):
        varying = [c for c in COVARIATES if part[c].null_count() == 0 and part[c].n_unique() > 1]
        if not varying:
            continue
        try:
            fit = fit_covariates(part, measure, varying)
        except FitError:
            continue
        found.append(MixedModel({c: part[c][0] for c in SHARED}, measure, part, fit))
    return found


def residuals(models: list[MixedModel]) -> pl.DataFrame:
    """One row per cell: what the model expects, what is left, in SDs, and its normal quantile."""
    tables = []
    for model in models:
        left = model.fit.residuals()
        scaled = left / np.sqrt((left**2).mean()) if (left**2).any() else left
        tables.append(
            model.cells.select(*SHARED, *POOLED, "seed").with_columns(
                fitted=pl.Series(model.fit.predict()),
                residual=pl.Series(left),
                scaled=pl.Series(scaled),
                quantile=pl.Series(_quantiles(left)),
            )
        )
    return pl.concat(tables) if tables else pl.DataFrame()


def network_effects(models: list[MixedModel]) -> pl.DataFrame:
    """The conditional mode of every network's random effects, in SDs, and its normal quantile."""
    tables = []
    for model in models:
        for _, rows in model.fit.random_effects().group_by("term", maintain_order=True):
            modes = rows["mode"].to_numpy()
            spread = modes.std()
            if spread > 1e-9:
                tables.append(
                    rows.select("level", "term", "mode").with_columns(
                        *(pl.lit(value).alias(name) for name, value in model.place.items()),
                        scaled=pl.Series(modes / spread),
                        quantile=pl.Series(_quantiles(modes)),
                    )
                )
    return pl.concat(tables) if tables else pl.DataFrame()


def influences(log: RecallLog, arm: str, split: str) -> pl.DataFrame:
    """How far the mean slope moves when one network, or one class, is left out.

    Returns
    -------
    One row per condition of `arm`, `kind` ("network" or "class") and what was left out (`which`):
    the CONDITION columns, `alpha` of all, its `std_error` over networks, and `change`.
    """
    tables = []
    for condition in counts(log, arm=arm, split=split):
        if condition.condition["arm"] != arm:
            continue
        slopes = plain(condition)
        known = np.isfinite(slopes)
        networks = int(known.sum())
        if networks < 2:
            continue
        mean = slopes[known].mean()
        error = slopes[known].std(ddof=1) / np.sqrt(networks)
        without_network = (mean - slopes[known]) / (networks - 1)
        labels = [f"seed {seed}" for seed, use in zip(condition.seeds, known, strict=True) if use]
        changes = {"network": (labels, without_network)}
        if condition.size[1] > 2:
            without_class = _without_class(condition)[known].mean(axis=0) - mean
            changes["class"] = (list(condition.class_names), without_class)
        for kind, (which, change) in changes.items():
            fixed = dict(condition.condition) | {"kind": kind, "alpha": mean, "std_error": error}
            rows = pl.DataFrame({"which": which, "change": change})
            tables.append(rows.with_columns(pl.lit(v).alias(k) for k, v in fixed.items()))
    if not tables:
        return pl.DataFrame()
    return pl.concat(tables).with_columns(pl.col("change").fill_nan(None))


def offsets(log: RecallLog, arm: str, split: str) -> float:
    """The largest |Σ_c residual| / Σ_c |residual| of a network about its line; 0 if balanced.

    Balances of a balanced test set sum to zero, before and after, and so do the residuals.
    """
    largest = 0.0
    for condition in counts(log, arm=arm, split=split):
        x, y = (_balances(k, condition) for k in (condition.dense, condition.correct))
        left = y - plain(condition)[:, None] * x
        size = np.abs(left).sum(axis=1)
        usable = size > 1e-9
        if usable.any():
            largest = max(largest, float((np.abs(left.sum(axis=1)) / size)[usable].max()))
    return largest


def _balances(correct: Any, condition: Counts) -> Values:
    accuracy = (correct.sum(axis=1) / condition.n.sum(axis=1))[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(accuracy > 0, correct / condition.n / accuracy - 1, np.nan))


def _without_class(condition: Counts) -> Values:
    """α of every network (M, C) without each class; NaN where it is undefined."""
    n, before, after = (
        np.asarray(v, dtype=np.float64) for v in (condition.n, condition.dense, condition.correct)
    )
    r, s = before / n, after / n
    total = n.sum(axis=1, keepdims=True) - n
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (_rest(k) / total for k in (before, after))
        rest = n.shape[1] - 1
        xy = _rest(r * s) / (a * b) - _rest(r) / a - _rest(s) / b + rest
        xx = _rest(r * r) / (a * a) - 2 * _rest(r) / a + rest
        return np.asarray(np.where((a > 0) & (b > 0) & (xx > 1e-12), xy / xx, np.nan))


def _rest(values: Values) -> Values:
    return np.asarray(values.sum(axis=1, keepdims=True) - values)


def _quantiles(values: Values) -> Values:
    """Normal quantiles of the ranks of `values`, Blom's positions."""
    ranks = np.argsort(np.argsort(values)) + 1
    return np.asarray(ndtri((ranks - 0.375) / (len(values) + 0.25)))


def residual_tests(left: pl.DataFrame) -> pl.DataFrame:
    """Whether residuals are normal, free of curvature and of equal size, one row per model.

    `left` as from `residuals`. `p_normal`: Shapiro and Wilk (1965); `p_curved`: correlation of the
    residuals with the squared distance of fitted values from their mean; `p_scale`: correlation of
    their sizes with the fitted values. Null with fewer than `FEWEST` cells. `largest`: the residual
    farthest off, in SDs.
    """
    # Slow to import, and only reports want it.
    from scipy.stats import pearsonr, shapiro

    rows = []
    for part in left.partition_by(SHARED, maintain_order=True):
        values, fitted = part["scaled"].to_numpy(), part["fitted"].to_numpy()
        row = {c: part[c][0] for c in SHARED} | {
            "cells": len(values),
            "largest": float(np.abs(values).max()),
        }
        names = ("p_normal", "p_curved", "p_scale")
        found: dict[str, float | None] = dict.fromkeys(names)
        if len(values) >= FEWEST and np.ptp(values) > 0:
            found["p_normal"] = float(shapiro(values).pvalue)
            bent = (fitted - fitted.mean()) ** 2
            for name, y, x in (
                ("p_curved", values, bent),
                ("p_scale", np.abs(values), fitted),
            ):
                if np.ptp(x) > 1e-9 * max(1.0, float(np.abs(x).max())):
                    found[name] = float(pearsonr(x, y).pvalue)
        rows.append(row | found)
    schema = {"p_normal": pl.Float64, "p_curved": pl.Float64, "p_scale": pl.Float64}
    return pl.DataFrame(rows, schema_overrides=schema)
