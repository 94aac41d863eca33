"""Many responses of the same rows fitted at once, from one start.

BFGS (Nocedal and Wright 2006, section 6.1) for all responses side by side. They share the rows,
the start and its exact Hessian, and differ little, so a few steps with a gradient each suffice.
"""

from dataclasses import dataclass

import numpy as np

from distortion.errors import FitError
from distortion.fits.mixed.batches import Many, many
from distortion.fits.mixed.criterion import Criterion, hessian
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.start import SMALLEST
from distortion.fits.mixed.types import Array

MOST_STEPS = 50
# An expected decrease of −2 log L by this leaves an estimate within 1e-4 of its standard error.
TOLERANCE = 1e-9
SHORTEST = 1e-4


@dataclass(frozen=True, slots=True)
class Refits:
    """Fits of m responses, in the coefficients that the arithmetic sees; NaN where there is none.

    theta (m, len(θ));  beta (m, p);  sigma, value (m,): σ and the criterion;  converged (m,) bool
    """

    theta: Array
    beta: Array
    sigma: Array
    value: Array
    converged: np.ndarray


def refit(criterion: Criterion, start: Array, responses: Responses) -> Refits:
    """Fit every response; only the diagonal of their yy is used."""
    m = responses.xy.shape[1]
    function = many(criterion, responses)
    theta, converged = _bfgs(function, criterion, start, m)
    for i in map(int, np.flatnonzero(~converged)):
        try:
            optimum = minimise(criterion.for_responses(responses.one(i)), start)
        except FitError:
            continue
        theta[i], converged[i] = optimum.evaluation.theta, optimum.converged
    found = function(theta, np.arange(m))
    reached = np.isfinite(found.value)
    sigma = np.sqrt(np.where(reached, found.rss, np.nan) / criterion.nu)
    value = np.where(reached, found.value, np.nan)
    return Refits(theta, found.beta, sigma, value, converged & reached)


def lifted(theta: Array, diagonal: np.ndarray, scale: Array) -> Array:
    """Return a start near θ with no SD at zero, from where the optimizer could not leave.

    Parameters
    ----------
    diagonal : which entries of θ are SDs
    scale : natural size of every entry
    """
    return np.where(diagonal & (np.abs(theta) < SMALLEST * scale), SMALLEST * scale, theta)


def _bfgs(function: Many, criterion: Criterion, start: Array, m: int) -> tuple[Array, np.ndarray]:
    theta = np.tile(start, (m, 1))
    inverse = np.tile(_inverse_hessian(criterion, start), (m, 1, 1))
    value, gradient, _, _ = function(theta, np.arange(m))
    converged = np.zeros(m, dtype=bool)
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(MOST_STEPS):
        step = -np.einsum("mij,mj->mi", inverse[active], gradient[active])
        decrement = -(gradient[active] * step).sum(axis=1) / 2.0
        done = decrement <= TOLERANCE
        converged[active[done]] = True
        active, step, decrement = active[~done], step[~done], decrement[~done]
        if not len(active):
            break
        moved, new_value, new_gradient = _line_search(
            function, active, theta[active], value[active], step, decrement
        )
        kept = np.isfinite(new_value)
        active, moved = active[kept], moved[kept]
        change = new_gradient[kept] - gradient[active]
        inverse[active] = _updated(inverse[active], moved, change)
        theta[active] += moved
        value[active], gradient[active] = new_value[kept], new_gradient[kept]
    return theta, converged


def _inverse_hessian(criterion: Criterion, start: Array) -> Array:
    """Return the inverse of the Hessian with its negative directions turned."""
    matrix = hessian(criterion, criterion(start))
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), 1e-8))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    root = vectors / np.sqrt(np.maximum(np.abs(values), 1e-3)) / scale[:, None]
    return np.asarray(root @ root.T)


def _line_search(
    function: Many, rows: np.ndarray, theta: Array, value: Array, step: Array, decrement: Array
) -> tuple[Array, Array, Array]:
    """Halve each step until its criterion falls: steps, values (infinite without), gradients."""
    length = np.ones(len(rows))
    new_value, new_gradient = np.full(len(rows), np.inf), np.zeros_like(theta)
    open_ = np.arange(len(rows))
    while len(open_) and length[open_[0]] > SHORTEST:
        moved = theta[open_] + length[open_, None] * step[open_]
        found = function(moved, rows[open_])
        enough = found.value <= value[open_] - 1e-4 * length[open_] * decrement[open_]
        new_value[open_[enough]] = found.value[enough]
        new_gradient[open_[enough]] = found.gradient[enough]
        open_ = open_[~enough]
        length[open_] /= 2.0
    return length[:, None] * step, new_value, new_gradient


def _updated(inverse: Array, moved: Array, change: Array) -> Array:
    """Return the BFGS update of inverse Hessians (m, t, t), where it leaves them positive."""
    along = (moved * change).sum(axis=1)
    size = np.linalg.norm(moved, axis=1) * np.linalg.norm(change, axis=1)
    usable = along > 1e-8 * size
    rho = np.where(usable, 1.0 / np.where(usable, along, 1.0), 0.0)[:, None, None]
    left = np.eye(moved.shape[1]) - rho * moved[:, :, None] * change[:, None, :]
    return left @ inverse @ left.transpose(0, 2, 1) + rho * moved[:, :, None] * moved[:, None, :]
