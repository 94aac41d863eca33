"""Refits of a linear mixed model to many responses, simulated or given, as one table."""

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.mixed.assembly import responses_of
from distortion.fits.mixed.batches import factors_of
from distortion.fits.mixed.draws import draws
from distortion.fits.mixed.refits import Refits, lifted, refit
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.components import ZERO
from distortion.fits.models.parameters import variance_parameters

if TYPE_CHECKING:
    from distortion.fits.models.linearmixed import LinearMixedModel

Values = NDArray[np.float64]
# Responses refitted side by side, fewer where there are many random effects: 32 MB of those.
BLOCK: Final = 250
MOST_EFFECTS: Final = 4_000_000
COLUMNS: Final = ("replicate", "criterion", "converged", "singular")


def simulated(model: "LinearMixedModel", n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Refit to `n` responses drawn from the model: a parametric bootstrap.

    Returns
    -------
    replicate; a column per fixed effect; one per variance parameter, as `parameters` names them;
    criterion, converged, singular. Replicates without an optimum stay, with `converged` false.
    """
    if n < 1:
        raise FitError(f"A bootstrap needs at least one replicate, not {n}.")
    evaluation = model.evaluation
    beta, factors = evaluation.solution.beta[:, 0], evaluation.factor.factors
    parts = []
    with single_thread():
        drawn = draws(evaluation.criterion.products)
        block = _block(model)
        for start in range(0, n, block):
            size = min(block, n - start)
            responses = drawn.responses(rng, beta, factors, evaluation.sigma, size)
            parts.append(refit(evaluation.criterion, _start(model), responses))
    return table(model, parts)


def of_responses(model: "LinearMixedModel", y: Values) -> pl.DataFrame:
    """Refit to given responses (n_obs, m) of the rows used; returns what `simulated` does.

    Raises
    ------
    FitError
        The responses are not finite, or not one for each row used.
    """
    if y.ndim != 2 or len(y) != model.frame.n_obs or not y.shape[1] or not np.isfinite(y).all():
        raise FitError(
            f"Refits need finite responses of shape ({model.frame.n_obs}, m), one row for each row "
            f"used; these have shape {y.shape}."
        )
    criterion = model.evaluation.criterion
    parts = []
    with single_thread():
        block = _block(model)
        for start in range(0, y.shape[1], block):
            part = np.ascontiguousarray(y[:, start : start + block])
            responses = responses_of(model.frame.chunks, criterion.products, model.basis, part)
            parts.append(refit(criterion, _start(model), responses))
    return table(model, parts)


def _block(model: "LinearMixedModel") -> int:
    shapes = model.evaluation.criterion.products.shapes
    return max(1, min(BLOCK, MOST_EFFECTS // sum(n_levels * r * r for n_levels, r in shapes)))


def _start(model: "LinearMixedModel") -> Values:
    criterion, theta = model.evaluation.criterion, model.evaluation.theta
    return lifted(theta, criterion.template.diagonal(), criterion.scale)


def table(model: "LinearMixedModel", parts: list[Refits]) -> pl.DataFrame:
    """Return refits in the columns of the formula and the units of y, one row each."""
    criterion = model.evaluation.criterion
    names, parameters = model.names, variance_parameters(model.frame.groupings)
    if taken := set(names) & {*COLUMNS, *(parameter.name for parameter in parameters)}:
        raise FitError(
            f"A fixed effect is called {min(taken)!r}, like another column of the table of refits. "
            "Rename it."
        )
    theta = np.vstack([part.theta for part in parts])
    sigma = np.concatenate([part.sigma for part in parts])
    converged = np.concatenate([part.converged for part in parts])
    beta = model.basis.coefficients(np.vstack([part.beta for part in parts]).T)
    factors = factors_of(criterion.template, theta)
    covariances = [
        sigma[:, None, None] ** 2 * (factor @ factor.transpose(0, 2, 1)) for factor in factors
    ]
    constant = model.basis.logdet if criterion.reml else 0.0
    columns: dict[str, object] = {"replicate": np.arange(1, len(theta) + 1)}
    columns |= dict(zip(names, beta, strict=True))
    columns |= {parameter.name: parameter.value(covariances, sigma) for parameter in parameters}
    columns["criterion"] = np.concatenate([part.value for part in parts]) - constant
    columns["converged"] = converged
    columns["singular"] = np.any(
        [
            np.linalg.svd(length[:, None] * factor, compute_uv=False)[:, -1] < ZERO
            for factor, length in zip(factors, criterion.products.lengths, strict=True)
        ],
        axis=0,
    )
    return pl.DataFrame(columns)
