"""Tests by t, F and χ² whose degrees of freedom may be infinite; tidy rows made of them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

Values = NDArray[np.float64]
ESTIMATES: Final = (
    "term",
    "estimate",
    "std_error",
    "df",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
)


def two_sided(statistic: ArrayLike, df: ArrayLike) -> Values:
    """P(|T| ≥ |statistic|) for Student's T; standard normal where `df` is infinite."""
    t, df = np.broadcast_arrays(-np.abs(_floats(statistic)), _floats(df))
    finite = np.isfinite(df)
    tail = np.where(finite, stdtr(np.where(finite, df, 1.0), t), ndtr(t))
    return _floats(2 * tail)


def half_width(level: ArrayLike, df: ArrayLike) -> Values:
    """Standard errors from the estimate to a bound of the two-sided interval at `level`."""
    tail, df = np.broadcast_arrays((1 - _floats(level)) / 2, _floats(df))
    finite = np.isfinite(df)
    quantile = np.where(finite, stdtrit(np.where(finite, df, 1.0), tail), ndtri(tail))
    return _floats(-quantile)


def f_tail(statistic: float, df_num: float, df_den: float) -> float:
    """P(F ≥ statistic); χ² / df_num where `df_den` is infinite."""
    if np.isinf(df_den):
        return float(chdtrc(df_num, df_num * statistic))
    return float(fdtrc(df_num, df_den, statistic))


def chi2_tail(statistic: float, df: float) -> float:
    """P(χ² ≥ statistic); without degrees of freedom, the distribution is a point mass at 0."""
    if df == 0:
        return float(statistic <= 0)
    return float(chdtrc(df, max(statistic, 0.0)))


def std_errors(covariance: Values) -> Values:
    """Square roots (p,) of the diagonal; NaN where a variance is negative or undefined."""
    variance = np.diagonal(covariance)
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(variance >= 0, variance, np.nan))


def tidy(
    terms: Sequence[str],
    estimate: Values,
    std_error: Values,
    df: ArrayLike,
    level: float,
    null: ArrayLike = 0.0,
) -> pl.DataFrame:
    """One row per estimate with the columns of `ESTIMATES`.

    Statistic, p-value (two-sided, of `null`) and interval are NaN where the standard error is
    zero, NaN or without degrees of freedom.
    """
    df, null = np.broadcast_to(_floats(df), estimate.shape), _floats(null)
    possible = (std_error > 0) & (df > 0)
    error = np.where(possible, std_error, np.nan)
    safe_df = np.where(possible, df, 1.0)
    statistic = (estimate - null) / error
    half = half_width(level, safe_df) * error
    columns = (
        list(terms),
        estimate,
        std_error,
        df,
        statistic,
        two_sided(statistic, safe_df),
        estimate - half,
        estimate + half,
    )
    return pl.DataFrame(dict(zip(ESTIMATES, columns, strict=True)))


def _floats(values: ArrayLike) -> Values:
    return np.asarray(values, dtype=np.float64)
