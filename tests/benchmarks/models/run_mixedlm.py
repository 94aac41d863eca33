"""Times mixedlm."""

import warnings
from importlib.metadata import version
from typing import Any

import mixedlm
import polars as pl

from tests.benchmarks.models.timing import REFITS, arguments, measure

warnings.simplefilter("ignore")
path, work, mode, budget = arguments()
table = pl.read_parquet(path).to_pandas()
for column in work.factors:
    table[column] = table[column].astype(str).astype("category")
if mode == "bootstrap":
    whole = mixedlm.lmer(work.long, table)


def refits() -> dict[str, Any]:
    mixedlm.bootMer(whole, nsim=REFITS, seed=1)
    return {"criterion": -2 * float(whole.logLik().value)}


def fit() -> dict[str, Any]:
    if work.family == "gaussian":
        result = mixedlm.lmer(work.long, table, REML=mode != "ml")
    else:
        family = mixedlm.families.Binomial()
        result = mixedlm.glmer(work.long, table, family=family, weights=work.trials)
    said: dict[str, Any] = {"criterion": -2 * float(result.logLik().value)}
    if mode == "df":
        said["df"] = [float(value) for value in mixedlm.satterthwaite_df(result).df]
    return said


measure(refits if mode == "bootstrap" else fit, version("mixedlm"), budget)
