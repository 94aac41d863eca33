"""Hessians: one that is quick and rough, to begin with, and the exact one at the optimum.

The rough one takes W as fixed, as if the working response were a linear mixed model:

    θθ   average information h_i'V⁻¹h_j, h_i = Z dΣ_i Z's, and the curvature of Σ in θ
    ββ   2 X'V⁻¹X

The exact one consists of central differences of the exact gradient. Along ψ + t d the conditional
modes are û + t û' + O(t²), and what the last term does to the gradient is the same on both sides:
their difference does not see it, so that no iterations are needed.

With c = Z's and A = Z'H Z, from b̂ = Σ c and c' = −Z'H (X β' + Z b'):

    û' = Λ''c − Λ'(zy − A T zy),    zy = Z'H X β' + A Σ'c − Z'(∂s/∂ν) ν'
"""

import numpy as np

from distortion.fits.laplace.descent import positive
from distortion.fits.laplace.deviance import Criterion, Evaluation, LaplaceEvaluation, split
from distortion.fits.laplace.modes import Search
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.types import Array

# Steps of central differences in standard errors: their error is of the order of its square.
STEP = 1e-4
# The rough curvature in ν vanishes with ν; that of the criterion does not.
LEAST_SHAPE = 0.1


def directions(template: Template, factors: list[Array], collected: list[Array]) -> list[Array]:
    """Return dΣ_i c for every entry of θ, per grouping (L r, m)."""
    found = [np.zeros((len(c), template.n_parameters)) for c in collected]
    for i, (k, row, column) in enumerate(template.positions):
        factor = factors[k]
        change = np.zeros_like(factor)
        change[row] = factor[:, column]
        change += change.T
        found[k][:, i] = (collected[k].reshape(-1, len(factor)) @ change).ravel()
    return found


def information(evaluation: LaplaceEvaluation) -> Array:
    """Return the approximate Hessian at a point, in the order of the point."""
    problem, modes = evaluation.problem, evaluation.modes
    template, m = problem.template, problem.m
    weight = evaluation.weighing.weight
    factor = problem.weighting.factorise(weight, modes.factor.factors, fixed=True)
    columns = directions(template, modes.factor.factors, modes.collected)
    responses = factor.products.responses_of(columns)
    solved = factor.solve(responses, fixed=evaluation.profiled)
    crossed = responses.yy - responses.xy.T @ solved.beta
    for zy, block in zip(responses.zy, solved.b, strict=True):
        crossed = crossed - zy.T @ block
    scores = []
    for score, c in zip(factor.scores(reml=False), modes.collected, strict=True):
        split = c.reshape(-1, len(score))
        scores.append(score - split.T @ split)
    for i, (k, row, column) in enumerate(template.positions):
        for j, (other, row_j, column_j) in enumerate(template.positions):
            if k == other and column == column_j:
                crossed[i, j] += 2.0 * scores[k][row, row_j]
    size = len(evaluation.point)
    matrix = np.zeros((size, size))
    matrix[:m, :m] = (crossed + crossed.T) / 2.0
    if not evaluation.profiled:
        q = factor.plan.q
        root = np.tril(factor.lower[q:, q:])
        matrix[m : m + problem.p, m : m + problem.p] = 2.0 * root @ root.T
    if problem.family.shaped:
        counts = problem.weighting.design.counts
        shape = max(abs(evaluation.shape), LEAST_SHAPE)
        matrix[-1, -1] = problem.family.shape_curvature(counts, modes.eta, shape)
    return positive(matrix)


def hessian(criterion: Criterion, optimum: Evaluation, matrix: Array) -> Array:
    """Return the Hessian at an optimum; `matrix` is a rough one, which gives the steps."""
    slopes = _tangents(optimum)
    rows = []
    for i, size in enumerate(STEP * _scales(optimum, matrix)):
        ahead, behind = (
            _moved(criterion, optimum, slopes, i, change).gradient for change in (size, -size)
        )
        rows.append((ahead - behind) / (2.0 * size))
    found = np.array(rows)
    return np.asarray((found + found.T) / 2.0)


def _scales(optimum: Evaluation, matrix: Array) -> Array:
    """Return standard errors, those of SDs no larger than what moves the linear predictor by 1."""
    problem = optimum.problem
    scales = np.asarray(np.sqrt(2.0 / np.diagonal(matrix)))
    lengths = problem.weighting.design.lengths
    for i, (k, row, _) in enumerate(problem.template.positions):
        scales[i] = min(scales[i], 1.0 / lengths[k][row])
    if problem.family.shaped:
        scales[-1] = min(scales[-1], 1.0)
    return scales


def _tangents(evaluation: Evaluation) -> list[Array]:
    """Return û' of every parameter, per grouping (L r, size)."""
    problem, modes = evaluation.problem, evaluation.modes
    template, factors = problem.template, modes.factor.factors
    factor = problem.weighting.factorise(modes.step.curvature, factors, fixed=True)
    zy = [
        np.hstack([of_theta, of_beta])
        for of_theta, of_beta in zip(
            factor.products.times(directions(template, factors, modes.collected)),
            factor.products.zx,
            strict=True,
        )
    ]
    if problem.family.shaped:
        slopes = evaluation.weighing.shape
        assert slopes is not None
        of_shape = problem.weighting.design.collect(slopes.score)
        zy = [np.column_stack([z, -part]) for z, part in zip(zy, of_shape, strict=True)]
    size = zy[0].shape[1]
    empty = np.zeros((problem.p, size)), np.zeros((size, size))
    solved = factor.solve(Responses(tuple(zy), *empty), fixed=False)
    found = [-_per_column(lam.T, c) for lam, c in zip(factors, solved.c, strict=True)]
    for i, (k, row, column) in enumerate(template.positions):
        r = len(factors[k])
        found[k][column::r, i] += modes.collected[k][row::r]
    return found


def _per_column(factor: Array, columns: Array) -> Array:
    """Return factor times every level's part of (L r, size)."""
    split_up = columns.reshape(-1, len(factor), columns.shape[1])
    return np.asarray((factor @ split_up).reshape(columns.shape))


def _moved(
    criterion: Criterion, optimum: Evaluation, slopes: list[Array], i: int, change: float
) -> Evaluation:
    """Return the criterion with one parameter changed and û moved along its tangent."""
    problem = optimum.problem
    point = optimum.point.copy()
    point[i] += change
    theta, beta, shape = split(problem, point, profiled=False)
    assert beta is not None
    factors = problem.template.factors(theta)
    search = Search(problem.weighting, problem.family, factors, shape, free=False)
    u = [old + change * slope[:, i] for old, slope in zip(optimum.modes.u, slopes, strict=True)]
    modes = search.stay(search.start(u, beta, optimum.modes.step))
    return criterion.at(point, modes)
