"""The mixed models of covariates: fixed effects, random effects, explained variance."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import polars as pl

from distortion.covariates import COVARIATES
from distortion.designs import CONDITION
from distortion.diagnostics import MixedModel
from distortion.labels import clean
from distortion.tables import numbers
from distortion.tables.results import TONES, caveats, common_caveat, estimate
from distortion.tables.table import NAME, Column, Row, Table, Tone, identity

MEASURES: Final = {"alpha": "α", "log_kappa": "log κ", "gamma_trend": "γ"}
TREND: Final = COVARIATES["log2_ratio"]
# Share of the residual SD below which an SD of networks is shown as 0.
NONE: Final = 1e-4
STATES: Final = {(True, False): "converged", (True, True): "singular"}
BEYOND: Final = "not converged"


def effect_table(found: pl.DataFrame) -> Table:
    """Fixed effects of both measures; `found` are the families covariates and spread covariates."""
    note = (
        "Linear mixed models by REML, one per method: cells within networks, random intercept and, "
        "from three ratios on, slope of each network. df: Satterthwaite. Covariates are centred, "
        "so that a main effect is that at the mean of the others."
    )
    caption = "What the slope and the spread depend on: fixed effects"
    return _table(found, "covariates", caption, note)


def trend_table(found: pl.DataFrame) -> Table:
    """Trends with the ratio; `found` are the families trend, spread trend and latent trend."""
    note = (
        "α and log κ: least squares on log2 ratio within every network, then a t-test over "
        "networks; networks without a value at one of their ratios are left out. γ: of the "
        "structural model."
    )
    caption = "Trends with the ratio, one model or data set at a time"
    return _table(found.with_columns(comparison=pl.lit(TREND)), "trends", caption, note)


def _table(found: pl.DataFrame, name: str, caption: str, note: str) -> Table:
    columns = (
        *identity(found, [c for c in CONDITION if c not in ("split", "arm", "ratio")]),
        Column("Of", lambda row: MEASURES[row["measure"]], names=True, numeric=False),
        Column("Per unit of", lambda row: row["comparison"], names=True, numeric=False),
        estimate(found, "Effect", signed=True),
        Column(
            "SE", lambda row: numbers.significant(row["std_error"]), value=itemgetter("std_error")
        ),
        Column("df", lambda row: numbers.fixed(row["df"], 1), value=itemgetter("df")),
        Column(
            "p", lambda row: numbers.p_value(row["p_corrected"]), value=itemgetter("p_corrected")
        ),
        Column("Verdict", lambda row: row["verdict"], False, False, _tone),
        *caveats(found),
    )
    return Table(name, caption, found, columns, (note, *common_caveat(found)), central=True)


def random_table(models: Sequence[MixedModel]) -> Table:
    """Random effects of every model: SDs, explained variance, intraclass correlation."""
    rows = []
    for model in models:
        fit = model.fit
        assert fit.variances is not None
        sds = {(r["group"], r["term"]): r["sd"] for r in fit.variances.iter_rows(named=True)}
        correlation = fit.variances["correlation"].drop_nulls()
        assert fit.sigma is not None
        least = NONE * fit.sigma
        slope = next((sd for (_, term), sd in sds.items() if term not in (None, "Intercept")), None)
        known = all(sd > least for (group, _), sd in sds.items() if group == "network")
        rows.append(
            model.place
            | {
                "measure": model.measure,
                "cells": fit.n_obs,
                "networks": fit.groups["network"],
                "sd_intercept": sds.get(("network", "Intercept")),
                "sd_slope": slope,
                "correlation": correlation[0] if len(correlation) and known else None,
                "least": least,
                "sd_residual": fit.sigma,
                "r2_marginal": fit.r_squared.get("marginal"),
                "r2_conditional": fit.r_squared.get("conditional"),
                "icc": fit.icc()["icc"][-1],
                "state": STATES.get((fit.converged, fit.singular), BEYOND),
            }
        )
    data = pl.DataFrame(rows, infer_schema_length=None)
    columns = (
        *identity(data, [c for c in model.place if c not in ("split", "arm", "method")]),
        Column("Method", lambda row: clean(row["method"], NAME), names=True, numeric=False),
        Column("Of", lambda row: MEASURES[row["measure"]], names=True, numeric=False),
        Column("Cells", lambda row: numbers.count(row["cells"])),
        Column("Networks", lambda row: numbers.count(row["networks"])),
        _sd("SD of intercepts", "sd_intercept"),
        _sd("SD of slopes", "sd_slope"),
        Column("Correlation", lambda row: numbers.fixed(row["correlation"])),
        _sd("Residual SD", "sd_residual"),
        Column("R² marginal", lambda row: numbers.fixed(row["r2_marginal"])),
        Column("R² conditional", lambda row: numbers.fixed(row["r2_conditional"])),
        Column("ICC", lambda row: numbers.fixed(row["icc"])),
        Column("Fit", lambda row: row["state"], numeric=False),
    )
    note = (
        "SDs of networks and of cells within them. R²: of the fixed effects (marginal), and of "
        "networks as well (conditional). ICC: share of networks in what fixed effects leave. "
        "Singular: a variance or a correlation at its limit; the data do not tell it from none."
    )
    caption = "Random effects of the mixed models"
    return Table("random-effects", caption, data, columns, (note,))


def _sd(heading: str, name: str) -> Column:
    def show(row: Row) -> str:
        none = row[name] is not None and row[name] < row["least"]
        return "0" if none else numbers.significant(row[name])

    return Column(heading, show, value=itemgetter(name))


def _tone(row: Row) -> Tone:
    return TONES.get(row["verdict"] or "", "")
