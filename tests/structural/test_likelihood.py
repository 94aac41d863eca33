"""The Laplace objective against dense algebra and quadrature; its gradient against differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, gammaln, logsumexp
from scipy.stats import binom

from distortion.structural.latent import Loadings, Successes
from distortion.structural.likelihood import Criterion
from distortion.structural.parameters import Parameters


def problem(rng, arms, m, c, n, fixed=None, products=False):
    parameters = Parameters(arms, m, fixed, products)
    size = parameters.levels.stop
    # not near zero: third derivatives in an SD grow with the inverse of its fifth power
    point = 0.1 + np.abs(rng.normal(0.5, 0.3, size))
    n = rng.integers(max(n // 2, 1), n + 1, (arms + 1, m, c)).astype(float)
    k = rng.binomial(n.astype(int), rng.uniform(0.5, 1.0, n.shape)).astype(float)
    return Criterion(Successes(k, n), parameters), point


def dense(criterion: Criterion, loadings: Loadings) -> float:
    """Modes by a general optimizer, the determinant of a whole matrix, class by class."""
    k, n = criterion.successes.k, criterion.successes.n
    arms, m, c = k.shape
    total = 0.0
    for j in range(c):
        b = np.zeros((arms, m, 1 + m + arms * m))
        for i in range(arms):
            for net in range(m):
                b[i, net, 0] = loadings.common[i]
                b[i, net, 1 + net] = loadings.inherited[i]
                b[i, net, 1 + m + i * m + net] = loadings.fresh[i]
        rows = b.reshape(arms * m, -1)
        level, kk, nn = loadings.mu.ravel(), k[:, :, j].ravel(), n[:, :, j].ravel()

        def negative(x, rows=rows, level=level, kk=kk, nn=nn):
            eta = level + rows @ x
            value = 2 * (nn * np.logaddexp(0, eta) - kk * eta).sum() + x @ x
            return value, -2 * rows.T @ (kk - nn * expit(eta)) + 2 * x

        found = minimize(negative, np.zeros(rows.shape[1]), jac=True, tol=1e-12)
        p = expit(level + rows @ found.x)
        whole = np.eye(rows.shape[1]) + rows.T @ ((nn * p * (1 - p))[:, None] * rows)
        choose = gammaln(nn + 1) - gammaln(kk + 1) - gammaln(nn - kk + 1)
        total += found.fun - 2 * choose.sum() + np.linalg.slogdet(whole)[1]
    return total


def integrated(criterion: Criterion, loadings: Loadings, nodes: int = 40) -> float:
    """−2 log L of one arm beside the dense one, by nested Gauss–Hermite quadrature."""
    x, weights = np.polynomial.hermite_e.hermegauss(nodes)
    log_w = np.log(weights / np.sqrt(2 * np.pi))
    k, n = criterion.successes.k, criterion.successes.n
    u, v, w = x[:, None, None], x[None, :, None], x[None, None, :]
    total = 0.0
    for c in range(k.shape[2]):
        of_u = log_w.copy()
        for m in range(k.shape[1]):
            eta = loadings.mu[0, m] + loadings.common[0] * u + loadings.inherited[0] * v
            before = binom.logpmf(k[0, m, c], n[0, m, c], expit(eta))[:, :, 0]
            eta = loadings.mu[1, m] + loadings.common[1] * u
            eta = eta + loadings.inherited[1] * v + loadings.fresh[1] * w
            after = logsumexp(binom.logpmf(k[1, m, c], n[1, m, c], expit(eta)) + log_w, axis=2)
            of_u += logsumexp(before + after + log_w, axis=1)
        total -= 2 * logsumexp(of_u)
    return total


@pytest.mark.parametrize(("arms", "m", "c"), [(1, 1, 2), (1, 2, 3), (3, 2, 2)])
def test_objective_is_laplaces_with_dense_matrices(arms, m, c):
    criterion, point = problem(np.random.default_rng(arms + m), arms, m, c, 40)
    found = criterion(point, None).value
    # what the general optimizer leaves
    assert found == pytest.approx(dense(criterion, criterion.parameters.loadings(point)), abs=1e-6)


@pytest.mark.parametrize(("m", "c"), [(1, 2), (2, 2), (2, 3)])
def test_objective_is_close_to_the_integral(m, c):
    rng = np.random.default_rng(m + 10 * c)
    criterion, point = problem(rng, 1, m, c, 60)
    point[:4] = [1.2, 0.5, 0.3, 0.3]
    point[criterion.parameters.fresh] = 0.25
    found = criterion(point, None).value
    # Laplace's error is of the order of one over the counts, per latent variable
    exact = integrated(criterion, criterion.parameters.loadings(point))
    assert found == pytest.approx(exact, abs=0.02 * m * c)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    arms=st.integers(1, 3),
    m=st.integers(1, 4),
    c=st.integers(2, 5),
    n=st.sampled_from([1, 10, 1000, 10**6]),
    fixed=st.sampled_from([None, 1.0, 0.0]),
    products=st.booleans(),
    zero=st.booleans(),
)
def test_gradient(seed, arms, m, c, n, fixed, products, zero):
    criterion, point = problem(np.random.default_rng(seed), arms, m, c, n, fixed, products)
    if zero:
        point[criterion.parameters.deviations] = 0.0
    here = criterion(point, None)
    # With a million images curvature changes fast near a variance of zero.
    step = 1e-5 if n < 10**6 else 1e-6
    for i in range(len(point)):
        move = step * np.eye(len(point))[i]
        slope = (criterion(point + move, here).value - criterion(point - move, here).value) / step
        # rounding of the value over the step, and the step's square
        tolerance = 1e-6 * abs(here.gradient[i]) + 1e-10 * abs(here.value) / step + 1e-4
        assert here.gradient[i] == pytest.approx(slope / 2, abs=tolerance)


def test_curvature_of_levels_is_that_of_the_gradient_with_large_counts():
    criterion, point = problem(np.random.default_rng(3), 2, 3, 4, 10**5)
    here = criterion(point, None)
    start = criterion.parameters.levels.start
    found = [
        (criterion(point + d, here).gradient - criterion(point - d, here).gradient)[start:] / 2e-4
        for d in 1e-4 * np.eye(len(point))[start:]
    ]
    # third derivatives of log|I + B'WB| are left out: of the order of one, beside W of 1e4
    assert np.allclose(here.curvature_of_levels, found, atol=2.0)
