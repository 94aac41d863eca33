"""Kenward and Roger's method against pbkrtest, dense matrices and designs with exact answers."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.fits.mixed import pair_traces
from distortion.fits.mixed import plan as planning
from distortion.fits.mixed.kenward_roger import kenward_roger
from tests.fits.dense import random_columns
from tests.fits.test_mixed import CASES, criterion_of, design
from tests.golden.models import RTOL, formula, golden, names

STORED = [
    (name, case)
    for name in names()
    for case, stored in golden(name).cases.items()
    if "kenward_roger" in stored
]


@pytest.mark.golden
@pytest.mark.parametrize(("name", "case"), STORED)
def test_agreement_with_pbkrtest(name, case):
    stored = golden(name)
    expected = stored.cases[case]
    fit = fit_lmm(formula(expected), stored.table, levels=stored.levels, df="kenward-roger")
    kr, fixef = expected["kenward_roger"], expected["tight"]["fixef"]
    size = stored.vector(kr["se"], fit.names)
    # as the variances at both optima, which agree to 1e-6
    difference = fit.covariance - stored.matrix(kr["vcov_adj"], fixef, fit.names)
    np.testing.assert_allclose(difference / np.outer(size, size), 0.0, atol=1e-5)
    np.testing.assert_allclose(fit.df, stored.vector(kr["df"], fit.names), rtol=1e-5)
    p = stored.vector(kr["p"], fit.names)
    np.testing.assert_allclose(fit.estimates["p_value"], p, rtol=RTOL["p_value"], atol=1e-12)
    for test in expected.get("contests", {}).values():
        L = np.zeros((len(test["L"]), len(fit.names)))
        L[:, [fit.names.index(stored.term(term)) for term in fixef]] = test["L"]
        found, wanted = fit.joint_test(L), test["krmodcomp"]
        assert found["df_den"][0] == pytest.approx(wanted["ddf"], rel=1e-5)
        assert fit.model.f_scale(L) == pytest.approx(wanted["F.scaling"], rel=1e-5)
        assert found["statistic"][0] == pytest.approx(wanted["Fstat"], rel=1e-5)
        assert found["p_value"][0] == pytest.approx(wanted["p.value"], rel=RTOL["p_value"])


def dense(rows, shapes, template, theta):
    """Kenward and Roger's formulas with V as a matrix: Φ_A, P and W, relative to σ²."""
    weights = np.ones(len(rows.y)) if rows.weights is None else rows.weights
    zs = [
        random_columns(codes, covariates, n_levels)
        for codes, covariates, (n_levels, _) in zip(
            rows.codes, rows.covariates, shapes, strict=True
        )
    ]
    directions, v = [], np.diag(1.0 / weights)
    for z, (n_levels, _), factor in zip(zs, shapes, template.factors(theta), strict=True):
        v = v + z @ np.kron(np.eye(n_levels), factor @ factor.T) @ z.T
    for k, row, column in template.positions:
        unit = pair_traces.symmetric_unit(shapes[k][1], row, column)
        directions.append(zs[k] @ np.kron(np.eye(shapes[k][0]), unit) @ zs[k].T)
    directions.append(np.diag(1.0 / weights))
    inverse, x = np.linalg.inv(v), rows.X
    phi = np.linalg.inv(x.T @ inverse @ x)
    h = [inverse @ g for g in directions]
    p = [-x.T @ a @ inverse @ x for a in h]
    q = [[x.T @ a @ b @ inverse @ x for b in h] for a in h]
    m = len(directions)
    information = np.array([
        [
            np.trace(h[i] @ h[j])
            - 2 * np.trace(phi @ q[i][j])
            + np.trace(phi @ p[i] @ phi @ p[j])
            for j in range(m)
        ]
        for i in range(m)
    ])  # fmt: skip
    w = 2 * np.linalg.inv(information)
    middle = sum(w[i, j] * (q[i][j] - p[i] @ phi @ p[j]) for i in range(m) for j in range(m))
    return phi + 2 * phi @ (middle + middle.T) / 2 @ phi, phi, np.array(p), w


def dense_df(L, phi, p, w):
    """Degrees of freedom and scale as pbkrtest's Lb_ddf computes them."""
    k = len(L)
    theta = L.T @ np.linalg.inv(L @ phi @ L.T) @ L
    u = [theta @ phi @ one @ phi for one in p]
    m = range(len(p))
    a1 = sum(w[i, j] * np.trace(u[i]) * np.trace(u[j]) for i in m for j in m)
    a2 = sum(w[i, j] * np.trace(u[i] @ u[j]) for i in m for j in m)
    b = (a1 + 6 * a2) / (2 * k)
    g = ((k + 1) * a1 - (k + 4) * a2) / ((k + 2) * a2)
    c = np.array([g, k - g, k + 2 - g]) / (3 * k + 2 * (1 - g))
    ratio = (1 - a2 / k) / (1 - c[1] * b)
    rho = ratio**2 * (1 + c[0] * b) / (1 - c[2] * b) / k
    df = 4 + (k + 2) / (k * rho - 1)
    return df, df * (1 - a2 / k) / (df - 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), case=st.sampled_from(sorted(CASES)), zero=st.booleans())
