"""The one result type of every `fit_*`: frozen estimates, and what they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.marginal import margins
from distortion.fits.marginal.margins import Names
from distortion.fits.marginal.pairwise import Adjust, Comparison, Contrasts, Scale
from distortion.fits.results import anova, contrasts, rendering
from distortion.fits.results.arguments import Seed, choice, count, generator, no_options, numbers
from distortion.fits.results.contrasts import Adjustment, Spec
from distortion.fits.results.distributions import std_errors, tidy
from distortion.fits.results.model import Model, NewLevels, Residuals

__all__ = ["Fit", "Kind", "Model"]

Values = NDArray[np.float64]
Kind = Literal["lmm", "glmm", "ols", "panel", "iv"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Fit:
    """A fitted regression or mixed model with p fixed effects.

    Attributes
    ----------
    kind : which function made it
    formula : as the user wrote it
    estimator : "REML", "ML", "Laplace", "OLS", "within", "2SLS", …
    df_method : "satterthwaite", "kenward-roger", "residual", "clusters" or "asymptotic"
    covariance_type : of the fixed effects: "model", "HC3", "clustered by network", …
    names, coefficients, df : (p,) fixed effects; df infinite for a normal reference
    covariance : (p, p) of the coefficients
    model : what can predict, simulate and refit
    loglik : maximised log-likelihood, restricted where `estimator` is REML; NaN without one
    n_parameters : counted by AIC and BIC: fixed effects and variance parameters
    criterion : −2 log-likelihood, restricted under REML; None for least squares
    sigma : residual standard deviation, on the scale of the response
    theta : free entries of the relative covariance factors
    variances : group, term, variance, sd, correlation; the last row is the residual
    groups : number of levels of each grouping factor, cluster or entity
    singular : whether a variance was estimated at its boundary
    notes : what a reader has to know, in sentences
    trace : the optimizer's history
    r_squared : by name: "R²", "within", "marginal", "conditional", …
    diagnostics : tests of assumptions: test, statistic (F; χ² where df_den is infinite), df_num,
        df_den, p_value
    resampled : p_value, conf_low and conf_high that stand in `estimates` instead of those by t
    """

    kind: Kind
    formula: str
    estimator: str
    df_method: str
    covariance_type: str
    names: tuple[str, ...]
    coefficients: Values
    covariance: Values
    df: Values
    model: Model
    loglik: float
    n_parameters: int
    n_obs: int
    criterion: float | None = None
    sigma: float | None = None
    theta: Values | None = None
    variances: pl.DataFrame | None = None
    groups: Mapping[str, int] = field(default_factory=dict)
    converged: bool = True
    singular: bool = False
    notes: tuple[str, ...] = ()
    trace: pl.DataFrame | None = None
    conf_level: float = 0.95
    family: str = "gaussian"
    link: str = "identity"
    r_squared: Mapping[str, float] = field(default_factory=dict)
    diagnostics: pl.DataFrame | None = None
    resampled: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        self._level(self.conf_level)
        p = len(self.names)
        for name, shape in (("coefficients", (p,)), ("covariance", (p, p)), ("df", (p,))):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}, not {shape}")
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @cached_property
    def estimates(self) -> pl.DataFrame:
        """Term, estimate, std_error, df, statistic, p_value, conf_low and conf_high."""
        errors = std_errors(self.covariance)
        rows = tidy(self.names, self.coefficients, errors, self.df, self.conf_level)
        return rows if self.resampled is None else rows.with_columns(self.resampled)

    @property
    def aic(self) -> float:
        """Akaike's criterion, −2 loglik + 2 n_parameters."""
        return 2 * self.n_parameters - 2 * self.loglik

    @property
    def bic(self) -> float:
        """Schwarz' criterion, −2 loglik + log(n_obs) n_parameters."""
        return float(np.log(self.n_obs)) * self.n_parameters - 2 * self.loglik

    def contrast(
        self,
        spec: Spec,
        *,
        null: float | Sequence[float] = 0.0,
        adjust: Adjustment = "none",
        level: float | None = None,
    ) -> pl.DataFrame:
        """Estimate linear combinations of the fixed effects and test them against `null`.

        Parameters
        ----------
        spec : `{"x": 1, "x:g[T.b]": 1}`, text like `"x + x:g[T.b] = 0"` (several separated by
            commas), a list of either, a mapping of labels to either, or a matrix (k, p)
        null : value under the hypothesis, where the text does not give it
        adjust : "none", "bonferroni", "holm" or "single-step" (multivariate t; the intervals are
            simultaneous too, Bonferroni's under "holm")
        level : of the intervals; by default that of the fit

        Returns
        -------
        The columns of `estimates` and `null`, one row per combination.

        Raises
        ------
        FitError : a name is unknown, or text cannot be read (its position is shown)
        """
        return contrasts.contrast(self, spec, null, adjust, self._level(level))

    def joint_test(self, spec: Spec, *, null: float | Sequence[float] = 0.0) -> pl.DataFrame:
        """F test that all combinations of `spec` equal their null values at once.

        One row: term, df_num, df_den, statistic, p_value. `spec` as in `contrast`.
        """
        return contrasts.joint_test(self, spec, null)

    def anova(self) -> pl.DataFrame:
        """Type III F test of every term: term, df_num, df_den, statistic, p_value.

        The hypotheses do not depend on how factors are coded: a main effect is averaged with
        equal weights over the levels of the factors that it interacts with. A term whose columns
        were all left out has df_num 0 and no test.
        """
        return anova.type_three(self)

    def means(
        self,
        factors: Names = (),
        *,
        by: Names = (),
        at: Mapping[str, Any] | None = None,
        contrasts: Contrasts | None = None,
        adjust: Adjust | None = None,
        scale: Scale = "link",
        level: float | None = None,
    ) -> pl.DataFrame:
        """Estimate marginal means, or compare them.

        Parameters
        ----------
        factors : categorical columns whose levels, or combinations, each have a mean
        by : columns within whose levels the means stand and are compared
        at : values of columns, such as `{"x": 0}` or `{"g": ["a", "b"]}`; by default numeric ones
            are at their mean, and levels of categorical ones are averaged with equal weights
        contrasts : "pairwise" differences, or "reference": each against the first
        adjust : for the comparisons within a level of `by`: "tukey" (usual for pairs),
            "single-step" (usual against a reference), "holm", "bonferroni" or "none"
        scale : "link", or "response" for means and ratios of odds or means

        Returns
        -------
        The columns of `estimates`, after one for each column of `by` and `factors`. Means that the
        rows do not determine, as for an empty cell, are NaN.

        Raises
        ------
        FitError : a column, level or option is unknown
        """
        comparison = Comparison(contrasts, adjust, scale, self._level(level))
        return margins.means(self, factors, by, at, comparison)

    def slopes(
        self,
        variable: str,
        *,
        by: Names = (),
        at: Mapping[str, Any] | None = None,
        contrasts: Contrasts | None = None,
        adjust: Adjust | None = None,
        level: float | None = None,
    ) -> pl.DataFrame:
        """Estimate the slope along a numeric column per level of `by`, or compare the slopes.

        Options and result as `means`, on the scale of the link.
        """
        comparison = Comparison(contrasts, adjust, "link", self._level(level))
        return margins.slopes(self, variable, by, at, comparison)

    def icc(self) -> pl.DataFrame:
        """Intraclass correlations: group, variance, icc, icc_unadjusted; the last row is "All".

        `icc` is the share of a grouping factor in the variance that the fixed effects leave,
        `icc_unadjusted` that in all of it. `r_squared` has marginal and conditional R².
        """
        return self.model.explained().icc

    def random_effects(self) -> pl.DataFrame:
        """Conditional modes of the random effects: group, level, term, mode, sd."""
        return self.model.random_effects()

    def predict(
        self, table: Any = None, *, random: bool = True, new_levels: NewLevels = "error"
    ) -> Values:
        """Expected response (m,) for the rows of `table`, or for the rows fitted.

        Parameters
        ----------
        table : polars or pandas frame with the columns of the formula's right-hand side
        random : whether to add the conditional modes of the random effects
        new_levels : whether levels not seen are an error, or have a random effect of zero
        """
        choice("new_levels", new_levels, ("error", "zero"))
        return self.model.predict(table, random=random, new_levels=new_levels)

    def residuals(self, kind: Residuals = "response") -> Values:
        """Residuals (n_obs,) of the rows fitted."""
        return self.model.residuals(kind)

    def simulate(self, rng: Seed, n: int = 1) -> Values:
        """Draw `n` new responses (n_obs, n) from the fitted model."""
        return self.model.simulate(generator(rng), count("n", n))

    def refit(self, y: Values) -> "Fit":
        """Fit the same model to another response (n_obs,) of the same rows."""
        return self.model.refit(numbers("A refit", y, self.n_obs))

    def confint(
        self, method: str = "wald", *, level: float | None = None, **options: Any
    ) -> pl.DataFrame:
        """Confidence intervals: term, estimate, conf_low, conf_high.

        Wald's are those of `estimates`; "profile" and "bootstrap", where the model has them, cover
        the variance parameters as well.
        """
        level = self._level(level)
        if method in ("bootstrap", "wild"):
            options["rng"] = generator(options.get("rng"))
        if method != "wald":
            return self.model.confint(self, method, level, **options)
        no_options("Wald's intervals", options)
        errors = std_errors(self.covariance)
        rows = tidy(self.names, self.coefficients, errors, self.df, level)
        return rows.select("term", "estimate", "conf_low", "conf_high")

    def bootstrap(self, n: int = 1000, *, rng: Seed, **options: Any) -> pl.DataFrame:
        """Refit to `n` simulated or resampled responses: one row each, a column per parameter."""
        return self.model.bootstrap(self, count("n", n), generator(rng), **options)

    def summary(self) -> str:
        """The fit as text for a terminal."""
        return rendering.text(self)

    def to_markdown(self) -> str:
        """The fit as GitHub-flavoured Markdown."""
        return rendering.markdown(self)

    def to_latex(self) -> str:
        """The fit as a LaTeX fragment that needs `booktabs` and T1 `fontenc`."""
        return rendering.latex(self)

    def _level(self, level: float | None) -> float:
        level = self.conf_level if level is None else level
        if not isinstance(level, float) or not 0 < level < 1:
            raise FitError(f"A confidence level lies between 0 and 1, not at {level}.")
        return level

    def _repr_html_(self) -> str:
        return rendering.html(self)

    def __repr__(self) -> str:
        return f"<Fit {self.kind}: {self.formula}; {self.estimator}, {self.n_obs} observations>"

    def __str__(self) -> str:
        return self.summary()
