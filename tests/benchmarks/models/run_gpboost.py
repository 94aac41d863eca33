"""Times gpboost, which maximizes the likelihood only (no REML)."""

import re
from typing import Any

import gpboost
import numpy as np
import polars as pl
from formulaic import model_matrix

from tests.benchmarks.models.timing import arguments, measure, refuse

path, work, mode, budget = arguments()
if mode == "df":
    refuse("no degrees of freedom")
if mode == "reml" and work.family == "gaussian":
    refuse("ML only")
table = pl.read_parquet(path)
response, right = work.long.split(" ~ ")
fixed = right[: right.index(" + (")]
terms = re.findall(r"\((.*?) \| (.*?)\)", right)
groups = np.column_stack(
    [table.select(pl.struct(group.split(":")).rank("dense")).to_series() for _, group in terms]
)
slopes = [covariate.removeprefix("0 + ") for covariate, _ in terms if covariate != "1"]
random: dict[str, Any] = {}
if slopes:
    random = {
        "group_rand_coef_data": table.select(slopes).to_numpy(),
        "ind_effect_group_rand_coef": [1],
        "drop_intercept_group_rand_effect": [covariate != "1" for covariate, _ in terms],
    }
likelihood = {"gaussian": "gaussian", "binomial": "binomial_logit"}[work.family]
if work.family == "binomial" and work.trials is None:
    likelihood = "bernoulli_logit"
# made beforehand: gpboost knows no formulas
design = np.asarray(model_matrix(fixed, table.to_pandas()), dtype=float)
weights = table[work.trials].to_numpy().astype(float) if work.trials else None
outcome = table[response].to_numpy().astype(float)


def fit() -> dict[str, Any]:
    model = gpboost.GPModel(
        group_data=groups,
        likelihood=likelihood,
        weights=weights,
        matrix_inversion_method="cholesky",
        **random,
    )
    model.fit(y=outcome, X=design)
    return {"criterion": 2 * float(model.get_current_neg_log_likelihood())}


measure(fit, gpboost.__version__, budget)
