"""Times distortion."""

from importlib.metadata import version
from typing import Any

import polars as pl

import distortion as ds
from tests.benchmarks.models.timing import REFITS, arguments, measure

path, work, mode, budget = arguments()
table = pl.read_parquet(path)
if mode == "bootstrap":
    whole = ds.fit_lmm(work.formula, table, method="reml", df="asymptotic")


def refits() -> dict[str, Any]:
    whole.bootstrap(REFITS, rng=0)
    return {"criterion": whole.criterion}


def fit() -> dict[str, Any]:
    if work.family == "gaussian":
        df = "satterthwaite" if mode == "df" else "asymptotic"
        method = "ml" if mode == "ml" else "reml"
        result = ds.fit_lmm(work.formula, table, method=method, df=df)
    else:
        result = ds.fit_glmm(work.formula, table, family=work.family)
    said = {"criterion": result.criterion, "converged": result.converged}
    if mode == "df":
        said["df"] = result.estimates["df"].to_list()
    return said


measure(refits if mode == "bootstrap" else fit, version("distortion"), budget)
