"""Linear regression by statsmodels, with robust, clustered and bootstrapped tests.

    y = X β + u

Weights are inverse variances: rows of y and X are multiplied by their roots. The covariances are
those of `distortion.fits.regressions.covariances`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import model_frame
from distortion.fits.regressions.clusters import (
    Cluster,
    Clustering,
    cluster_columns,
    clusterings,
    count_notes,
    leverage_notes,
)
from distortion.fits.regressions.covariances import (
    Covariance,
    clustered_covariance,
    covariance_type,
    described,
    robust_covariance,
    small_sample_note,
)
from distortion.fits.regressions.leastsquares import (
    Arrays,
    LeastSquaresModel,
    checked_response,
    dependent_columns,
    dropped_notes,
    gather,
    unit_columns,
)
from distortion.fits.regressions.standard import check_range, power_of_two
from distortion.fits.regressions.wildtests import (
    WildWeights,
    resampled_coefficients,
    wild_rows,
    wild_test,
)
from distortion.fits.results.equations import hypotheses
from distortion.fits.results.result import Fit
from distortion.frames import to_polars

Values = NDArray[np.float64]
BOOTSTRAP_HINT: Final = 'Clustered in one way, bootstrap="wild" tests better.'


@dataclass(frozen=True, slots=True)
class Settings:
    """What does not depend on the response."""

    covariance: Covariance
    clusters: tuple[Clustering, ...]
    conf_level: float


@dataclass(frozen=True)
class OlsModel(LeastSquaresModel):
    """A linear regression whose rows, columns and clusters are known."""

    settings: Settings
    sigma: float

    def simulate(self, rng: np.random.Generator, n: int) -> Values:
        """Normal responses (n_obs, n); the variance of a row is σ² / weight."""
        arrays = gather(self.frame, [])
        scale = self.sigma if arrays.weights is None else self.sigma / np.sqrt(arrays.weights)
        noise = rng.standard_normal((n, self.frame.n_obs)) * scale
        return (self.predict() + noise).T

    def confint(self, fit: Fit, method: str, level: float, **options: Any) -> pl.DataFrame:
        """Intervals by the wild cluster bootstrap; `options` are those of `wild_test`."""
        if method != "wild":
            return super().confint(fit, method, level)
        rows = wild_test(fit, np.eye(len(fit.names)), level=level, **options)
        return rows.select("term", "estimate", "conf_low", "conf_high")

    def bootstrap(self, fit: Fit, n: int, rng: np.random.Generator, **options: Any) -> pl.DataFrame:
        """Coefficients (n, p) of n samples; see `resampled_coefficients`."""
        return resampled_coefficients(fit, n, rng)

    def refit(self, y: Values) -> Fit:
        """The same columns, covariance and clusters with another response (n,)."""
        y = checked_response(y, self.frame)
        arrays = gather(self.frame)
        offset = self.observed() - arrays.y
        return _estimate(self.frame, replace(arrays, y=y - offset), self.settings)


def fit_ols(
    formula: str,
    table: Any,
    *,
    cluster: Cluster = None,
    covariance: Covariance | None = None,
    weights: str | None = None,
    levels: Mapping[str, Sequence[Any]] | None = None,
    bootstrap: Literal["wild"] | None = None,
    draws: int = 9999,
    wild_weights: WildWeights | None = None,
    rng: np.random.Generator | int | None = None,
    conf_level: float = 0.95,
) -> Fit:
    """Fit a linear regression by ordinary or weighted least squares.

    Parameters
    ----------
    formula : `"y ~ x * g"`; no random effects
    table : polars or pandas frame
    cluster : column whose rows have dependent errors, `"a:b"` for combinations of columns, or two
        of either for two-way clustering
    covariance : "HC3" unless clustered; "nonrobust", "HC0", "HC1", "HC2"
    weights : column of inverse variances
    levels : order of the levels of categorical columns, the reference first
    bootstrap : "wild" replaces p-values and intervals by those of the wild cluster bootstrap
    draws : of the bootstrap; where fewer weight vectors exist, all are used
    wild_weights : "rademacher" (from 12 clusters on) or "webb" (with fewer)
    rng : generator or seed of the bootstrap, needed where it draws
    conf_level : of the intervals

    Raises
    ------
    FitError
        The formula has random effects, there are not more rows than coefficients, fewer than two
        clusters, or the table does not fit the formula.
    """
    parsed = parse(formula)
    refuse_mixed(parsed, "fit_ols")
    source = to_polars(table)
    ways = cluster_columns(cluster, source.collect_schema().names())
    chosen = covariance_type(covariance, bool(ways))
    need = [column for _, columns in ways for column in columns]
    frame = model_frame(parsed, source, weights=weights, levels=levels, need=need)
    settings = Settings(chosen, clusterings(frame, ways), conf_level)
    fit = _estimate(frame, gather(frame), settings)
    if bootstrap is None:
        return fit
    if bootstrap != "wild":
        raise FitError(f"{bootstrap!r} is no bootstrap of a regression. Known: wild.")
    every = hypotheses(np.eye(len(fit.names)), fit.names)
    rows, note = wild_rows(fit, every, draws, wild_weights, rng, conf_level)
    return replace(
        fit,
        resampled=rows.select("p_value", "conf_low", "conf_high"),
        notes=(*(n.replace(f" {BOOTSTRAP_HINT}", "") for n in fit.notes), note),
    )


def refuse_mixed(parsed: Any, function: str) -> None:
    """Raise FitError if a formula has random effects or counts out of trials."""
    if parsed.random:
        raise FitError(
            f"{function} has no random effects such as {parsed.random[0]}: use fit_lmm, or "
            f"cluster={':'.join(parsed.random[0].group)!r} with fixed effects only."
        )
    if parsed.trials is not None:
        raise FitError(
            f"{parsed.response}/{parsed.trials} is a response of fit_glmm. {function} takes a "
            "number: compute the rate as a column first."
        )


def _estimate(frame: Any, arrays: Arrays, settings: Settings) -> Fit:
    from statsmodels.regression.linear_model import OLS

    names = frame.fixed_names
    check_range(arrays.y, arrays.X, names, frame.formula.response)
    unit = float(power_of_two(np.abs(arrays.y).max()))
    arrays = replace(arrays, y=arrays.y / unit)
    plain = arrays.weighted()
    dependent = dependent_columns(plain.X, names)
    columns = tuple(j for j, name in enumerate(names) if name not in dependent)
    kept = tuple(names[j] for j in columns)
    X = plain.X if not dependent else np.ascontiguousarray(plain.X[:, columns])
    n, p = X.shape
    if n <= p:
        raise FitError(
            f"{n:,} rows for {p} coefficients ({', '.join(kept[:5])}…): nothing is left to "
            "estimate the error from. Use fewer terms."
        )
    X, lengths = unit_columns(X)
    result = OLS(plain.y, X, hasconst=False).fit()
    notes = [*frame.notes, *dropped_notes(dependent)]
    squares = float(result.ssr)
    if squares <= 1e-24 * float(plain.y @ plain.y):
        notes.append("The fit is perfect up to rounding: standard errors mean nothing.")
    A = np.asarray(result.normalized_cov_params)
    ways, df = settings.clusters, float(n - p)
    if ways:
        df = float(min(way.size for way in ways) - 1)
        covariance, repaired = clustered_covariance(X * np.asarray(result.resid)[:, None], A, ways)
        notes += [small_sample_note(ways), *repaired, *count_notes(ways, BOOTSTRAP_HINT)]
        notes += leverage_notes(X, A, ways, kept)
    else:
        covariance = robust_covariance(X, A, result, settings.covariance)
    half_log_weights = 0.0 if arrays.weights is None else float(np.log(arrays.weights).sum()) / 2
    sigma = float(np.sqrt(squares / (n - p))) * unit
    beta, scale = np.asarray(result.params) * (unit / lengths), unit / lengths
    return Fit(
        kind="ols",
        formula=frame.formula.text,
        estimator="OLS" if arrays.weights is None else "WLS",
        df_method="clusters" if ways else "residual",
        covariance_type=described(ways, settings.covariance),
        names=kept,
        coefficients=beta,
        covariance=covariance * np.outer(scale, scale),
        df=np.full(p, df),
        model=OlsModel("a linear regression", frame, columns, beta, df, settings, sigma),
        loglik=float(result.llf) - n * float(np.log(unit)) + half_log_weights,
        n_parameters=p + 1,
        n_obs=n,
        sigma=sigma,
        groups={way.name: way.size for way in ways},
        notes=tuple(notes),
        conf_level=settings.conf_level,
        r_squared=explained(arrays, X, squares),
    )


def explained(arrays: Arrays, X: Values, squares: float) -> dict[str, float]:
    """R² and its adjusted form; about zero instead of the mean where X spans no constant."""
    weights = np.ones(len(arrays.y)) if arrays.weights is None else arrays.weights
    root = np.sqrt(weights)
    constant = X @ np.linalg.lstsq(X.T @ X, X.T @ root, rcond=None)[0]
    spans = float(np.abs(constant - root).max()) < 1e-6 * float(root.max())
    centre = float(weights @ arrays.y / weights.sum()) if spans else 0.0
    total = float(weights @ (arrays.y - centre) ** 2)
    n, p = X.shape
    if total <= 0:
        return {}
    adjusted = 1 - squares / (n - p) / (total / (n - spans))
    return {"R²": 1 - squares / total, "adjusted R²": adjusted}
