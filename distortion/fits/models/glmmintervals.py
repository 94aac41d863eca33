"""Intervals of the parameters of a generalised linear mixed model: profiles and bootstrap."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import ndtri

from distortion.errors import FitError, did_you_mean
from distortion.fits.laplace.profile import Angle, Coefficient, Entry, Target, ordered
from distortion.fits.mixed.profile import end
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models.glmmreplicates import parameters, simulated, values
from distortion.fits.models.parameters import Parameter
from distortion.fits.results.distributions import std_errors

if TYPE_CHECKING:
    from distortion.fits.models.generalized import GeneralizedLinearMixedModel
    from distortion.fits.results.arguments import Seed

# First step of a profile of an SD or an angle, where its own size says nothing.
SMALL_SD = 0.05
ANGLE = 0.3


def profile(
    model: "GeneralizedLinearMixedModel", level: float, *, terms: Sequence[str] | None = None
) -> pl.DataFrame:
    """Profile-likelihood intervals: term, estimate, conf_low, conf_high.

    Fixed effects, then SDs and correlations as `parameters` names them. A bound at the edge of
    what is possible (SD 0, correlation ±1) means that the deviance does not exclude the edge.

    Parameters
    ----------
    terms : only these; all by default

    Raises
    ------
    FitError
        A term is unknown, or a profile cannot be followed.
    """
    estimates = values(model, model.estimate.evaluation)
    wanted = list(estimates) if terms is None else list(terms)
    for term in wanted:
        if term not in estimates:
            raise FitError(f"No parameter is called {term!r}. {did_you_mean(term, estimates)}")
    z = float(-ndtri((1 - level) / 2))
    named = {parameter.name: parameter for parameter in parameters(model)}
    ends = []
    with single_thread():
        for term in wanted:
            if term in named:
                ends.append(_of_parameter(model, named[term], estimates[term], z))
            else:
                ends.append(_of_coefficient(model, model.names.index(term), z))
    return _table(wanted, estimates, np.array(ends))


def _of_coefficient(model: "GeneralizedLinearMixedModel", j: int, z: float) -> tuple[float, float]:
    basis, m = model.design.basis, model.problem.m
    restriction = Coefficient.of(m, basis.transform[basis.kept][j])
    step = z * float(std_errors(model.covariance)[j])
    target = Target(ordered(model.estimate, 0, (0,)), restriction)
    return _ends(target, float(model.beta[j]), step, (-math.inf, math.inf), z)


def _of_parameter(
    model: "GeneralizedLinearMixedModel", parameter: Parameter, estimate: float, z: float
) -> tuple[float, float]:
    best = model.estimate
    if parameter.k == model.structure.row:
        target = Target(ordered(best, 0, (0,)), Entry(len(best.evaluation.point) - 1))
        return _ends(target, estimate, _step(estimate, 1.0), (0.0, math.inf), z)
    k = model.structure.kept.index(parameter.k)
    i, j = parameter.i, parameter.j
    if parameter.kind == "sd":
        found = ordered(best, k, (i,))
        positions = found.evaluation.problem.template.positions
        index = positions.index((k, i, _first_column(positions, k, i)))
        target = Target(found, Entry(index))
        length = float(model.design.lengths[k][i])
        return _ends(target, estimate, _step(estimate, length), (0.0, math.inf), z)
    found = ordered(best, k, (i, j))
    positions = found.evaluation.problem.template.positions
    columns = sorted(column for g, row, column in positions if g == k and row == j)[:2]
    first, second = (positions.index((k, j, column)) for column in columns)
    theta = found.evaluation.point
    angle = math.atan2(abs(theta[second]), theta[first])
    target = Target(found, Angle(first, second))
    low, high = _ends(target, angle, ANGLE, (0.0, math.pi), z)
    return math.cos(high), math.cos(low)


def _first_column(positions: list[tuple[int, int, int]], k: int, i: int) -> int:
    return min(column for g, row, column in positions if g == k and row == i)


def _step(estimate: float, length: float) -> float:
    return max(estimate / 3.0, SMALL_SD / length)


def _ends(
    target: Target, estimate: float, step: float, bounds: tuple[float, float], z: float
) -> tuple[float, float]:
    evaluation = target.best.evaluation
    others = target.restriction.others(evaluation.point)
    low, high = bounds
    return (
        end(target, evaluation.value, z, estimate, -step, others, low),
        end(target, evaluation.value, z, estimate, step, others, high),
    )


def bootstrap(
    model: "GeneralizedLinearMixedModel", level: float, *, n: int = 1000, rng: "Seed"
) -> pl.DataFrame:
    """Percentile intervals of a parametric bootstrap: term, estimate, conf_low, conf_high, failed.

    Parameters
    ----------
    n : replicates
    rng : generator or seed

    `failed` counts the replicates that found no optimum, or, for a correlation, in which one of
    its coefficients does not vary; they are left out.

    Raises
    ------
    FitError
        `n` is too small for `level`, or no replicate found an optimum.
    """
    if n * (1 - level) / 2 < 1:
        raise FitError(
            f"{n} replicates have no {(1 - level) / 2:.3g} quantile: ask for at least "
            f"{int(np.ceil(2 / (1 - level)))}, better 1,000."
        )
    estimates = values(model, model.estimate.evaluation)
    drawn = simulated(model, n, np.random.default_rng(rng)).filter(pl.col("converged"))
    ends, failed = [], []
    for term in estimates:
        column = drawn[term].to_numpy()
        column = column[np.isfinite(column)]
        failed.append(n - len(column))
        if not len(column):
            raise FitError(f"No replicate of {n} has a value of {term}: simplify the random terms.")
        ends.append(np.quantile(column, [(1 - level) / 2, (1 + level) / 2]))
    table = _table(list(estimates), estimates, np.array(ends))
    return table.with_columns(failed=pl.Series(failed))


def _table(terms: list[str], estimates: dict[str, float], ends: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "term": terms,
            "estimate": [estimates[term] for term in terms],
            "conf_low": ends[:, 0],
            "conf_high": ends[:, 1],
        }
    )
