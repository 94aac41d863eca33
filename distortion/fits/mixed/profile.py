"""Profile-likelihood intervals: values whose deviance is at most χ²₁ above the smallest.

    ζ(v) = sign(v − v̂) √(D(v) − D(v̂)),   D(v) = −2 log L maximised over all other parameters

An interval ends where |ζ| is the normal quantile. ζ is nearly linear and its slope is known from
the gradient at the restricted optimum, so a few Newton steps find each end.

Source: Venzon and Moolgavkar (1988), Appl. Statist. 37, 87; Bates et al. (2015), J. Stat. Softw.
67(1), section 5.1. As there, the deviance is that of maximum likelihood, for REML fits too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from distortion.errors import FitError
from distortion.fits.mixed.criterion import Criterion, Evaluation
from distortion.fits.mixed.newton import minimise
from distortion.fits.mixed.plan import make_plan
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.refits import lifted
from distortion.fits.mixed.restricted import Angle, Held, HeldEvaluation, Place, Sd, Sigma
from distortion.fits.mixed.start import SMALLEST
from distortion.fits.mixed.template import Template, gather
from distortion.fits.mixed.types import Array

MOST_POINTS = 60
# ζ within this share of the quantile moves an end by less than that share of the interval.
CLOSE = 1e-7
# Rounding may put a restricted optimum this far below the free one.
SLACK = 1e-6
# Steps away from the estimate grow at most by this factor until an end is passed.
LONGEST = 4.0


class Point(NamedTuple):
    """A restricted optimum: D, its derivative, and where the other parameters are."""

    deviance: float
    slope: float
    others: Array


class Target(Protocol):
    """A parameter to profile, as a number x."""

    def at(self, x: float, others: Array) -> Point:
        """Return the restricted optimum at x, started from `others`."""


@dataclass(frozen=True)
class VarianceTarget:
    """An SD, or the angle whose cosine is a correlation, held at a `place`.

    diagonal   which of the other parameters are SDs
    """

    criterion: Criterion
    place: Callable[[float], Place]
    diagonal: np.ndarray

    def at(self, x: float, others: Array) -> Point:
        """See `Target`."""
        place, free = self.place(x), self.criterion
        held = Held(free.products, free.responses, free.plan, free.template, False, place)
        evaluation = _optimum(held, lifted(others, self.diagonal, held.scale))
        assert isinstance(evaluation, HeldEvaluation)
        along = place.along(place.phi(evaluation.theta))
        return Point(evaluation.value, float(evaluation.full.gradient @ along), evaluation.theta)


@dataclass(frozen=True)
class CoefficientTarget:
    """A fixed effect l'β of X: X loses the direction w = l / l'l, y loses x w.

    pair   cross-products of y and X w with what is left
    """

    criterion: Criterion
    pair: Responses

    def at(self, x: float, others: Array) -> Point:
        """See `Target`."""
        v = np.array([[1.0], [-x]])
        zy = tuple(block @ v for block in self.pair.zy)
        responses = Responses(zy, self.pair.xy @ v, v.T @ self.pair.yy @ v)
        criterion = self.criterion.for_responses(responses)
        start = lifted(others, criterion.template.diagonal(), criterion.scale)
        evaluation = _optimum(criterion, start)
        crossed = evaluation.factor.solve(self.pair).rss
        slope = 2.0 * (crossed[1, 1] * x - crossed[0, 1]) * criterion.nu / evaluation.rss
        return Point(evaluation.value, float(slope), evaluation.theta)


class Profile:
    """Profiles of the parameters of one model, from its optimum under either criterion."""

    def __init__(self, evaluation: Evaluation) -> None:
        criterion = replace(evaluation.criterion, reml=False)
        start = lifted(evaluation.theta, criterion.template.diagonal(), criterion.scale)
        self.best = _optimum(criterion, start)
        self.criterion = criterion

    def sigma(self, z: float) -> tuple[float, float]:
        """Return the interval of the residual SD at the normal quantile z."""
        best = self.best
        target = VarianceTarget(self.criterion, Sigma, self.criterion.template.diagonal())
        step = best.sigma * z / math.sqrt(2.0 * self.criterion.nu)
        least = best.sigma * 1e-3
        return self._ends(target, z, best.sigma, step, best.theta, (least, math.inf))

    def sd(self, k: int, u: int, z: float) -> tuple[float, float]:
        """Return the interval of the SD of coefficient u of grouping k."""
        criterion, theta, diagonal = self._reordered(k, (u,))
        index = criterion.template.positions.index((k, u, self._block(k, u)[0]))
        others = np.append(np.delete(theta, index), math.log(self.best.sigma))
        target = VarianceTarget(
            criterion,
            lambda value: Sd(index, value),
            np.append(np.delete(diagonal, index), False),
        )
        estimate = abs(float(theta[index])) * self.best.sigma
        least = SMALLEST * float(criterion.scale[index]) * self.best.sigma
        step = max(estimate / 3.0, least)
        return self._ends(target, z, estimate, step, others, (0.0, math.inf))

    def correlation(self, k: int, u: int, v: int, z: float) -> tuple[float, float]:
        """Return the interval of the correlation of coefficients u and v of grouping k."""
        criterion, theta, diagonal = self._reordered(k, (u, v))
        one, two = self._block(k, u)[:2]
        first, second = (criterion.template.positions.index((k, v, c)) for c in (one, two))
        length = math.hypot(theta[first], theta[second])
        estimate = math.atan2(abs(theta[second]), theta[first])
        theta[first], diagonal[first] = length, True
        target = VarianceTarget(
            criterion,
            lambda value: Angle(first, second, value),
            np.append(np.delete(diagonal, second), False),
        )
        others = np.append(np.delete(theta, second), math.log(self.best.sigma))
        ends = self._ends(target, z, estimate, 0.3, others, (0.0, math.pi))
        return math.cos(ends[1]), math.cos(ends[0])

    def coefficient(self, row: Array, z: float) -> tuple[float, float]:
        """Return the interval of row'β, `row` (p,) in the coefficients that the arithmetic sees."""
        free, best = self.criterion, self.best
        shift = row / (row @ row)
        rest = np.linalg.qr(row[:, None], mode="complete")[0][:, 1:]
        products = free.products.with_fixed(rest)
        y, x = free.responses, free.products
        crossed = y.xy.T @ shift
        pair = Responses(
            tuple(np.column_stack([zy, zx @ shift]) for zy, zx in zip(y.zy, x.zx, strict=True)),
            rest.T @ np.column_stack([y.xy, x.xx @ shift]),
            np.block([[y.yy, crossed[:, None]], [crossed[None, :], shift @ x.xx @ shift]]),
        )
        plan = make_plan(products, tuple(map(str, range(len(x.shapes)))))
        target = CoefficientTarget(
            Criterion(products, free.responses, plan, free.template, reml=False), pair
        )
        estimate = float(row @ best.solution.beta[:, 0])
        step = z * best.sigma * math.sqrt(float(row @ best.factor.xvx_inverse @ row))
        return self._ends(target, z, estimate, step, best.theta, (-math.inf, math.inf))

    def _ends(
        self,
        target: Target,
        z: float,
        estimate: float,
        step: float,
        others: Array,
        bounds: tuple[float, float],
    ) -> tuple[float, float]:
        low, high = bounds
        return (
            end(target, self.best.value, z, estimate, -step, others, low),
            end(target, self.best.value, z, estimate, step, others, high),
        )

    def _block(self, k: int, u: int) -> list[int]:
        """Coefficients of grouping k that may be correlated with u, and u, in order."""
        free = self.criterion.template.free[k]
        return [int(v) for v in np.flatnonzero(free[u] | free[:, u])]

    def _reordered(self, k: int, front: Sequence[int]) -> tuple[Criterion, Array, np.ndarray]:
        """Put coefficients first in the factor of their grouping.

        Returns the criterion, its θ at the optimum, and which entries are on the diagonal.
        """
        template = self.criterion.template
        columns = self._block(k, front[0])
        order = [*front, *(v for v in columns if v not in front)]
        free, factors = template.free[k].copy(), template.factors(self.best.theta)
        square = np.ix_(order, columns)
        lower = np.asarray(np.linalg.qr(factors[k][square].T, mode="r")).T
        factors[k][square] = lower * np.where(np.diagonal(lower) < 0, -1.0, 1.0)
        free[square] = np.tril(np.ones(lower.shape, dtype=bool))
        new = Template((*template.free[:k], free, *template.free[k + 1 :]))
        place = dict(zip(columns, order, strict=True))
        diagonal = [row == (place.get(c, c) if j == k else c) for j, row, c in new.positions]
        return replace(self.criterion, template=new), gather(factors, new), np.array(diagonal)


