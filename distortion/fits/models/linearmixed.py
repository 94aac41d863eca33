"""A fitted linear mixed model: its tidy result, and what it can be asked for."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.errors import FitError
from distortion.fits.formulas.modelframe import ModelFrame
from distortion.fits.mixed.assembly import Basis, responses_of
from distortion.fits.mixed.criterion import Evaluation
from distortion.fits.mixed.kenward_roger import KenwardRoger, kenward_roger
from distortion.fits.mixed.newton import Optimum, minimise
from distortion.fits.mixed.products import Responses
from distortion.fits.mixed.satterthwaite import Satterthwaite, satterthwaite
from distortion.fits.mixed.start import SMALLEST
from distortion.fits.mixed.threads import single_thread
from distortion.fits.mixed.types import Array
from distortion.fits.models import intervals, replicates
from distortion.fits.models.components import check_residual, singular_notes, variance_table
from distortion.fits.models.explained import Explained, of_linear
from distortion.fits.results.model import Model, NewLevels, Residuals
from distortion.fits.results.result import Fit

DF_METHODS: Final = ("satterthwaite", "kenward-roger", "asymptotic")


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearMixedModel(Model):
    """The data, the optimum and the options of a linear mixed model.

    Two scales: `evaluation` knows X T, y − X center and variances relative to σ²; everything that
    leaves this class is in the columns of the formula and in units of y.
    """

    frame: ModelFrame
    basis: Basis
    optimum: Optimum
    df_method: str
    conf_level: float
    label: str = "a linear mixed model"

    @property
    def evaluation(self) -> Evaluation:
        """The criterion at the optimum."""
        return self.optimum.evaluation

    @property
    def names(self) -> tuple[str, ...]:
        """(p,) fixed effects that are estimated."""
        kept = zip(self.frame.fixed_names, self.basis.kept, strict=True)
        return tuple(name for name, keep in kept if keep)

    @property
    def beta(self) -> Array:
        """(p,) fixed effects."""
        return self.basis.coefficients(self.evaluation.solution.beta)[:, 0]

    @property
    def criterion(self) -> float:
        """−2 log (restricted) likelihood in the columns of the formula."""
        evaluation = self.evaluation
        return evaluation.value - (self.basis.logdet if evaluation.criterion.reml else 0.0)

    @cached_property
    def satterthwaite(self) -> Satterthwaite:
        """Satterthwaite's ingredients."""
        with single_thread():
            return satterthwaite(self.evaluation)

    @cached_property
    def kenward_roger(self) -> KenwardRoger:
        """Kenward and Roger's ingredients."""
        with single_thread():
            return kenward_roger(self.evaluation)

    @cached_property
    def covariance(self) -> Array:
        """(p, p) of the fixed effects, adjusted under Kenward and Roger's method."""
        adjusted = self.df_method == "kenward-roger"
        evaluation = self.evaluation
        relative = self.kenward_roger.covariance if adjusted else evaluation.factor.xvx_inverse
        return evaluation.sigma**2 * self.basis.covariance(relative)

    def test_df(self, L: Array) -> float:
        """See `Model`."""
        if self.df_method == "asymptotic":
            return float(np.inf)
        seen = L @ self.basis.transform[self.basis.kept]
        if self.df_method == "kenward-roger":
            return self.kenward_roger.df(seen)
        return self.satterthwaite.joint_df(seen)

    @property
    def df(self) -> Array:
        """(p,) of the tests of single fixed effects."""
        if self.df_method == "satterthwaite":
            return self.satterthwaite.df(self.basis.transform[self.basis.kept])
        return np.array([self.test_df(row[None, :]) for row in np.eye(len(self.names))])

    def f_scale(self, L: Array) -> float:
        """See `Model`."""
        if self.df_method != "kenward-roger":
            return 1.0
        return self.kenward_roger.scale(L @ self.basis.transform[self.basis.kept])

    def random_effects(self) -> pl.DataFrame:
        """See `Model`; `sd` is that of b given y and the estimated parameters."""
        evaluation = self.evaluation
        with single_thread():
            variances = evaluation.factor.conditional_variances()
        tables = []
        for grouping, b, blocks in zip(
            self.frame.groupings, evaluation.solution.b, variances, strict=True
        ):
            sd = evaluation.sigma * np.sqrt(np.diagonal(blocks, axis1=1, axis2=2))
            n_levels, r = sd.shape
            columns = {
                "group": [grouping.name] * (n_levels * r),
                "level": np.repeat(np.array(grouping.labels, dtype=object), r).tolist(),
                "term": list(grouping.covariates) * n_levels,
                "mode": b[:, 0],
                "sd": sd.ravel(),
            }
            tables.append(pl.DataFrame(columns))
        return pl.concat(tables)

    def linear(self, table: Any = None, *, random: bool, new_levels: NewLevels) -> Array:
        """Return X β + offset, + Z b where `random`, of new rows or the rows fitted, (m,)."""
        beta = np.zeros(len(self.frame.fixed_names))
        beta[self.basis.kept] = self.beta
        b = self.evaluation.solution.b
        parts = []
        if table is None:
            for rows in self.frame.chunks():
                part = rows.X @ beta
                if rows.offset is not None:
                    part = part + rows.offset
                for codes, values, block in zip(rows.codes, rows.covariates, b, strict=True):
                    if random:
                        part = part + _times(codes, values, block)
                parts.append(part)
            return np.concatenate(parts)
        fitted = self.frame.fixed_matrix(table) @ beta
        offset = self.frame.offset(table)
        fitted = fitted if offset is None else fitted + offset
        if random:
            for k, block in enumerate(b):
                codes = self.frame.group_codes(k, table)
                _check_levels(self.frame, k, codes, new_levels)
                known = np.vstack([block, np.zeros((len(self.frame.groupings[k].covariates), 1))])
                values = self.frame.group_covariates(k, table)
                fitted = fitted + _times(codes, values, known)
        return np.asarray(fitted)

    def predict(
        self, table: Any = None, *, random: bool = True, new_levels: NewLevels = "error"
    ) -> Array:
        """See `Model`."""
        return self.linear(table, random=random, new_levels=new_levels)

    def residuals(self, kind: Residuals) -> Array:
        """See `Model`; "pearson" are multiplied by the root of the prior weights."""
        if kind not in ("response", "pearson"):
            self._cannot(f"has {kind} residuals", 'Use "response" or "pearson".')
        rows = list(self.frame.chunks())
        y = np.concatenate([chunk.y for chunk in rows])
        residuals = y - self.linear(random=True, new_levels="error")
        if kind == "pearson" and rows[0].weights is not None:
            residuals *= np.sqrt(
                np.concatenate([chunk.weights for chunk in rows if chunk.weights is not None])
            )
        return np.asarray(residuals)

    def simulate(self, rng: np.random.Generator, n: int) -> Array:
        """See `Model`: new random effects and residuals for the levels and rows fitted."""
        evaluation = self.evaluation
        fixed = self.linear(random=False, new_levels="error")
        drawn = np.repeat(fixed[:, None], n, axis=1)
        blocks = []
        for factor, grouping in zip(evaluation.factor.factors, self.frame.groupings, strict=True):
            u = rng.standard_normal((grouping.levels.height, len(factor), n))
            blocks.append(evaluation.sigma * (factor @ u).reshape(-1, n))
        start = 0
        for rows in self.frame.chunks():
            part = slice(start, start + len(rows.y))
            start += len(rows.y)
            for codes, values, block in zip(rows.codes, rows.covariates, blocks, strict=True):
                drawn[part] += _times(codes, values, block).reshape(-1, n)
            noise = evaluation.sigma * rng.standard_normal((len(rows.y), n))
            drawn[part] += noise if rows.weights is None else noise / np.sqrt(rows.weights)[:, None]
        return drawn

    def refit(self, y: Array) -> Fit:
        """See `Model`."""
        if y.shape != (self.frame.n_obs,) or not np.isfinite(y).all():
            raise FitError(
                f"A refit needs {self.frame.n_obs} finite responses, one for each row used; these "
                f"have shape {y.shape}."
            )
        if np.ptp(y) == 0:
            raise FitError(f"The response is {y[0]:g} in all rows: nothing is left to explain.")
        with single_thread():
            products = self.evaluation.criterion.products
            responses = responses_of(self.frame.chunks, products, self.basis, y[:, None])
            check_residual(responses, float(y @ y))
            return result(replace(self, optimum=self.refitted(responses)))

    def refit_many(self, y: Array) -> pl.DataFrame:
        """Refit to many responses (n_obs, m) at once: one row each, see `replicates.simulated`."""
        return replicates.of_responses(self, y)

    def bootstrap(self, fit: Fit, n: int, rng: np.random.Generator, **options: Any) -> pl.DataFrame:
        """See `Model` and `replicates.simulated`."""
        return replicates.simulated(self, n, rng, **options)

    def confint(self, fit: Fit, method: str, level: float, **options: Any) -> pl.DataFrame:
        """See `Model`, `intervals.profile` and `intervals.bootstrap`."""
        return intervals.confint(self, method, level, **options)

    def explained(self) -> Explained:
        """See `Model`."""
        return of_linear(self)

    def refitted(self, responses: Responses) -> Optimum:
        """Return the optimum for another response, started near this one."""
        criterion = self.evaluation.criterion
        theta = self.evaluation.theta
        diagonal = criterion.template.diagonal()
        start = np.where(diagonal, np.maximum(np.abs(theta), SMALLEST * criterion.scale), theta)
        return minimise(criterion.for_responses(responses), start)


