"""How much of the variance of a linear predictor a generalised linear mixed model explains.

The residual of `explained` is the variance that the distribution has on the scale of the link,

    logit π²/3,    probit 1,    complementary log-log π²/6,    log: log(1 + 1/λ),

λ being the rate of the model without predictors, and the variance of a random effect of every row.
Source: Nakagawa, Johnson and Schielzeth (2017), J. R. Soc. Interface 14, 20170213.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from distortion.errors import FitError
from distortion.fits.laplace.design import orthonormal
from distortion.fits.laplace.estimation import optimum, parts
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.explained import Explained

if TYPE_CHECKING:
    from distortion.fits.models.generalized import GeneralizedLinearMixedModel

LATENT: Final = {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0}


def of_generalized(model: "GeneralizedLinearMixedModel") -> Explained:
    """Return the variances of a model; Poisson counts take another fit, without predictors.

    Raises
    ------
    FitError
        The family's dispersion has no variance on the scale of the link.
    """
    if model.family.shaped:
        raise FitError(
            f"A {model.family.name} model has no residual variance on the scale of its link. Use a "
            "binomial model with a random effect of every row, (1 | row), for R² and ICC."
        )
    design = model.design
    fixed = float((design.x @ parts(model.estimate.evaluation)[1]).var(ddof=1))
    random, residual = {}, 0.0
    for k, (grouping, factor) in enumerate(zip(model.frame.groupings, model.factors, strict=True)):
        covariance = factor @ factor.T
        if k == model.structure.row:
            residual += float(covariance[0, 0])
            continue
        columns = design.covariates[model.structure.kept.index(k)]
        z = [np.ones(1) if column is None else column for column in columns]
        square = np.array([[float(np.mean(a * b)) for b in z] for a in z])
        random[grouping.name] = float((covariance * square).sum())
    link = model.family.link.name
    residual += LATENT[link] if link in LATENT else float(np.log1p(1.0 / _rate(model)))
    return Explained(fixed, random, residual)


def _rate(model: "GeneralizedLinearMixedModel") -> float:
    """Return the rate of the model with the same random effects and no predictors."""
    problem = model.problem
    ones = np.ones((model.design.n, 1))
    basis = orthonormal(ones)
    design = replace(model.design, x=ones @ basis.transform, basis=basis)
    with single_thread():
        found = optimum(replace(problem, weighting=replace(problem.weighting, design=design)))
    return float(np.exp(basis.coefficients(parts(found.evaluation)[1])[0]))
