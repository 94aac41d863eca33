"""Several fits in one table, a column each: estimates, random effects, sizes and criteria."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from distortion.errors import FitError
from distortion.escape import to_html, to_markdown_line
from distortion.fits.results import sheets
from distortion.fits.results.rendering import by_error, fixed, share_name, significant
from distortion.fits.results.result import Fit
from distortion.fits.results.sheets import Sheet
from distortion.labels import clean

Shown = Literal["std_error", "interval"]
Values = dict[tuple[str, str, str], float]
TITLE: Final = "Fits side by side"
PARTS: Final = ("estimate", "random effect", "fit")
# Rows of the last part: sizes, then shares, then likelihoods.
RANKS: Final = {"n": 0, "r_squared": 1, "loglik": 2, "aic": 3, "bic": 4}


@dataclass(frozen=True, eq=False, repr=False)
class SideBySide:
    """The table of `side_by_side`.

    Attributes
    ----------
    table : part ("estimate", "random effect" or "fit"), term, value (what the number is: estimate,
        std_error, conf_low, conf_high, sd, correlation, n, aic, …) and a column for each fit, null
        where it has no such number
    fits : by the name of their column
    show : what stands below an estimate
    """

    table: pl.DataFrame
    fits: Mapping[str, Fit]
    show: Shown

    def __str__(self) -> str:
        notes = "\n".join(sheets.wrapped(note, "") for note in self.notes)
        return f"{sheets.to_text(self.sheet())}\n\n{notes}\n"

    def to_markdown(self) -> str:
        """A GitHub-flavoured Markdown table with its notes."""
        notes = "\n\n".join(to_markdown_line(note) for note in self.notes)
        return f"{sheets.markdown_table(self.sheet())}\n{notes}\n"

    def to_latex(self) -> str:
        """A LaTeX `table` that needs `booktabs`."""
        return sheets.latex_float(TITLE, [sheets.latex_tabular(self.sheet())], self.notes)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{to_html(note)}</p>" for note in self.notes)
        return f'<div class="distortion-fit">{sheets.html_table(self.sheet())}\n{notes}</div>'

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands below estimates, and what each column is."""
        levels = sorted({fit.conf_level for fit in self.fits.values()})
        shown = " and ".join(f"{100 * level:g}%" for level in levels)
        below = {
            "std_error": "Standard errors in parentheses.",
            "interval": f"{shown} intervals in brackets.",
        }
        formulas = (
            f"{name}: {clean(fit.formula, None)}; {fit.estimator}"
            + ("." if fit.covariance_type == "model" else f", errors {fit.covariance_type}.")
            for name, fit in self.fits.items()
        )
        return (below[self.show], *formulas)

    def sheet(self) -> Sheet:
        """The cells as text."""
        rows: list[tuple[str, ...]] = []
        rules: list[int] = []
        above = "estimate"
        for (part, term), group in self.table.group_by("part", "term", maintain_order=True):
            if part != above:
                rules.append(len(rows))
                above = str(part)
            found = {str(row["value"]): row for row in group.iter_rows(named=True)}
            rows += self._cells(str(part), str(term), found)
        return Sheet("", ("Term", *map(clean, self.fits)), tuple(rows), rules=tuple(rules))

    def _cells(
        self, part: str, term: str, found: Mapping[str, Mapping[str, float | None]]
    ) -> list[tuple[str, ...]]:
        if part != "estimate":
            return [
                (_label(part, term, value), *(_shown(value, row[name]) for name in self.fits))
                for value, row in found.items()
            ]
        upper, lower = [clean(term, None)], [""]
        for name in self.fits:
            estimate, error = found["estimate"][name], found["std_error"][name]
            if estimate is None or error is None:
                upper.append("")
                lower.append("")
                continue
            upper.append(by_error(estimate, error))
            if self.show == "std_error":
                lower.append(f"({by_error(error, error)})")
                continue
            bounds = (found[b][name] for b in ("conf_low", "conf_high"))
            lower.append(
                f"[{', '.join(by_error(np.nan if b is None else b, error) for b in bounds)}]"
            )
        return [tuple(upper), tuple(lower)]


