"""Student's and Welch's t-tests from summary statistics, many at once.

All arguments are arrays (m,) or scalars, one entry per test; `sd` is the sample standard deviation
(divisor n − 1). A test that is impossible (fewer than two values, or no variation at all) has NaN
in every field but the estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from distortion.hypotheses import Side

Values = NDArray[np.float64]
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class TTests:
    """Results (m,) of m tests; the interval is two-sided at `level`, whatever the side tested."""

    estimate: Values
    std_error: Values
    df: Values
    statistic: Values
    p_value: Values
    conf_low: Values
    conf_high: Values


def one_sample(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, null: float, side: Side, level: ArrayLike
) -> TTests:
    """Test a mean against `null`; of paired differences, this is the paired t-test."""
    mean, sd, n = _floats(mean), _floats(sd), _floats(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        std_error = sd / np.sqrt(n)
        df = n - 1
    return _finish(mean, std_error, df, null, side, level)


def two_sample(
    mean_a: ArrayLike,
    sd_a: ArrayLike,
    n_a: ArrayLike,
    mean_b: ArrayLike,
    sd_b: ArrayLike,
    n_b: ArrayLike,
    null: float,
    side: Side,
    level: ArrayLike,
    *,
    equal_variances: bool = False,
) -> TTests:
    """Test the difference a − b of two independent means.

    Welch's test with Satterthwaite's degrees of freedom, or Student's with the pooled variance
    (`equal_variances=True`). Good et al. (2022) do not say which they used.
    """
    var_a, var_b = _floats(sd_a) ** 2, _floats(sd_b) ** 2
    n_a, n_b = _floats(n_a), _floats(n_b)
    with np.errstate(invalid="ignore", divide="ignore"):
        if equal_variances:
            df = n_a + n_b - 2
            pooled = ((n_a - 1) * var_a + (n_b - 1) * var_b) / df
            variance = pooled * (1 / n_a + 1 / n_b)
        else:
            part_a, part_b = var_a / n_a, var_b / n_b
            variance = part_a + part_b
            df = variance**2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
        difference = _floats(mean_a) - _floats(mean_b)
        return _finish(difference, np.sqrt(variance), df, null, side, level)


def _finish(
    estimate: Values, std_error: Values, df: Values, null: float, side: Side, level: ArrayLike
) -> TTests:
    # A standard error that is only rounding error is no variation.
    possible = (df > 0) & (std_error > ROUNDING * np.maximum(1, np.abs(estimate)))
    std_error, df = np.where(possible, std_error, np.nan), np.where(possible, df, np.nan)
    statistic = (estimate - null) / std_error
    p_value = {
        "greater": stdtr(df, -statistic),
        "less": stdtr(df, statistic),
        "two-sided": 2 * stdtr(df, -np.abs(statistic)),
    }[side]
    half = -stdtrit(df, (1 - _floats(level)) / 2) * std_error
    return TTests(estimate, std_error, df, statistic, p_value, estimate - half, estimate + half)


def _floats(values: ArrayLike) -> Values:
    return np.asarray(values, dtype=np.float64)
