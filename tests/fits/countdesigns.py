"""Random generalised linear mixed models as arrays, and their likelihood by dense matrices."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from distortion.fits.laplace.design import make_design
from distortion.fits.laplace.deviance import Criterion, Evaluation, Problem, split
from distortion.fits.laplace.families import find_family
from distortion.fits.laplace.family import Family
from distortion.fits.laplace.rowwise import RowEffect
from distortion.fits.laplace.weighting import Weighting
from distortion.fits.mixed.template import Template

Shapes = Sequence[tuple[int, int]]


def problem(
    rng: np.random.Generator,
    n: int,
    shapes: Shapes,
    family: str = "binomial",
    link: str | None = None,
    *,
    nested: bool = False,
    weights: bool = False,
    rows: bool = False,
) -> Problem:
    """A problem with three fixed effects, an offset, and (levels, coefficients) per grouping."""
    codes = [
        np.concatenate([np.arange(levels), rng.integers(0, levels, n - levels)])
        for levels, _ in shapes
    ]
    if nested:
        codes[1] = codes[0] % shapes[1][0]
    covariates = [
        None if r == 1 else np.column_stack([np.ones(n), rng.normal(size=(n, r - 1))])
        for _, r in shapes
    ]
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    eta = x @ np.array([-0.3, 0.4, -0.2])
    for of_rows, values, (levels, r) in zip(codes, covariates, shapes, strict=True):
        b = 0.6 * rng.normal(size=(levels, r))[of_rows]
        eta += (b if values is None else b * values).sum(axis=1)
    chosen = find_family(family, link)
    trials = None
    if family == "poisson":
        y = rng.poisson(np.exp(eta)).astype(float)
    else:
        trials = rng.integers(1, 9, n).astype(float)
        y = rng.binomial(trials.astype(int), chosen.link.mean(eta)).astype(float)
    chunk = SimpleNamespace(
        y=y,
        X=x,
        codes=tuple(codes),
        covariates=tuple(covariates),
        weights=rng.uniform(0.5, 2.0, n) if weights else None,
        offset=0.1 * rng.normal(size=n),
        trials=trials,
    )
    design = make_design([chunk], shapes)
    template = Template(tuple(np.tri(r, dtype=bool) for _, r in shapes))
    made: Family = RowEffect(chosen) if rows else chosen
    return Problem(Weighting.of(design, list("abc"[: len(shapes)])), made, template)


def a_point(rng: np.random.Generator, made: Problem, shape: float = 0.0) -> np.ndarray:
    """Parameters of ordinary size."""
    theta = np.where(made.template.diagonal(), rng.uniform(0.3, 1.0, made.m), 0.2)
    beta = 3.0 * rng.normal(size=made.p)
    return np.concatenate([theta, beta, [shape] if made.family.shaped else []])


def indicators(made: Problem) -> list[np.ndarray]:
    """Z per grouping, (n, L r)."""
    design = made.weighting.design
    found = []
    for (levels, r), codes, columns in zip(
        design.shapes, design.codes, design.covariates, strict=True
    ):
        z = np.zeros((design.n, levels * r))
        for u, column in enumerate(columns):
            z[np.arange(design.n), codes * r + u] = 1.0 if column is None else column
        found.append(z)
    return found


def dense_laplace(
    made: Problem, point: np.ndarray, start: Sequence[np.ndarray] | None = None
) -> tuple[float, np.ndarray]:
    """−2 log-likelihood by Laplace's approximation, and leverages, by inverting M.

    `start` of the search for modes: a log-likelihood that is not concave can have several.
    """
    design, family = made.weighting.design, made.family
    theta, beta, shape = split(made, point, profiled=False)
    z = np.hstack([
        block @ np.kron(np.eye(block.shape[1] // len(factor)), factor)
        for block, factor in zip(indicators(made), made.template.factors(theta), strict=True)
    ])  # fmt: skip
    u = np.zeros(z.shape[1]) if start is None else np.concatenate(start)
    fixed = design.fixed(beta)
    for _ in range(200):
        step = family.step(fixed + z @ u, design.counts, shape)
        matrix = z.T @ (step.positive[:, None] * z) + np.eye(len(u))
        change = np.linalg.solve(matrix, z.T @ step.score - u)
        u = u + change
        if np.abs(change).max() < 1e-13:
            break
    eta = fixed + z @ u
    step = family.step(eta, design.counts, shape)
    weighing = family.weigh(eta, design.counts, shape, step)
    m = z.T @ (weighing.weight[:, None] * z) + np.eye(len(u))
    loglik = float((step.loglik + family.normaliser(design.counts)).sum())
    value = u @ u - 2.0 * loglik + np.linalg.slogdet(m)[1] + np.sum(weighing.extra)
    return float(value), ((z @ np.linalg.inv(m)) * z).sum(axis=1)


def differences(criterion: Criterion, point: np.ndarray, near: Evaluation) -> np.ndarray:
    """Gradient by differences of fourth order: good to about 1e-9."""
    found = []
    for i in range(len(point)):
        step = np.zeros(len(point))
        step[i] = 2e-4 * max(1.0, abs(point[i]))
        one, two = (
            criterion(point + k * step, near).value - criterion(point - k * step, near).value
            for k in (1, 2)
        )
        found.append((8.0 * one - two) / (12.0 * step[i]))
    return np.array(found)