def side_by_side(
    *fits: Fit, names: Iterable[str] | None = None, show: Shown = "std_error"
) -> SideBySide:
    """Put fits side by side, a column each.

    Parameters
    ----------
    fits : of any kind
    names : of the columns; (1), (2), … without
    show : "std_error" or "interval" below each estimate

    Raises
    ------
    FitError
        There is no fit, or names do not belong one to each.
    """
    for fit in fits:
        if not isinstance(fit, Fit):
            raise FitError(
                f"Fits stand side by side, not {fit!r} ({type(fit).__name__}): give what fit_ols, "
                "fit_lmm and so on return."
            )
    if not fits:
        raise FitError("Give at least one fit: side_by_side(fit0, fit1).")
    if show not in ("std_error", "interval"):
        raise FitError(f'{show!r} cannot be shown. Known: "std_error", "interval".')
    given = [f"({i})" for i in range(1, len(fits) + 1)] if names is None else list(names)
    reserved = {"part", "term", "value"}
    if len(given) != len(fits) or len({*given, *reserved}) != len(fits) + len(reserved):
        raise FitError(
            f"{len(fits)} fits need as many names, all different and none of part, term, value: "
            f"not {', '.join(map(repr, given))}."
        )
    columns = [_numbers(fit) for fit in fits]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    first = {key: i for i, key in enumerate(dict.fromkeys(key[:2] for key in keys))}
    keys.sort(
        key=lambda key: (
            PARTS.index(key[0]),
            RANKS.get(key[2], 0),
            key[1] == "Residual",
            first[key[:2]],
        )
    )
    words = {name: [key[i] for key in keys] for i, name in enumerate(("part", "term", "value"))}
    numbers = {
        name: pl.Series([column.get(key) for key in keys], dtype=pl.Float64)
        for name, column in zip(given, columns, strict=True)
    }
    table = pl.DataFrame({**words, **numbers})
    return SideBySide(table, dict(zip(given, fits, strict=True)), show)


def _numbers(fit: Fit) -> Values:
    """All numbers of a fit by part, term and value."""
    found: Values = {}
    for row in fit.estimates.iter_rows(named=True):
        for value in ("estimate", "std_error", "conf_low", "conf_high"):
            found["estimate", row["term"], value] = row[value]
    if fit.variances is not None:
        for row in fit.variances.iter_rows(named=True):
            term = f"{row['group']}: {row['term']}" if row["term"] else row["group"]
            for value in ("sd", "correlation"):
                if row[value] is not None:
                    found["random effect", term, value] = row[value]
    elif fit.sigma is not None:
        found["random effect", "Residual", "sd"] = fit.sigma
    found["fit", "Observations", "n"] = fit.n_obs
    for name, size in fit.groups.items():
        found["fit", f"Groups: {name}", "n"] = size
    for name, share in fit.r_squared.items():
        found["fit", share_name(name), "r_squared"] = share
    if np.isfinite(fit.loglik):
        restricted = " (REML)" if fit.estimator == "REML" else ""
        found["fit", f"Log-likelihood{restricted}", "loglik"] = fit.loglik
        found["fit", f"AIC{restricted}", "aic"] = fit.aic
        found["fit", f"BIC{restricted}", "bic"] = fit.bic
    return found


def _label(part: str, term: str, value: str) -> str:
    name = clean(term, None)
    if part == "random effect":
        return f"{'SD' if value == 'sd' else 'Correlation'} {name}"
    return name


def _shown(value: str, number: float | None) -> str:
    if number is None:
        return ""
    digits = {"n": 0, "correlation": 2, "r_squared": 3, "loglik": 1, "aic": 1, "bic": 1}
    return significant(number) if value == "sd" else fixed(number, digits[value])
