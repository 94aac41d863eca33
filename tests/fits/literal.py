"""Fits written down as literals, so that what reads a fit is tested without fitting anything."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from distortion.fits.results.model import Model, Values
from distortion.fits.results.result import Fit


@dataclass(frozen=True)
class FixedModel(Model):
    """A model that knows nothing but its degrees of freedom."""

    df: float = 17.0
    label: str = "a literal model"

    def test_df(self, L: Values) -> float:
        return self.df


def mixed_fit(**changes: Any) -> Fit:
    """The sleep study of lme4 in round numbers."""
    fields: dict[str, Any] = {
        "kind": "lmm",
        "formula": "reaction ~ days + (days | subject)",
        "estimator": "REML",
        "df_method": "satterthwaite",
        "covariance_type": "model",
        "names": ("Intercept", "days"),
        "coefficients": np.array([251.405, 10.467]),
        "covariance": np.array([[46.575, -1.451], [-1.451, 2.389]]),
        "df": np.array([17.0, 17.02]),
        "model": FixedModel(),
        "loglik": -871.814,
        "n_parameters": 6,
        "n_obs": 180,
        "criterion": 1743.628,
        "sigma": 25.59,
        "theta": np.array([0.967, 0.015, 0.231]),
        "variances": pl.DataFrame(
            {
                "group": ["subject", "subject", "Residual"],
                "term": ["Intercept", "days", None],
                "variance": [612.1, 35.07, 654.94],
                "sd": [24.741, 5.9221, 25.592],
                "correlation": [None, 0.066, None],
            }
        ),
        "groups": {"subject": 18},
        "notes": ("2 rows were left out, because reaction is missing there.",),
    }
    return Fit(**(fields | changes))


def plain_fit(**changes: Any) -> Fit:
    """A regression without random effects, tested asymptotically."""
    fields: dict[str, Any] = {
        "kind": "ols",
        "formula": "y ~ x",
        "estimator": "OLS",
        "df_method": "asymptotic",
        "covariance_type": "HC3",
        "names": ("Intercept", "x"),
        "coefficients": np.array([1.0, -0.5]),
        "covariance": np.diag([0.04, 0.01]),
        "df": np.array([np.inf, np.inf]),
        "model": FixedModel(np.inf),
        "loglik": -20.5,
        "n_parameters": 3,
        "n_obs": 40,
        "sigma": 0.75,
        "r_squared": {"R²": 0.4},
    }
    return Fit(**(fields | changes))