def test_agreement_with_dense_matrices(seed, case, zero):
    shapes, options = CASES[case]
    rows = design(seed, shapes, **options)
    criterion = criterion_of(rows, shapes)
    theta = np.random.default_rng(seed).normal(size=criterion.template.n_parameters)
    if zero:  # a variance at its boundary
        theta[0] = 0.0
    found = kenward_roger(criterion(theta))
    adjusted, phi, p, w = dense(rows, shapes, criterion.template, theta)
    scale = np.sqrt(np.outer(np.diagonal(phi), np.diagonal(phi)))
    np.testing.assert_allclose(found.covariance / scale, adjusted / scale, rtol=0, atol=1e-8)
    for L in (np.eye(3)[:1], np.eye(3)[1:], np.array([[1.0, 0.5, -2.0], [0.0, 1.0, 1.0]])):
        df, factor = dense_df(L, phi, p, w)
        # differences of traces of size n: 1e-12 relative, and df may divide by nearly nothing
        assert found.df(L) == pytest.approx(df, rel=1e-6)
        assert found.scale(L) == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 2.0], ids=["dense", "sparse"])
@pytest.mark.parametrize("case", CASES)
def test_every_road_gives_the_same_traces(case, share, monkeypatch):
    from distortion.fits.mixed import largest

    shapes, options = CASES[case]
    rows = design(4, shapes, **options)
    criterion = criterion_of(rows, shapes)
    theta = np.random.default_rng(1).normal(size=criterion.template.n_parameters)
    expected = kenward_roger(criterion(theta)).covariance
    monkeypatch.setattr(largest, "SPARSE_SHARE", share)
    monkeypatch.setattr(planning, "FEW_COLUMNS", 0)
    again = kenward_roger(criterion_of(rows, shapes)(theta)).covariance
    np.testing.assert_allclose(again, expected, rtol=1e-9)


def balanced(levels=6, each=4, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(levels), each)
    between = np.where(np.arange(levels) % 2, "b", "a")[group]
    within = np.where(np.arange(levels * each) % 2, "v", "u")
    y = rng.normal(size=levels)[group] * 2 + rng.normal(size=levels * each)
    return pl.DataFrame({"y": y, "g": group, "between": between, "within": within})


def test_balanced_designs_have_the_degrees_of_freedom_of_the_analysis_of_variance():
    table = balanced()
    text = "y ~ between + within + (1 | g)"
    kr, satterthwaite = (
        fit_lmm(text, table, df=df).estimates  # type: ignore[arg-type]
        for df in ("kenward-roger", "satterthwaite")
    )
    # 6 groups, 2 means of groups; 24 rows, 6 groups and one contrast within
    np.testing.assert_allclose(kr["df"][1:], [4.0, 17.0], rtol=1e-9)
    # Satterthwaite differentiates numerically: 1e-5 of the Hessian
    np.testing.assert_allclose(satterthwaite["df"][1:], [4.0, 17.0], rtol=1e-4)
    np.testing.assert_allclose(kr["std_error"], satterthwaite["std_error"], rtol=1e-9)


def test_one_contrast_of_two_kinds_is_tested_jointly_as_in_the_analysis_of_variance():
    table = balanced(levels=8)
    fit = fit_lmm("y ~ between + within + (1 | g)", table, df="kenward-roger")
    alone = fit.joint_test("between[T.b]")
    assert alone["df_den"][0] == pytest.approx(6.0)
    assert fit.model.f_scale(np.array([[0.0, 1.0, 0.0]])) == 1.0
    means = table.group_by("g", "between").agg(pl.col("y").mean())
    of = [means.filter(pl.col("between") == b)["y"].to_numpy() for b in "ab"]
    pooled = sum(((m - m.mean()) ** 2).sum() for m in of) / 6
    t = (of[1].mean() - of[0].mean()) / np.sqrt(pooled / 2)
    assert alone["statistic"][0] == pytest.approx(t**2)


def test_a_variance_of_zero_is_no_special_case():
    table = balanced(seed=3).with_columns(y=pl.col("y") - pl.col("y").mean().over("g"))
    fit = fit_lmm("y ~ within + (1 | g)", table, df="kenward-roger")
    assert fit.singular
    assert np.isfinite(fit.df).all()
    assert (np.diagonal(fit.covariance) > 0).all()


def test_what_cannot_be_corrected_is_refused(monkeypatch):
    table = balanced()
    with pytest.raises(FitError, match='method="reml"'):
        fit_lmm("y ~ within + (1 | g)", table, method="ml", df="kenward-roger")
    monkeypatch.setattr(pair_traces, "MOST_BESIDE", 1)
    with pytest.raises(FitError, match="2 random effects beside"):
        fit_lmm("y ~ within + (1 | g) + (1 | between)", table, df="kenward-roger")
