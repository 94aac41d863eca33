"""Type III tests and likelihood ratios of mixed models against lmerTest, pbkrtest and lme4."""

import numpy as np
import polars as pl
import pytest

from distortion.fits.lmm import fit_lmm
from distortion.fits.results.comparing import compare
from distortion.fits.results.result import Fit
from tests.golden.models import RTOL, formula, golden, names

TESTED = [
    (name, case, df)
    for name in names()
    for case, found in golden(name).cases.items()
    for df, key in (("satterthwaite", "satterthwaite"), ("kenward-roger", "kenward_roger"))
    if found.get("method") in ("reml", "ml") and (found.get(key) or {}).get("anova_type3")
]
RATIOS = [(name, test) for name in names() for test in golden(name).cases.get("lrt") or {}]


def fitted(name: str, text: str, **options: object) -> Fit:
    stored = golden(name)
    levels = {k: v for k, v in stored.levels.items() if stored.table[k].dtype == pl.String}
    return fit_lmm(text, stored.table, levels=levels, **options)  # type: ignore[arg-type]


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case", "df"), TESTED)
def test_type_three_tests_agree_with_lmertest(name: str, case: str, df: str) -> None:
    found = golden(name).cases[case]
    fit = fitted(name, formula(found), method=found["method"], weights=found["weights"], df=df)
    rows = found[df.replace("-", "_")]["anova_type3"]
    tests = fit.anova()
    assert tests["term"].to_list() == [row["term"] for row in rows]
    for column, key, quantity in (
        ("df_num", "NumDF", df.replace("-", "_")),
        ("df_den", "DenDF", df.replace("-", "_")),
        # F is a square of estimates over standard errors.
        ("statistic", "F", "se_default"),
        ("p_value", "p", "p_value"),
    ):
        # A term that was left out has nothing in R.
        absent = 0.0 if key == "NumDF" else np.nan
        expected = np.array([absent if row[key] is None else row[key] for row in rows])
        np.testing.assert_allclose(tests[column], expected, rtol=RTOL[quantity], err_msg=column)


@pytest.mark.golden
@pytest.mark.parametrize(("name", "test"), RATIOS)
def test_likelihood_ratios_agree_with_lme4(name: str, test: str) -> None:
    stored = golden(name).cases["lrt"][test]
    fits = [fitted(name, stored[size], method="ml") for size in ("small", "large")]
    row = compare(*fits).row(1, named=True)
    # A difference of two criteria that agree to 1e-8 each, a hundred times larger than it.
    assert row["statistic"] == pytest.approx(stored["chisq"], rel=1e-5)
    assert row["df"] == stored["df"]
    expected = stored["p"] if stored["p_mixture"] is None else stored["p_mixture"]
    assert row["p_value"] == pytest.approx(expected, rel=1e-4)