def end(
    target: Target,
    least: float,
    z: float,
    estimate: float,
    step: float,
    others: Array,
    bound: float,
) -> float:
    """Return where ζ reaches z on the side of `step`, or `bound` where it does not.

    Parameters
    ----------
    least : smallest deviance, at `estimate` and `others`

    Raises
    ------
    FitError
        A restricted optimum lies below `least`, or the end is not found.
    """
    side = math.copysign(1.0, step)
    inside, outside, x = estimate, bound, estimate + step
    reached = False
    for _ in range(MOST_POINTS):
        if (x - bound) * side >= 0.0:
            x = bound
        point = target.at(x, others)
        rise = point.deviance - least
        if rise < -SLACK * max(1.0, abs(least) * 1e-4):
            raise FitError(
                f"The profile found parameters that fit better (−2 log likelihood lower by "
                f"{-rise:.3g}) than the estimates: the optimizer stopped early. See fit.trace."
            )
        zeta = math.sqrt(max(rise, 0.0))
        if abs(zeta - z) <= CLOSE * z:
            return x
        if zeta < z:
            if x == bound:
                return bound
            inside, others = x, point.others
        else:
            outside, reached = x, True
            others = point.others
        slope = side * point.slope / (2.0 * zeta) if zeta > 0.0 else 0.0
        following = x + side * (z - zeta) / slope if slope > 0.0 else math.inf * side
        furthest = estimate + LONGEST * (inside - estimate + (step if inside == estimate else 0.0))
        if not reached:
            x = min(following, furthest, key=lambda value: abs(value - estimate))
        elif (following - inside) * (following - outside) < 0.0:
            x = following
        else:
            x = (inside + outside) / 2.0
        if reached and abs(outside - inside) <= 1e-12 * max(abs(outside), abs(estimate)):
            return x
    raise FitError("A profile interval could not be found: use bootstrap intervals instead.")


def _optimum(criterion: Criterion, start: Array) -> Evaluation:
    optimum = minimise(criterion, start)
    if not optimum.converged:
        raise FitError(
            "The likelihood could not be maximised with a parameter held for its profile. Use "
            "bootstrap intervals, or simplify the random terms."
        )
    return optimum.evaluation
