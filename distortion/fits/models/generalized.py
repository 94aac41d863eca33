"""A fitted generalised linear mixed model: what it can be asked for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from distortion.errors import FitError, did_you_mean
from distortion.fits.formulas.modelframe import ModelFrame
from distortion.fits.laplace.design import Design
from distortion.fits.laplace.deviance import Evaluation, Laplace, LaplaceEvaluation, Problem
from distortion.fits.laplace.estimation import Estimate, estimate, parts
from distortion.fits.laplace.family import Array, Counts, Family
from distortion.fits.laplace.modes import times
from distortion.fits.laplace.rowwise import RowEffect
from distortion.fits.laplace.structure import Structure
from distortion.fits.mixed.threads import single_thread
from distortion.fits.models import glmmintervals, glmmreplicates
from distortion.fits.models.countdata import check_counts
from distortion.fits.models.explained import Explained
from distortion.fits.models.glmmexplained import of_generalized
from distortion.fits.models.glmmresult import result
from distortion.fits.results.model import Model, NewLevels, Residuals
from distortion.fits.results.result import Fit

Scale = Literal["response", "link"]


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneralizedLinearMixedModel(Model):
    """The data, the optimum and the options of a generalised linear mixed model."""

    frame: ModelFrame
    structure: Structure
    estimate: Estimate
    n_quadrature: int
    conf_level: float
    label: str = "a generalised linear mixed model"

    @property
    def problem(self) -> Problem:
        """Rows, distribution and random effects."""
        return self.estimate.evaluation.problem

    @property
    def design(self) -> Design:
        """The rows."""
        return self.problem.weighting.design

    @property
    def family(self) -> Family:
        """The distribution of a count given all random effects."""
        family = self.problem.family
        return family.base if isinstance(family, RowEffect) else family

    @property
    def names(self) -> tuple[str, ...]:
        """(p,) fixed effects that are estimated."""
        kept = zip(self.frame.fixed_names, self.design.basis.kept, strict=True)
        return tuple(name for name, keep in kept if keep)

    @property
    def shape(self) -> float:
        """ν: φ^(−1/2) of a beta-binomial, the SD of a random effect of every row, else 0."""
        return abs(parts(self.estimate.evaluation)[2])

    @property
    def beta(self) -> Array:
        """(p,) fixed effects."""
        return self.beta_of(self.estimate.evaluation)

    def beta_of(self, evaluation: Evaluation) -> Array:
        """Return the fixed effects of any evaluation, (p,)."""
        return self.design.basis.coefficients(parts(evaluation)[1])

    @property
    def covariance(self) -> Array:
        """(p, p) of the fixed effects, from the Hessian in all parameters."""
        m, p = self.problem.m, self.problem.p
        return self.design.basis.covariance(self.estimate.covariance[m : m + p, m : m + p])

    @property
    def factors(self) -> list[Array]:
        """Λ of every grouping factor of the frame, (r, r)."""
        return self.factors_of(self.estimate.evaluation)

    def factors_of(self, evaluation: Evaluation) -> list[Array]:
        """Return Λ of any evaluation; with diagonals that are not negative."""
        template = self.problem.template
        theta, _, shape = parts(evaluation)
        made = template.factors(template.canonical(theta))
        factors = dict(zip(self.structure.kept, made, strict=True))
        if self.structure.row is not None:
            factors[self.structure.row] = np.array([[abs(shape)]])
        return [factors[k] for k in range(len(factors))]

    @property
    def theta(self) -> Array:
        """Free entries of all Λ, grouping by grouping and column by column."""
        return np.concatenate([
            factor.T[grouping.free.T]
            for factor, grouping in zip(self.factors, self.frame.groupings, strict=True)
        ])  # fmt: skip

    @property
    def lengths(self) -> list[Array]:
        """Root mean square of each covariate, (r,) per grouping factor of the frame."""
        of_problem = dict(zip(self.structure.kept, self.design.lengths, strict=True))
        return [of_problem.get(k, np.ones(1)) for k in range(len(self.frame.groupings))]

    @cached_property
    def laplace(self) -> LaplaceEvaluation:
        """Laplace's approximation at the estimates, whatever criterion they are of."""
        evaluation = self.estimate.evaluation
        return Laplace(self.problem, profiled=False).at(evaluation.point, evaluation.modes)

    def test_df(self, L: Array) -> float:
        """See `Model`."""
        return float(np.inf)

    @cached_property
    def _effects(self) -> tuple[list[Array], list[Array]]:
        """Modes (L r,) and variances (L, r) of all random effects, per grouping of the frame."""
        with single_thread():
            blocks = self.laplace.factor.conditional_variances()
        modes = dict(zip(self.structure.kept, self.laplace.modes.b, strict=True))
        variances = {
            k: np.diagonal(block, axis1=1, axis2=2)
            for k, block in zip(self.structure.kept, blocks, strict=True)
        }
        family, row = self.problem.family, self.structure.row
        if row is not None:
            assert isinstance(family, RowEffect)
            assert self.structure.codes is not None
            at = self.laplace
            mode, variance = family.effects(at.modes.step, at.weighing, at.leverage, self.shape)
            order = np.argsort(self.structure.codes)
            modes[row], variances[row] = mode[order], variance[order, None]
        everything = range(len(modes))
        return [modes[k] for k in everything], [variances[k] for k in everything]

    def random_effects(self) -> pl.DataFrame:
        """See `Model`; `sd` is that of b given y and all parameters."""
        tables = []
        for grouping, b, variance in zip(self.frame.groupings, *self._effects, strict=True):
            n_levels, r = variance.shape
            columns = {
                "group": [grouping.name] * (n_levels * r),
                "level": np.repeat(np.array(grouping.labels, dtype=object), r).tolist(),
                "term": list(grouping.covariates) * n_levels,
                "mode": b,
                "sd": np.sqrt(np.maximum(variance, 0.0)).ravel(),
            }
            tables.append(pl.DataFrame(columns))
        return pl.concat(tables)

    def linear(self, table: Any = None, *, random: bool, new_levels: NewLevels) -> Array:
        """Return X β + offset, + Z b where `random`, of new rows or the rows fitted, (m,)."""
        if table is None:
            if not random:
                return self.design.fixed(parts(self.estimate.evaluation)[1])
            modes = self.laplace.modes
            eta = modes.eta
            if isinstance(self.problem.family, RowEffect):
                eta = self.problem.family.reached(modes.step)
            return eta.copy()
        beta = np.zeros(len(self.frame.fixed_names))
        beta[self.design.basis.kept] = self.beta
        eta = self.frame.fixed_matrix(table) @ beta
        offset = self.frame.offset(table)
        eta = eta if offset is None else eta + offset
        if random:
            for k, block in enumerate(self._effects[0]):
                codes = self.frame.group_codes(k, table)
                self._check_levels(k, codes, new_levels)
                r = len(self.frame.groupings[k].covariates)
                known = np.vstack([block.reshape(-1, r), np.zeros((1, r))])[codes]
                eta = eta + (self.frame.group_covariates(k, table) * known).sum(axis=1)
        return np.asarray(eta)

    def _check_levels(self, k: int, codes: np.ndarray, new_levels: NewLevels) -> None:
        unknown = np.flatnonzero(codes < 0)
        if len(unknown) and new_levels == "error":
            raise FitError(
                f"{len(unknown)} row(s), the first being row {unknown[0] + 1}, have a level of "
                f'{self.frame.groupings[k].name} that was not fitted. Pass new_levels="zero" to '
                f"predict them with random effects of zero, or random=False."
            )

    def predict(
        self,
        table: Any = None,
        *,
        random: bool = True,
        new_levels: NewLevels = "error",
        scale: Scale = "response",
    ) -> Array:
        """See `Model`: probabilities or rates, or with scale="link" linear predictors.

        Without random effects it is the mean at random effects of zero, not the mean over them.
        """
        eta = self.linear(table, random=random, new_levels=new_levels)
        return eta if scale == "link" else self.family.link.mean(eta)

    def residuals(self, kind: Residuals) -> Array:
        """See `Model`: at the conditional modes; "response" of proportions where there are trials.

        "pearson" and "deviance" are multiplied by the root of the prior weights.
        """
        counts, family = self.design.counts, self.family
        eta = self.linear(random=True, new_levels="error")
        mean = family.link.mean(eta)
        raw = counts.y - counts.size * mean
        if kind == "response":
            return np.asarray(raw / counts.size)
        if kind == "pearson":
            sd = np.sqrt(family.variance(mean, counts, self.shape))
            return np.sqrt(counts.weighted(np.ones_like(raw))) * _ratio(raw, sd)
        if kind == "deviance":
            reached = family.step(eta, counts, self.shape).loglik
            lost = np.maximum(2.0 * (family.saturated(counts) - reached), 0.0)
            return np.asarray(np.copysign(np.sqrt(lost), raw))
        if kind == "working":
            return _ratio(raw / counts.size, family.link.slope(eta))
        raise FitError(f'There are no {kind!r} residuals: use "response", "pearson", "deviance" or '
                       '"working".')  # fmt: skip

    def simulate(self, rng: np.random.Generator, n: int) -> Array:
        """See `Model`: counts, with new random effects for the levels and rows fitted."""
        design, family = self.design, self.family
        fixed = self.linear(random=False, new_levels="error")
        factors = [self.factors[k] for k in self.structure.kept]
        drawn = np.empty((design.n, n))
        for column in range(n):
            blocks = [
                times(factor, rng.standard_normal(n_levels * r))
                for factor, (n_levels, r) in zip(factors, design.shapes, strict=True)
            ]
            eta = fixed + design.spread(blocks)
            if self.structure.row is not None:
                eta += self.shape * rng.standard_normal(design.n)
            drawn[:, column] = family.draw(rng, family.link.mean(eta), design.counts, self.shape)
        return drawn

    def with_counts(self, y: Array) -> Problem:
        """Return the problem for other counts of the same rows.

        Raises
        ------
        FitError
            The family cannot have drawn them.
        """
        design = self.design
        if y.shape != (design.n,) or not np.isfinite(y).all():
            raise FitError(
                f"A refit needs {design.n} finite counts, one for each row used; these have shape "
                f"{y.shape}."
            )
        counts = Counts(
            np.asarray(y, dtype=np.float64), design.counts.trials, design.counts.weights
        )
        check_counts(counts, self.family, self.frame)
        weighting = replace(self.problem.weighting, design=replace(design, counts=counts))
        return replace(self.problem, weighting=weighting)

    def refit(self, y: Array) -> Fit:
        """See `Model`; begins at the estimates."""
        problem = self.with_counts(y)
        with single_thread():
            found = estimate(problem, self.n_quadrature, self.estimate.evaluation)
            return result(replace(self, estimate=found), test_dispersion=False)

    def explained(self) -> Explained:
        """See `Model` and `glmmexplained`."""
        return of_generalized(self)

    def bootstrap(self, fit: Fit, n: int, rng: np.random.Generator, **options: Any) -> pl.DataFrame:
        """See `Model` and `glmmreplicates.simulated`."""
        return glmmreplicates.simulated(self, n, rng, **options)

    def confint(self, fit: Fit, method: str, level: float, **options: Any) -> pl.DataFrame:
        """See `Model`, `glmmintervals.profile` and `glmmintervals.bootstrap`."""
        known: dict[str, Callable[..., pl.DataFrame]] = {
            "profile": glmmintervals.profile,
            "bootstrap": glmmintervals.bootstrap,
        }
        if method not in known:
            raise FitError(f"No intervals are {method!r}. {did_you_mean(method, [*known, 'wald'])}")
        return known[method](self, level, **options)


def _ratio(above: Array, below: Array) -> Array:
    """Return the quotient, 0 where a variance or slope has underflowed."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0.0)
