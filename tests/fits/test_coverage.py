"""Planted truths: intervals cover them, and tests of true hypotheses reject, as often as they say.

A share of m simulated data sets has standard error √(0.95 · 0.05 / m), 0.7 points at 1,000.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from distortion.fits.lmm import fit_lmm

pytestmark = pytest.mark.slow
SLOPE, SD_GROUP, SD_SLOPE, SD_NOISE = 0.5, 0.8, 0.5, 1.0


def few_groups(rng: np.random.Generator, groups: int = 5, each: int = 12) -> pl.DataFrame:
    """Random intercepts and slopes of few groups; `between` is constant within a group."""
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    y = SLOPE * x + SD_NOISE * rng.normal(size=len(g))
    y += (SD_GROUP * rng.normal(size=groups))[g] + (SD_SLOPE * rng.normal(size=groups))[g] * x
    return pl.DataFrame({"y": y, "x": x, "g": g, "between": np.resize([0.0, 1.0], groups)[g]})


def share(m: int, outcome: Callable[[pl.DataFrame], bool], seed: int, **options: int) -> float:
    rng = np.random.default_rng(seed)
    return float(np.mean([outcome(few_groups(rng, **options)) for _ in range(m)]))


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_false_positives_at_five_groups(df):
    def rejects(table):
        fit = fit_lmm("y ~ x + between + (x || g)", table, df=df)
        return fit.estimates.filter(pl.col("term") == "between")["p_value"][0] < 0.05

    # Five groups, of which the variance is often estimated as zero: conservative or liberal by
    # some points; asymptotic tests reject 14 %.
    assert 0.01 < share(1000, rejects, 1) < 0.08


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_coverage_of_the_slope_at_five_groups(df):
    def covers(table):
        row = fit_lmm("y ~ x + (x || g)", table, df=df).estimates.row(1, named=True)
        return row["conf_low"] < SLOPE < row["conf_high"]

    # Kenward and Roger's method is conservative where the variance is estimated as zero.
    assert 0.92 < share(1000, covers, 2) < 0.995


def test_joint_tests_at_six_groups():
    def rejects(table):
        fit = fit_lmm("y ~ x + between + (1 | g)", table, df="kenward-roger")
        return fit.joint_test("x = 0.5, between")["p_value"][0] < 0.05

    def without_slopes(rng, groups=6, each=10):
        g = np.repeat(np.arange(groups), each)
        x = rng.normal(size=len(g))
        y = SLOPE * x + (SD_GROUP * rng.normal(size=groups))[g] + rng.normal(size=len(g))
        return pl.DataFrame({"y": y, "x": x, "g": g, "between": np.resize([0.0, 1.0], groups)[g]})

    rng = np.random.default_rng(3)
    found = np.mean([rejects(without_slopes(rng)) for _ in range(1000)])
    assert 0.03 < found < 0.075


@pytest.mark.parametrize("method", ["profile", "bootstrap"])
def test_coverage_of_profile_and_bootstrap_intervals(method):
    """Twenty groups, where a likelihood is nearly as its theory says."""
    options = {"n": 400, "rng": 1} if method == "bootstrap" else {}
    truths = {
        "x": SLOPE,
        "sd Intercept | g": SD_GROUP,
        "sd x | g": SD_SLOPE,
        "sd Residual": SD_NOISE,
    }
    rng, m = np.random.default_rng(4), 400
    hits = dict.fromkeys(truths, 0)
    for _ in range(m):
        fit = fit_lmm("y ~ x + (x || g)", few_groups(rng, groups=20))
        for row in fit.confint(method, **options).iter_rows(named=True):
            if row["term"] in truths:
                hits[row["term"]] += row["conf_low"] < truths[row["term"]] < row["conf_high"]
    # 3 standard errors of 400 are 3.3 points; percentile and ML intervals are a little short
    for term, count in hits.items():
        assert 0.90 < count / m < 0.985, term


def test_simultaneous_intervals_hold_together():
    """Tukey's intervals of all pairs of four equal means cover zero at once in 95 of 100."""
    rng, m, hits = np.random.default_rng(5), 600, 0
    for _ in range(m):
        g = np.repeat(np.arange(12), 8)
        arm = np.resize(np.array(["a", "b", "c", "d"]), len(g))
        y = rng.normal(size=12)[g] + rng.normal(size=len(g))
        fit = fit_lmm("y ~ arm + (1 | g)", pl.DataFrame({"y": y, "g": g, "arm": arm}))
        pairs = fit.means("arm", contrasts="pairwise")
        hits += bool(((pairs["conf_low"] < 0) & (pairs["conf_high"] > 0)).all())
    assert 0.92 < hits / m < 0.98
