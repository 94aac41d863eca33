"""Samples of one family become tests: statistic, interval, effect size, permutation, correction.

Rows come from `distortion.comparisons` with the summary statistics `n`, `mean`, `sd` (and `n_b`,
`mean_b`, `sd_b` of a second sample) and the `values` behind them.
"""

from dataclasses import asdict
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from distortion.corrections import CORRECTIONS
from distortion.fits.permutation import exchanged_networks, sign_flips
from distortion.fits.ttests import TTests, one_sample, two_sample
from distortion.hypotheses import Hypothesis, Side
from distortion.settings import Settings

Values = NDArray[np.float64]
RANGES: Final = {"rho": (-1.0, 1.0), "recall_change": (-1.0, 1.0)}
NUMBERS: Final = ("estimate", "std_error", "df", "statistic", "p_value", "kappa", "rho")
# What rows that a model has tested lack of those of samples.
ADOPTED: Final = {
    "left_out": (0, pl.Int64()),
    "differs": ("", pl.String()),
    "comparison": ("", pl.String()),
    "balanced": (True, pl.Boolean()),
    **dict.fromkeys(NUMBERS, (None, pl.Float64())),
}


def tested(
    tests: pl.DataFrame, hypothesis: Hypothesis, settings: Settings, rng: np.random.Generator
) -> pl.DataFrame:
    """Test every row and correct within columns.

    Returns
    -------
    The rows with `estimate`, `std_error`, `df`, `statistic`, `p_value`, `conf_low`, `conf_high`,
    `conf_level`, `null`, `margin`, `effect_size` (Hedges' g), `p_permutation` (of differences
    only), `p_corrected`, `n_tests`; `kappa_low`, `kappa_high` where log κ stands beside.
    """
    size = tests.select(pl.len().over(_column(tests, hypothesis)).alias("size"))["size"]
    error = (1 - settings.level) / size.to_numpy()
    if hypothesis.kind == "difference":
        result = _t_tests(tests, hypothesis.null, hypothesis.side, 1 - error, settings)
        null, margin = hypothesis.null, np.nan
    else:
        equivalence = hypothesis.kind == "equivalence"
        margin = settings.margin if equivalence else settings.class_margin
        null = hypothesis.null if equivalence else -margin
        result = _margin_tests(tests, hypothesis.null, margin, equivalence, error, settings)
        error = 2 * error  # the interval that decides as the one-sided tests do
    found = {name: pl.Series(name, v, nan_to_null=True) for name, v in asdict(result).items()}
    tests = tests.with_columns(*found.values())
    return _corrected(
        _possible(tests, hypothesis).with_columns(
            *_spread_interval(tests, 1 - error),
            conf_level=pl.Series(1 - error),
            null=pl.lit(null, pl.Float64),
            margin=pl.Series([margin], dtype=pl.Float64).fill_nan(None).first(),
            effect_size=_effect_size(tests, null),
            p_permutation=_permutation(tests, hypothesis, rng),
        ),
        hypothesis,
    )


def adopted(tests: pl.DataFrame, hypothesis: Hypothesis, settings: Settings) -> pl.DataFrame:
    """Rows that were tested already, corrected within columns; t intervals where they have none."""
    tests = tests.with_columns(
        pl.lit(value, dtype).alias(name)
        for name, (value, dtype) in ADOPTED.items()
        if name not in tests.columns
    )
    size = tests.select(pl.len().over(_column(tests, hypothesis)).alias("size"))["size"]
    error = (1 - settings.level) / size.to_numpy()
    margin = None
    if hypothesis.kind == "equivalence":
        margin, error = settings.margin, 2 * error
        tests = tests.with_columns(_within(tests, hypothesis.null, margin))
    df, std_error = (tests[c].to_numpy().astype(np.float64) for c in ("df", "std_error"))
    half = -stdtrit(df, error / 2) * std_error
    estimate = tests["estimate"].to_numpy().astype(np.float64)
    bounds = {"conf_low": estimate - half, "conf_high": estimate + half, "conf_level": 1 - error}
    tests = tests.with_columns(
        **{name: pl.Series(values, nan_to_null=True) for name, values in bounds.items()}
    )
    return _corrected(
        _possible(tests, hypothesis).with_columns(
            null=pl.lit(hypothesis.null, pl.Float64), margin=pl.lit(margin, pl.Float64)
        ),
        hypothesis,
    )


