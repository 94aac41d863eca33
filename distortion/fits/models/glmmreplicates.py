"""Refits of a generalised linear mixed model to simulated counts, as one table."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from distortion.errors import FitError
from distortion.fits.laplace.deviance import Evaluation
from distortion.fits.laplace.estimation import optimum
from distortion.fits.laplace.family import Array
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.components import ZERO
from distortion.fits.models.parameters import Parameter, variance_parameters

if TYPE_CHECKING:
    from distortion.fits.models.generalized import GeneralizedLinearMixedModel


def parameters(model: "GeneralizedLinearMixedModel") -> list[Parameter]:
    """Return the SDs and correlations of a model; it has no residual SD."""
    found = variance_parameters(model.frame.groupings)
    return [parameter for parameter in found if parameter.kind != "residual"]


def values(model: "GeneralizedLinearMixedModel", evaluation: Evaluation) -> dict[str, float]:
    """Return fixed effects and variance parameters by name."""
    named = zip(model.names, model.beta_of(evaluation), strict=True)
    found = {name: float(value) for name, value in named}
    covariances = [factor @ factor.T for factor in model.factors_of(evaluation)]
    for parameter in parameters(model):
        found[parameter.name] = float(parameter.value(covariances, np.ones(())))
    return found


def simulated(
    model: "GeneralizedLinearMixedModel", n: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Refit to `n` responses drawn from the model: a parametric bootstrap.

    Returns
    -------
    replicate; a column per fixed effect; one per variance parameter, as `parameters` names them;
    criterion, converged, singular. Replicates without an optimum stay, with `converged` false.
    """
    if n < 1:
        raise FitError(f"A bootstrap needs at least one replicate, not {n}.")
    names = [*model.names, *(parameter.name for parameter in parameters(model))]
    lengths = model.lengths
    rows = []
    with single_thread():
        for replicate in range(1, n + 1):
            y = model.simulate(rng, 1)[:, 0]
            evaluation = _refitted(model, y)
            if evaluation is None:
                failed = dict.fromkeys([*names, "criterion"], float("nan"))
                rows.append(
                    {"replicate": replicate, **failed, "converged": False, "singular": None}
                )
                continue
            smallest = min(
                float(np.linalg.svd(length[:, None] * factor, compute_uv=False)[-1])
                for factor, length in zip(model.factors_of(evaluation), lengths, strict=True)
            )
            rows.append(
                {
                    "replicate": replicate,
                    **values(model, evaluation),
                    "criterion": evaluation.value,
                    "converged": True,
                    "singular": smallest < ZERO,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _refitted(model: "GeneralizedLinearMixedModel", y: Array) -> Evaluation | None:
    """Return the optimum for other counts; None where there is none, such as separated counts."""
    try:
        found = optimum(model.with_counts(y), model.n_quadrature, model.estimate.evaluation)
    except FitError:
        return None
    return found.evaluation if found.converged else None