def result(model: LinearMixedModel) -> Fit:
    """Return the tidy result of a linear mixed model."""
    evaluation, frame = model.evaluation, model.frame
    criterion = evaluation.criterion
    factors = evaluation.factor.factors
    variances = [evaluation.sigma**2 * factor @ factor.T for factor in factors]
    singular = singular_notes(frame.groupings, factors, criterion.products.lengths)
    dropped = [n for n, kept in zip(frame.fixed_names, model.basis.kept, strict=True) if not kept]
    notes = [*frame.notes, *singular, *model.optimum.notes]
    if dropped:
        notes.append(
            f"Left out, because earlier columns already determine them: {', '.join(dropped)}."
        )
    if not model.optimum.converged:
        notes.append(
            "The optimizer did not reach an optimum; do not use these numbers. Rescale the "
            "covariates or simplify the random terms; the trace shows where it stopped."
        )
    value, df = model.criterion, model.df
    return Fit(
        kind="lmm",
        formula=frame.formula.text,
        estimator="REML" if criterion.reml else "ML",
        df_method=model.df_method,
        covariance_type="Kenward–Roger" if model.df_method == "kenward-roger" else "model",
        names=model.names,
        coefficients=model.beta,
        covariance=model.covariance,
        df=df,
        model=model,
        loglik=-value / 2.0,
        n_parameters=len(df) + criterion.template.n_parameters + 1,
        n_obs=frame.n_obs,
        criterion=value,
        sigma=evaluation.sigma,
        theta=criterion.template.canonical(evaluation.theta),
        variances=variance_table(frame.groupings, variances, evaluation.sigma),
        groups={grouping.name: grouping.levels.height for grouping in frame.groupings},
        converged=model.optimum.converged,
        singular=bool(singular),
        notes=tuple(notes),
        trace=model.optimum.trace.table(model.criterion - evaluation.value),
        conf_level=model.conf_level,
        r_squared=model.explained().r_squared,
    )


def _times(codes: np.ndarray, covariates: Array | None, b: Array) -> Array:
    """Return Z b of some rows: (m,) for b (L r, 1), (m, n) for more columns."""
    r = 1 if covariates is None else covariates.shape[1]
    blocks = b.reshape(-1, r, b.shape[1])[codes]
    product = blocks[:, 0] if covariates is None else np.einsum("mr,mrn->mn", covariates, blocks)
    return np.asarray(product[:, 0] if b.shape[1] == 1 else product)


def _check_levels(frame: ModelFrame, k: int, codes: np.ndarray, new_levels: NewLevels) -> None:
    unknown = np.flatnonzero(codes < 0)
    if len(unknown) and new_levels == "error":
        raise FitError(
            f"{len(unknown)} row(s), the first being row {unknown[0]}, have a level of "
            f'{frame.groupings[k].name} that was not fitted. Pass new_levels="zero" to predict '
            f"them with random effects of zero, or random=False."
        )
