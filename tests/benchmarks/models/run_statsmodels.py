"""Times statsmodels' MixedLM: crossed terms as variance components of one group."""

import warnings
from typing import Any

import numpy as np
import polars as pl
import statsmodels
import statsmodels.formula.api as smf

from tests.benchmarks.models.timing import arguments, measure, refuse

warnings.simplefilter("ignore")
path, work, mode, budget = arguments()
if mode == "df":
    refuse("no degrees of freedom")
if work.family != "gaussian":
    refuse("no maximum-likelihood GLMM")
if work.name == "insteval" or work.name == "crossed":
    refuse("crossed terms of thousands of levels run out of memory")
table = pl.read_parquet(path).to_pandas()
components = {"network": "0 + C(network):balance_dense", "class_id": "0 + C(class_id)"}
fixed = work.long[: work.long.index(" + (")]


def fit() -> dict[str, Any]:
    model = smf.mixedlm(
        fixed,
        table,
        groups=np.ones(len(table)),
        re_formula="0",
        vc_formula=components,
        use_sparse=True,
    )
    result = model.fit(reml=mode != "ml")
    return {"criterion": -2 * float(result.llf), "converged": bool(result.converged)}


measure(fit, statsmodels.__version__, budget)
