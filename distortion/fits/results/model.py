"""What a fitted model can do beyond reporting its estimates; `Fit` delegates to it.

A model class inherits from `Model` and overrides what it can do. What it does not override raises
`FitError` with the reason, so that no unsupported path returns a number.
"""

from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame
    from distortion.fits.models.explained import Explained
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
NewLevels = Literal["error", "zero"]
Residuals = Literal["response", "pearson", "working", "deviance"]


class Model(Protocol):
    """The data and structure behind a `Fit`; immutable, and can be pickled.

    Attributes
    ----------
    label : what the model is called in a refusal, with its article: "a linear mixed model"
    frame : the formula applied to the table: what the model was fitted to
    """

    label: str
    frame: "ModelFrame"

    @property
    def outside_terms(self) -> tuple[str, ...]:
        """Terms of the frame that have no part in the equation, such as instruments."""
        return ()

    def random_effects(self) -> pl.DataFrame:
        """Conditional modes: group, level, term, mode, sd."""
        self._cannot("has random effects", "Use fit_lmm or fit_glmm with a term like (1 | group).")

    def predict(
        self,
        table: Any = None,
        *,
        random: bool = True,
        new_levels: NewLevels = "error",
    ) -> Values:
        """Expected response (m,) of the rows of `table`, of the rows fitted without it."""
        self._cannot("can predict")

    def residuals(self, kind: Residuals) -> Values:
        """Residuals (n,) of the rows fitted."""
        self._cannot(f"has {kind} residuals")

    def simulate(self, rng: np.random.Generator, n: int) -> Values:
        """`n` new responses (n_obs, n) drawn from the fitted model."""
        self._cannot("can simulate", "It does not state the distribution of a response.")

    def refit(self, y: Values) -> "Fit":
        """The same model fitted to another response (n,) of the same rows."""
        self._cannot("can be refitted to another response")

    def confint(self, fit: "Fit", method: str, level: float, **options: Any) -> pl.DataFrame:
        """Intervals other than Wald's: term, estimate, conf_low, conf_high."""
        self._cannot(f"has {method!r} intervals", 'Use fit.confint("wald").')

    def bootstrap(
        self, fit: "Fit", n: int, rng: np.random.Generator, **options: Any
    ) -> pl.DataFrame:
        """`n` refits to simulated or resampled data: one row each, one column per parameter."""
        self._cannot("has bootstrap")

    def explained(self) -> "Explained":
        """Variances of the fixed part, of each grouping factor and of the residual."""
        self._cannot("has intraclass correlations", "They are of mixed models: fit_lmm, fit_glmm.")

    def test_df(self, L: Values) -> float:
        """Denominator degrees of freedom of the test of L β, L (k, p) of full row rank."""
        self._cannot("has tests of contrasts")

    def f_scale(self, L: Values) -> float:
        """Factor of the F statistic of L β, 1 but for Kenward and Roger's λ where k > 1."""
        return 1.0

    def _cannot(self, what: str, instead: str = "") -> NoReturn:
        name = f"{self.label[:1].upper()}{self.label[1:]}"
        verb, _, rest = what.partition(" ")
        negated = {"has": "has no", "can": "cannot"}[verb]
        raise FitError(f"{name} {negated} {rest}. {instead}".rstrip())
