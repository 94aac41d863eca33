"""Times lme-python."""

from importlib.metadata import version
from typing import Any

import lme_python
import polars as pl

from tests.benchmarks.models.timing import REFITS, arguments, measure

path, work, mode, budget = arguments()
table = pl.read_parquet(path).with_columns(pl.col(work.factors).cast(pl.String))
saturated = 0.0
if work.trials:
    from scipy.stats import binom

    correct, trials = table["correct"].to_numpy(), table[work.trials].to_numpy()
    saturated = -2 * float(binom.logpmf(correct, trials, correct / trials).sum())
if mode == "bootstrap":
    whole = lme_python.lmer(work.long, table, reml=True)


def refits() -> dict[str, Any]:
    lme_python.boot_lmer(work.long, table, whole, nsim=REFITS, reml=True, seed=1)
    return {"criterion": whole.reml_criterion}


def fit() -> dict[str, Any]:
    if work.family == "gaussian":
        result = lme_python.lmer(work.long, table, reml=mode != "ml")
        said = {"criterion": result.deviance if mode == "ml" else result.reml_criterion}
    else:
        weights = table[work.trials].cast(pl.Float64).to_list() if work.trials else None
        result = lme_python.glmer_weighted(work.long, table, "binomial", weights=weights)
        # its log-likelihood leaves out that of the saturated model
        said = {"criterion": saturated - 2 * result.log_likelihood}
    if mode == "df":
        result.with_satterthwaite(table)
        said["df"] = result.satterthwaite_dfs
    return said | {"converged": result.converged}


measure(refits if mode == "bootstrap" else fit, version("lme-python"), budget)
