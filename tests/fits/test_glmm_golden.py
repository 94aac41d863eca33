"""`fit_glmm` against glmer and glmmTMB."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.glmm import fit_glmm
from distortion.fits.results.result import Fit
from tests.golden.models import RTOL, formula, golden

SETS = ("cbpp", "verbagg", "grouseticks", "growth_counts", "pruning_counts")
CASES = [
    (name, case)
    for name in SETS
    for case, stored in golden(name).cases.items()
    if "minus2loglik" in stored
]
GLMER = [(name, case) for name, case in CASES if "program" not in golden(name).cases[case]]
# numDeriv differentiates a criterion whose inner iterations stop at 1e-7: two optima of the same
# function then differ by this, and Hessians by more.
FIXEF = 1e-5
STD_ERROR = 1e-4


@cache
def fitted(name: str, case: str) -> Fit:
    data = golden(name)
    stored = data.cases[case]
    nodes = stored.get("nAGQ", 1)
    return fit_glmm(
        formula(stored),
        data.table,
        family="beta-binomial" if "program" in stored else stored["family"],
        link=stored.get("link"),
        method="laplace" if nodes == 1 else "quadrature",
        n_quadrature=nodes,
        levels=data.levels,
    )


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), CASES)
def test_optimum_agrees(name: str, case: str) -> None:
    stored, fit = golden(name).cases[case], fitted(name, case)
    assert fit.converged
    np.testing.assert_allclose(fit.criterion, stored["minus2loglik"], rtol=RTOL["deviance"])
    # glmmTMB has no tight fit: ours is lower by 3e-7 where they differ most
    tolerance = 1e-3 if "program" in stored else FIXEF
    fixef = stored.get("tight", stored)["fixef"]
    error = golden(name).vector(stored["fixef_se"], fit.names)
    wanted = golden(name).vector(fixef, fit.names)
    assert np.abs((fit.coefficients - wanted) / error).max() < tolerance
    found = fit.estimates["std_error"].to_numpy()
    np.testing.assert_allclose(found, error, rtol=STD_ERROR)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), GLMER)
def test_variances_agree(name: str, case: str) -> None:
    fit = fitted(name, case)
    assert fit.variances is not None
    for row in golden(name).cases[case]["tight"]["varcor"]:
        group = ":".join(reversed(row["grp"].split(":")))
        of_group = fit.variances.filter(pl.col("group") == group)
        term = golden(name).term(row["var1"] if row["var2"] is None else row["var2"])
        found = of_group.filter(pl.col("term") == term)
        value = found["sd" if row["var2"] is None else "correlation"].item()
        # correlations and small SDs are flat directions of the criterion
        np.testing.assert_allclose(value, row["sdcor"], rtol=1e-4, atol=1e-6)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), GLMER)
def test_conditional_modes_agree(name: str, case: str) -> None:
    data, fit = golden(name), fitted(name, case)
    # lme4 names the levels of nested factors from the inside out
    flipped = [pl.col(c).str.split(":").list.reverse().list.join(":") for c in ("group", "level")]
    stored = pl.DataFrame(data.cases[case]["ranef"]).with_columns(
        pl.col("term").map_elements(data.term, return_dtype=pl.String), *flipped
    )
    found = fit.random_effects()
    both = stored.join(found, on=["group", "level", "term"], suffix="_found")
    assert both.height == stored.height == found.height
    largest = both["mode"].abs().max()
    np.testing.assert_allclose(both["mode_found"], both["mode"], rtol=1e-4, atol=1e-5 * largest)
    np.testing.assert_allclose(both["sd_found"], both["sd"], rtol=1e-4)


@pytest.mark.golden
def test_predictions_and_residuals_agree() -> None:
    case, fit = golden("cbpp").cases["laplace"], fitted("cbpp", "laplace")
    wanted = case["predict"]
    new = pl.DataFrame(wanted["newdata"])
    predict = fit.model.predict
    rtol = 1e-6
    fixed = predict(new, random=False, scale="link")  # type: ignore[call-arg]
    np.testing.assert_allclose(fixed, wanted["fixed"], rtol=rtol)
    both = predict(new, new_levels="zero", scale="link")  # type: ignore[call-arg]
    np.testing.assert_allclose(both, wanted["conditional_zero"], rtol=rtol)
    np.testing.assert_allclose(fit.predict()[:10], wanted["fitted_first"], rtol=rtol)
    np.testing.assert_allclose(fit.predict(golden("cbpp").table), fit.predict(), rtol=1e-12)
    squares = (fit.residuals("pearson") ** 2).sum()
    np.testing.assert_allclose(squares, case["pearson_chisq"], rtol=1e-6)
    deviance = (fit.residuals("deviance") ** 2).sum()
    np.testing.assert_allclose(deviance, case["residual_deviance"], rtol=1e-6)
    slope = fit.predict() * (1 - fit.predict())
    np.testing.assert_allclose(fit.residuals("working") * slope, fit.residuals(), rtol=1e-12)
    with pytest.raises(FitError, match="level of herd that was not fitted"):
        fit.predict(new)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), [c for c in GLMER if "agq" not in c[1]])
def test_shares_of_variance_agree(name: str, case: str) -> None:
    stored, fit = golden(name).cases[case]["measures"], fitted(name, case)
    found = fit.model.explained()
    shares = found.icc.filter(pl.col("group") == "All").row(0, named=True)
    r_squared = found.r_squared
    for value, key in [
        (shares["icc"], "icc_adjusted"),
        (shares["icc_unadjusted"], "icc_unadjusted"),
        (r_squared["marginal"], "r2_marginal"),
        (r_squared["conditional"], "r2_conditional"),
    ]:
        # performance takes a null model from the default optimizer
        np.testing.assert_allclose(value, stored[key], rtol=1e-4, atol=1e-8)
    assert fit.r_squared in ({}, r_squared)


def test_a_beta_binomial_has_no_residual_variance() -> None:
    with pytest.raises(FitError, match="random effect of every row"):
        fitted("cbpp", "betabinomial").model.explained()


@pytest.mark.golden
def test_profile_intervals_agree() -> None:
    # confint(glmer(...), method = "profile") of lme4 1.1-31, whose splines are good to 1e-4
    wanted = {
        "Intercept": (-1.9012120, -0.94775401),
        "period[T.2]": (-1.6167833, -0.40776307),
        "period[T.3]": (-1.8010244, -0.51153607),
        "period[T.4]": (-2.5007506, -0.80075532),
        "sd Intercept | herd": (0.3460732, 1.09997465),
    }
    table = fitted("cbpp", "laplace").confint("profile")
    assert table["term"].to_list() == list(wanted)
    found = table.select("conf_low", "conf_high").to_numpy()
    np.testing.assert_allclose(found, np.array(list(wanted.values())), atol=1e-4)


@pytest.mark.golden
def test_profile_intervals_of_correlated_effects_agree() -> None:
    # as above; lme4 warns of a bad spline for the correlation, whose ends are the edges
    table = fitted("growth_counts", "slope").confint("profile")
    ends = {row[0]: row[2:] for row in table.iter_rows()}
    for term, wanted in {
        "x": (0.13046413, 0.3524543),
        "sd Intercept | subject": (0.20016491, 0.4970544),
        "sd x | subject": (0.0, 0.2912889),
        "correlation Intercept, x | subject": (-1.0, 1.0),
        "sd Intercept | site": (0.09178019, 0.3552674),
    }.items():
        np.testing.assert_allclose(ends[term], wanted, atol=1e-4)
