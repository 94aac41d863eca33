"""Where the optimizer starts: fixed effects of the model without random ones, then moments.

The fixed effects come from iteratively reweighted least squares. With c = Z's at that fit and
A = Z'W Z, the squares of c have the expectation A + A²σ² as far as one term goes, so that every
variance has a simple estimate. Crossed terms share what they explain; the optimizer tells them
apart.
"""

import numpy as np
from scipy.linalg import lapack

from distortion.fits.laplace.design import Design
from distortion.fits.laplace.family import Family
from distortion.fits.mixed.template import Template
from distortion.fits.mixed.types import Array

MOST_STEPS = 8
# Mean absolute change of the linear predictors below which the start is good enough.
ENOUGH = 0.05
# Linear predictors beyond this are of separated data: iterating on would not end.
FARTHEST = 12.0
# A start at zero is a stationary point: a random coefficient explains at least this share of the
# sampling variance of a level.
SMALLEST_SHARE = 0.05
SMALLEST_SHAPE = 0.1
# It moves the linear predictor at most by this: weights may say nothing where μ is extreme.
LARGEST = 3.0


def fixed_effects(design: Design, family: Family) -> Array:
    """Return β (p,) without random effects, roughly."""
    counts, x = design.counts, design.x
    mean = (counts.y + 0.5) / (counts.size + 1.0) if counts.trials is not None else None
    if mean is None:
        mean = counts.y + 0.1 if family.name == "poisson" else 0.25 + 0.5 * counts.y
    offset = 0.0 if design.offset is None else design.offset
    eta = family.link.predictor(np.asarray(mean))
    beta = np.zeros(design.p)
    for number in range(MOST_STEPS):
        step = family.step(eta, counts, 0.0)
        weight = family.weigh(eta, counts, 0.0, step).weight
        target = x.T @ (weight * (eta - offset) + step.score)
        matrix = (x * weight[:, None]).T @ x
        matrix[range(design.p), range(design.p)] += 1e-10 * np.trace(matrix)
        _, new, info = lapack.dposv(matrix, target)
        if info:
            break
        reached = design.fixed(new)
        moved = float(np.abs(reached - eta).mean())
        if number and (moved > 1e3 or np.abs(reached).max() > max(FARTHEST, np.abs(eta).max())):
            break
        beta, eta = new, reached
        if moved < ENOUGH:
            break
    return beta


def variances(design: Design, family: Family, beta: Array, template: Template) -> Array:
    """Return θ (m,) with diagonal factors, given fixed effects."""
    eta = design.fixed(beta)
    step = family.step(eta, design.counts, 0.0)
    weight = family.weigh(eta, design.counts, 0.0, step).weight
    collected = design.collect(step.score)
    found = {}
    for k, ((n_levels, r), codes) in enumerate(zip(design.shapes, design.codes, strict=True)):
        for u, column in enumerate(design.covariates[k]):
            squares = weight if column is None else weight * column**2
            a = np.bincount(codes, squares, minlength=n_levels)
            c = collected[k][u::r]
            variance = float(c @ c - a.sum()) / max(float(a @ a), 1e-300)
            least = SMALLEST_SHARE * n_levels / max(float(a.sum()), 1e-300)
            most = LARGEST / float(design.lengths[k][u])
            found[k, u] = min(np.sqrt(max(variance, least)), most)
    return np.array([
        found[k, row] if row == column else 0.0 for k, row, column in template.positions
    ])  # fmt: skip
