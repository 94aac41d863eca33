"""Variance explained, against performance (R) and against the definition."""

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.fits.regressions.regression import fit_ols
from tests.golden.models import RTOL, formula, golden, names

# insight, which performance rests on, takes only the first of the terms that || makes of one
# group, and leaves singular fits unanswered.
STORED = [
    (name, case)
    for name in names()
    for case, stored in golden(name).cases.items()
    if "measures" in stored
    and "family" not in stored
    and stored["measures"]["r2_conditional"] is not None
    and "singular" not in case
    and "||" not in stored["formula"]
    and case != "blocks_reml"
]


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), STORED)
def test_agreement_with_performance(name, case):
    stored = golden(name)
    expected = stored.cases[case]
    fit = fit_lmm(
        formula(expected),
        stored.table,
        levels=stored.levels,
        method=expected["method"],
        weights=expected.get("weights"),
    )
    wanted = expected["measures"]
    total = fit.icc().row(-1, named=True)
    assert total["group"] == "All"
    for found, key in (
        (fit.r_squared["marginal"], "r2_marginal"),
        (fit.r_squared["conditional"], "r2_conditional"),
        (total["icc"], "icc_adjusted"),
        (total["icc_unadjusted"], "icc_unadjusted"),
    ):
        assert found == pytest.approx(wanted[key], rel=10 * RTOL["r2"], abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + z + (x | subject) + (1 | site)",
        "y ~ 0 + x + (1 | subject)",
        "y ~ 0 + x + (0 + x | subject)",
        "y ~ 0 + arm + x + (0 + z | subject)",
        "y ~ x + (x + z || subject)",
    ],
)
def test_agreement_with_the_definition(text):
    table = golden("growth").table
    fit = fit_lmm(text, table)
    frame, model = fit.model.frame, fit.model
    x = np.vstack([rows.X for rows in frame.chunks()])
    fixed = np.var(x @ fit.coefficients, ddof=1)
    random = {}
    for k, (grouping, factor) in enumerate(
        zip(frame.groupings, model.evaluation.factor.factors, strict=True)
    ):
        z = frame.group_covariates(k, table)
        covariance = fit.sigma**2 * factor @ factor.T
        random[grouping.name] = np.einsum("nu,uv,nv->n", z, covariance, z).mean()
    total = fixed + sum(random.values()) + fit.sigma**2
    assert fit.r_squared["marginal"] == pytest.approx(fixed / total)
    assert fit.r_squared["conditional"] == pytest.approx(1 - fit.sigma**2 / total)
    found = dict(fit.icc().select("group", "icc_unadjusted").iter_rows())
    assert found == pytest.approx(
        {name: v / total for name, v in random.items()} | {"All": sum(random.values()) / total}
    )


def test_a_large_mean_and_a_variance_of_zero_are_no_special_cases():
    table = golden("growth").table
    one = fit_lmm("y ~ x + (1 | subject)", table).r_squared
    far = fit_lmm("y ~ x + (1 | subject)", table.with_columns(pl.col("y") + 1e6, pl.col("x") + 1e4))
    # 1e6 beside a variance of 1 leaves ten digits of y
    assert far.r_squared == pytest.approx(one, rel=1e-4)
    flat = fit_lmm("Yield ~ 1 + (1 | Batch)", golden("dyestuff2").table)
    assert flat.r_squared == pytest.approx({"marginal": 0.0, "conditional": 0.0}, abs=1e-12)


def test_fits_without_random_effects_have_no_icc():
    with pytest.raises(FitError, match="no intraclass correlations"):
        fit_ols("y ~ x", golden("growth").table).icc()
