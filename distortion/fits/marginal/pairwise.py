"""Tests of marginal means or slopes, each by itself or compared with the others, as tidy tables.

A family of comparisons is what is compared within one combination of the `by` columns. Adjusted
intervals are simultaneous: by the studentized range ("tukey"), the multivariate t of the
comparisons themselves ("single-step"), or Bonferroni's inequality ("bonferroni", "holm").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.corrections import bonferroni, holm
from distortion.errors import FitError, did_you_mean
from distortion.fits.laplace.links import Cloglog, Link, Log, Logit, Probit
from distortion.fits.marginal.estimability import estimable
from distortion.fits.marginal.tukey import range_quantile, range_tail
from distortion.fits.results.contrasts import single_step
from distortion.fits.results.distributions import half_width, tidy

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
Contrasts = Literal["pairwise", "reference"]
Adjust = Literal["none", "tukey", "single-step", "holm", "bonferroni"]
Scale = Literal["link", "response"]
ADJUSTMENTS: Final = ("none", "tukey", "single-step", "holm", "bonferroni")
LINKS: Final[dict[str, Link]] = {link.name: link for link in (Logit(), Probit(), Cloglog(), Log())}
# Links on which a difference is the logarithm of a ratio: of odds, or of means.
RATIOS: Final = ("logit", "log")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is tested: the values themselves or their differences, and how.

    contrasts   None, "pairwise", or "reference": each against the first
    adjust      None for the usual one: "tukey" for pairs, "single-step" against a reference
    scale       "response" undoes the link: means, and ratios of odds or means
    """

    contrasts: Contrasts | None
    adjust: Adjust | None
    scale: Scale
    level: float

    def __post_init__(self) -> None:
        for name, value, known in (
            ("contrasts", self.contrasts, (None, "pairwise", "reference")),
            ("adjust", self.adjust, (None, *ADJUSTMENTS)),
            ("scale", self.scale, ("link", "response")),
        ):
            if value not in known:
                hint = did_you_mean(str(value), [option for option in known if option])
                raise FitError(f"{name} is {value!r}. {hint}")
        if self.adjust == "tukey" and self.contrasts != "pairwise":
            raise FitError('Tukey\'s adjustment is for pairs: use contrasts="pairwise".')

    @property
    def adjustment(self) -> Adjust:
        """The adjustment asked for, or the usual one."""
        if self.adjust is not None:
            return self.adjust
        usual: dict[Contrasts | None, Adjust] = {"pairwise": "tukey", "reference": "single-step"}
        return usual.get(self.contrasts, "none")


def tested(
    fit: "Fit",
    L: Values,
    shift: Values,
    levels: Sequence[dict[str, Any]],
    by: Sequence[str],
    comparison: Comparison,
) -> pl.DataFrame:
    """Test L β + shift, or its contrasts within each combination of the `by` columns.

    Parameters
    ----------
    L, shift : (k, columns of the model frame), (k,)
    levels : (k,) the level of every column that a row stands for
    """
    read = estimable(fit)
    families: dict[tuple[Any, ...], list[int]] = {}
    for i, level in enumerate(levels):
        families.setdefault(tuple(level[name] for name in by), []).append(i)
    tables = []
    for key, members in families.items():
        within = [{k: v for k, v in levels[i].items() if k not in by} for i in members]
        labels = [" ".join(map(str, own.values())) or "overall" for own in within]
        weights = _weights(len(members), comparison.contrasts)
        columns: dict[str, list[Any]] = {name: [key[j]] * len(weights) for j, name in enumerate(by)}
        if comparison.contrasts is None:
            columns |= {name: [own[name] for own in within] for name in within[0]}
        else:
            sign = "/" if comparison.scale == "response" and fit.link in RATIOS else "-"
            labels = [
                f"{labels[int(np.argmax(row))]} {sign} {labels[int(np.argmin(row))]}"
                for row in weights
            ]
        found = _tests(
            fit, read(weights @ L[members]), weights @ shift[members], labels, comparison
        )
        tables.append(pl.concat([pl.DataFrame(columns), found], how="horizontal"))
    return pl.concat(tables)


def _weights(k: int, contrasts: Contrasts | None) -> Values:
    """Return what is tested of k values, one row each, (m, k)."""
    identity = np.eye(k)
    if contrasts is None:
        return identity
    if k < 2:
        raise FitError("There is nothing to compare: name a column with two levels or more.")
    if contrasts == "reference":
        return np.asarray(identity[1:] - identity[0])
    return np.array([identity[i] - identity[j] for i, j in combinations(range(k), 2)])


def _tests(
    fit: "Fit", L: Values, shift: Values, labels: Sequence[str], comparison: Comparison
) -> pl.DataFrame:
    estimate = L @ fit.coefficients + shift
    variance = np.einsum("ij,jk,ik->i", L, fit.covariance, L)
    error = np.sqrt(np.where(variance > 0, variance, np.nan))
    df = np.array(
        [
            fit.model.test_df(row[None]) if row.any() and np.isfinite(row).all() else np.nan
            for row in L
        ]
    )
    level = comparison.level
    rows = tidy(labels, estimate, error, df, level)
    if comparison.adjustment != "none":
        p, critical = _adjusted(rows, L @ fit.covariance @ L.T, comparison)
        rows = rows.with_columns(
            p_value=p, conf_low=estimate - critical * error, conf_high=estimate + critical * error
        )
    return rows if comparison.scale == "link" else _response(rows, fit.link, comparison)


def _adjusted(
    rows: pl.DataFrame, covariance: Values, comparison: Comparison
) -> tuple[Values, Values]:
    """Return p-values and critical values (m,) of a family; NaN where there is no test."""
    statistic, df, p = (rows[name].to_numpy() for name in ("statistic", "df", "p_value"))
    known = np.isfinite(statistic)
    m, level = len(rows), comparison.level
    adjusted, critical = np.full(m, np.nan), np.full(m, np.nan)
    match comparison.adjustment:
        case "tukey":
            means = round((1 + np.sqrt(1 + 8 * m)) / 2)
            root = np.sqrt(2.0)
            quantiles = {d: range_quantile(1 - level, means, d) / root for d in set(df[known])}
            for i in np.flatnonzero(known):
                adjusted[i] = range_tail(abs(statistic[i]) * root, means, df[i])
                critical[i] = quantiles[df[i]]
        case "single-step":
            if known.any():
                size = np.sqrt(np.diagonal(covariance)[known])
                correlation = covariance[np.ix_(known, known)] / np.outer(size, size)
                adjusted[known], critical[known] = single_step(
                    statistic[known], correlation, float(df[known].min()), level
                )
        case _:
            adjusted = holm(p) if comparison.adjustment == "holm" else bonferroni(p)
            critical[known] = half_width(1 - (1 - level) / m, df[known])
    return adjusted, critical


def _response(rows: pl.DataFrame, link: str, comparison: Comparison) -> pl.DataFrame:
    """Undo the link of estimates and bounds; tests stay those on the link's scale."""
    if link == "identity":
        return rows
    if comparison.contrasts is not None:
        if link not in RATIOS:
            raise FitError(
                f"A difference of {link} values has no meaning on the scale of the response. Use "
                'scale="link", or compare means at scale="response" by eye.'
            )
        undo: Link = LINKS["log"]
    else:
        undo = LINKS[link]
    linear = rows["estimate"].to_numpy()
    bounds = {name: undo.mean(rows[name].to_numpy()) for name in ("conf_low", "conf_high")}
    return rows.with_columns(
        estimate=undo.mean(linear),
        std_error=undo.slope(linear) * rows["std_error"].to_numpy(),
        **bounds,
    )
