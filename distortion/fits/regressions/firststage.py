"""Tests that an instrumental-variable regression rests on, with the covariance of its fit.

test                                 regression                       null hypothesis
first stage: e                       e on X1, Z                       instruments say nothing of e
exogeneity (Wu–Hausman)              y on X1, Y, first-stage rests    OLS would do
overidentification                   residuals on X1, Z               all instruments are valid

Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, chapters 5 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.fits.regressions.clusters import Clustering
from distortion.fits.regressions.covariances import clustered_covariance, robust_covariance
from distortion.fits.regressions.leastsquares import COLLINEAR, dependent_columns
from distortion.fits.results.distributions import chi2_tail, f_tail

Values = NDArray[np.float64]
WEAK: Final = 10.0
FIRST_STAGE: Final = "first stage: "


@dataclass(frozen=True, slots=True)
class IvSettings:
    """What does not depend on the response."""

    covariance: Literal["nonrobust", "HC1"]
    clusters: tuple[Clustering, ...]
    conf_level: float
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IvData:
    """y (n,), X1 (n, k1), Y (n, k2) and Z (n, k3), times the roots of the weights."""

    y: Values
    exogenous: Values
    endogenous: Values
    instruments: Values


def diagnostics(
    data: IvData, settings: IvSettings, endogenous: Sequence[str], result: Any, residuals: Values
) -> pl.DataFrame:
    """Test, statistic, df_num, df_den and p_value; `result` is linearmodels' own.

    The statistic is F, or χ² with df_num where df_den is infinite.
    """
    Z = np.hstack([data.exogenous, data.instruments])
    k1, k2, k3 = (part.shape[1] for part in (data.exogenous, data.endogenous, data.instruments))
    rows, rests = [], []
    for name, column in zip(endogenous, data.endogenous.T, strict=True):
        statistic, df, rest = zero_test(column, Z, slice(k1, None), settings)
        rows.append((f"{FIRST_STAGE}{name}", statistic, k3, df))
        if np.linalg.norm(rest) > COLLINEAR * np.linalg.norm(column):
            rests.append(rest)
    augmented = np.column_stack([data.exogenous, data.endogenous, *rests])
    added = slice(k1 + k2, None)
    names = [str(j) for j in range(augmented.shape[1])]
    if rests and len(names) < len(data.y) and not dependent_columns(augmented, names):
        statistic, df, _ = zero_test(data.y, augmented, added, settings)
        rows.append(("exogeneity (Wu–Hausman)", statistic, len(rests), df))
    if k3 > k2:
        name, statistic = overidentification(data, settings, result)
        rows.append((name, statistic, k3 - k2, np.inf))
    return pl.DataFrame(
        {
            "test": [row[0] for row in rows],
            "statistic": [row[1] for row in rows],
            "df_num": [float(row[2]) for row in rows],
            "df_den": [float(row[3]) for row in rows],
            "p_value": [chi2_tail(s, q) if np.isinf(d) else f_tail(s, q, d) for _, s, q, d in rows],
        }
    )


def zero_test(
    y: Values, X: Values, columns: slice, settings: IvSettings
) -> tuple[float, float, Values]:
    """F that coefficients of `columns` of X are zero, its denominator df, residuals (n,)."""
    from statsmodels.regression.linear_model import OLS

    fitted = OLS(y, X, hasconst=False).fit()
    A, rest = np.asarray(fitted.normalized_cov_params), np.asarray(fitted.resid)
    if settings.clusters:
        covariance = clustered_covariance(X * rest[:, None], A, settings.clusters)[0]
        df = float(min(way.size for way in settings.clusters) - 1)
    else:
        covariance = robust_covariance(X, A, fitted, settings.covariance)
        df = float(len(y) - X.shape[1])
    beta, V = np.asarray(fitted.params)[columns], covariance[columns, columns]
    scale = np.sqrt(np.abs(np.diagonal(V)))
    if not (scale > 0).all():
        return np.nan, df, rest
    z = np.linalg.pinv(V / np.outer(scale, scale), hermitian=True)
    return float((beta / scale) @ z @ (beta / scale) / len(beta)), df, rest


def overidentification(data: IvData, settings: IvSettings, result: Any) -> tuple[str, float]:
    """Name and χ² statistic: Sargan's, Wooldridge's robust one, or Hansen's J by clusters."""
    if settings.clusters:
        from linearmodels.iv import IVGMM

        codes = np.column_stack([way.codes for way in settings.clusters])
        exogenous = data.exogenous if data.exogenous.shape[1] else None
        weighting: dict[str, Any] = {"weight_type": "clustered", "clusters": codes}
        made: Any = IVGMM(data.y, exogenous, data.endogenous, data.instruments, **weighting)
        return "overidentification (Hansen J)", float(made.fit().j_stat.stat)
    if settings.covariance == "HC1":
        return "overidentification (Wooldridge)", float(result.wooldridge_overid.stat)
    return "overidentification (Sargan)", float(result.sargan.stat)