def _within(tests: pl.DataFrame, null: float, margin: float) -> pl.Series:
    """P-values of two one-sided t-tests (Schuirmann 1987) of estimates with their errors."""
    estimate, df, error = (
        tests[c].to_numpy().astype(np.float64) for c in ("estimate", "df", "std_error")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = (estimate - null + margin) / error, (estimate - null - margin) / error
    p = np.maximum(stdtr(df, -above), stdtr(df, below))
    return pl.Series("p_value", p, nan_to_null=True)


def _possible(tests: pl.DataFrame, hypothesis: Hypothesis) -> pl.DataFrame:
    """Intervals cut where the measure ends."""
    if hypothesis.measure not in RANGES:
        return tests
    bounds = pl.col("conf_low", "conf_high").clip(*RANGES[hypothesis.measure])
    return tests.with_columns(bounds)


def _t_tests(
    tests: pl.DataFrame, null: float, side: Side, level: Values, settings: Settings
) -> TTests:
    mean, sd, n = (tests[c].to_numpy() for c in ("mean", "sd", "n"))
    if "n_b" not in tests.columns:
        return one_sample(mean, sd, n, null, side, level)
    mean_b, sd_b, n_b = (tests[c].to_numpy() for c in ("mean_b", "sd_b", "n_b"))
    equal = settings.equal_variances
    return two_sample(mean, sd, n, mean_b, sd_b, n_b, null, side, level, equal_variances=equal)


def _margin_tests(
    tests: pl.DataFrame,
    null: float,
    margin: float,
    equivalence: bool,
    error: Values,
    settings: Settings,
) -> TTests:
    """One test against the lower margin and, for equivalence, one against the upper.

    The larger p-value counts (Schuirmann 1987), and the statistic that goes with it.
    """
    level = 1 - 2 * error
    lower = _t_tests(tests, null - margin, "greater", level, settings)
    if not equivalence:
        return lower
    upper = _t_tests(tests, null + margin, "less", level, settings)
    which = upper.p_value > lower.p_value
    chosen = {
        name: np.where(which, getattr(upper, name), value) for name, value in asdict(lower).items()
    }
    return TTests(**chosen)


def _spread_interval(tests: pl.DataFrame, level: Values) -> list[pl.Series]:
    if "mean_log_kappa" not in tests.columns:
        return []
    mean, sd, n = (tests[f"{c}_log_kappa"].to_numpy() for c in ("mean", "sd", "n"))
    spread = one_sample(mean, sd, n, 0.0, "two-sided", level)
    return [
        pl.Series("kappa_low", np.exp(spread.conf_low), nan_to_null=True),
        pl.Series("kappa_high", np.exp(spread.conf_high), nan_to_null=True),
    ]


def _effect_size(tests: pl.DataFrame, null: float) -> pl.Series:
    """Hedges' g (1981): the difference from the null in SDs of networks, without its small bias."""
    mean, sd, n = (tests[c].to_numpy().astype(np.float64) for c in ("mean", "sd", "n"))
    df = n - 1
    if "n_b" in tests.columns:
        mean_b, sd_b, n_b = (
            tests[c].to_numpy().astype(np.float64) for c in ("mean_b", "sd_b", "n_b")
        )
        df = n + n_b - 2
        mean = mean - mean_b
        with np.errstate(divide="ignore", invalid="ignore"):
            sd = np.sqrt(((n - 1) * sd**2 + (n_b - 1) * sd_b**2) / df)
    with np.errstate(divide="ignore", invalid="ignore"):
        g = np.where((df > 1) & (sd > 0), (mean - null) / sd * (1 - 3 / (4 * df - 1)), np.nan)
    return pl.Series(g, nan_to_null=True)


def _permutation(
    tests: pl.DataFrame, hypothesis: Hypothesis, rng: np.random.Generator
) -> pl.Series:
    if hypothesis.kind != "difference":
        return pl.Series([None] * tests.height, dtype=pl.Float64)
    null, side = hypothesis.null, hypothesis.side
    if "values_b" in tests.columns:
        found = [
            exchanged_networks(a.to_numpy(), b.to_numpy(), null, side, rng)
            for a, b in zip(tests["values"], tests["values_b"], strict=True)
        ]
    else:
        found = [sign_flips(a.to_numpy(), null, side, rng) for a in tests["values"]]
    return pl.Series(np.array(found, dtype=np.float64), nan_to_null=True)


def _corrected(tests: pl.DataFrame, hypothesis: Hypothesis) -> pl.DataFrame:
    correct = CORRECTIONS[hypothesis.correction]

    def corrected(p: pl.Series) -> pl.Series:
        return pl.Series(correct(p.to_numpy().astype(np.float64)), nan_to_null=True)

    over = _column(tests, hypothesis)
    return tests.with_columns(
        pl.col("p_value")
        .map_batches(corrected, return_dtype=pl.Float64)
        .over(over)
        .alias("p_corrected"),
        pl.len().over(over).cast(pl.Int64).alias("n_tests"),
        correction=pl.lit(hypothesis.correction),
    )


def _column(tests: pl.DataFrame, hypothesis: Hypothesis) -> list[pl.Expr]:
    """What tests that are corrected together agree on."""
    return [pl.col(c) for c in hypothesis.column if c in tests.columns] or [pl.lit(0)]
