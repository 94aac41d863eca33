"""A fit in words and rounded numbers: a pure function of the result, fitting nothing.

An estimate has as many decimals as three significant digits of its standard error need.
"""

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from distortion.escape import to_html, to_markdown, to_markdown_line
from distortion.fits.results import sheets
from distortion.fits.results.sheets import Sheet
from distortion.labels import clean

if TYPE_CHECKING:
    from distortion.fits.results.result import Fit

MINUS: Final = "−"
NOTHING: Final = "–"
ERROR_DIGITS: Final = 3
MOST_DECIMALS: Final = 7
NUMBERS: Final = ("variance", "sd", "correlation")
DF_METHODS: Final = {
    "satterthwaite": "Satterthwaite df",
    "kenward-roger": "Kenward–Roger df",
    "residual": "residual df",
    "clusters": "df from the number of clusters",
    "asymptotic": "asymptotic tests",
}
ESTIMATORS: Final = {
    "ML": "maximum likelihood",
    "Laplace": "maximum likelihood (Laplace approximation)",
    "OLS": "ordinary least squares",
    "WLS": "weighted least squares",
    "within": "the within estimator",
    "between": "the between estimator",
    "random effects": "feasible generalised least squares (random effects)",
    "2SLS": "two-stage least squares",
    "LIML": "limited-information maximum likelihood",
}
KINDS: Final = {
    "lmm": "Linear mixed model",
    "glmm": "Generalised linear mixed model",
    "ols": "Linear regression",
    "panel": "Panel regression",
    "iv": "Instrumental-variable regression",
}


def text(fit: "Fit") -> str:
    """The fit for a terminal."""
    parts = [
        "\n".join([title(fit), *(f"{label}: {value}" for label, value in facts(fit))]),
        *(sheets.to_text(sheet) for sheet in tables(fit)),
    ]
    if fit.notes:
        parts.append("\n".join(["Notes", *(sheets.wrapped(note) for note in fit.notes)]))
    return "\n\n".join(parts) + "\n"


def markdown(fit: "Fit") -> str:
    """The fit as GitHub-flavoured Markdown."""
    parts = [
        f"**{to_markdown(title(fit))}**\n",
        "".join(f"- {label}: {to_markdown(value)}\n" for label, value in facts(fit)),
        *(f"{sheet.title}\n\n{sheets.markdown_table(sheet)}" for sheet in tables(fit)),
    ]
    if fit.notes:
        parts.append("".join(f"{to_markdown_line(note)}\n\n" for note in fit.notes).rstrip("\n"))
    return "\n".join(parts).rstrip("\n") + "\n"


def html(fit: "Fit") -> str:
    """The fit as an HTML fragment."""
    listed = "".join(f"<li>{to_html(f'{label}: {value}')}</li>" for label, value in facts(fit))
    notes = "".join(f"<p>{to_html(note)}</p>" for note in fit.notes)
    shown = "\n".join(sheets.html_table(sheet) for sheet in tables(fit))
    head = f"<p><strong>{to_html(title(fit))}</strong></p>"
    return f'<div class="distortion-fit">{head}\n<ul>{listed}</ul>\n{shown}\n{notes}</div>'


def latex(fit: "Fit") -> str:
    """The fit as a LaTeX `table` with booktabs rules."""
    notes = ". ".join(f"{label}: {value}" for label, value in facts(fit)) + "."
    tabulars = [sheets.latex_tabular(sheet) for sheet in tables(fit)]
    return sheets.latex_float(title(fit), tabulars, [notes, *fit.notes])


def title(fit: "Fit") -> str:
    """What was fitted and how, in one line."""
    estimator = ESTIMATORS.get(fit.estimator, fit.estimator)
    return f"{KINDS[fit.kind]} fit by {estimator} ({DF_METHODS.get(fit.df_method, fit.df_method)})"


def facts(fit: "Fit") -> list[tuple[str, str]]:
    """Label and value of everything that is not a table."""
    found = [("Formula", clean(fit.formula, None))]
    if (fit.family, fit.link) != ("gaussian", "identity"):
        found.append(("Family", f"{fit.family}, {fit.link} link"))
    sizes = ", ".join(f"{clean(name)} {number:,}" for name, number in fit.groups.items())
    found.append(("Observations", f"{fit.n_obs:,}{'; groups: ' if sizes else ''}{sizes}"))
    if fit.covariance_type != "model":
        found.append(("Standard errors", fit.covariance_type))
    if fit.criterion is not None:
        label = "REML criterion" if fit.estimator == "REML" else f"{MINUS}2 log-likelihood"
        found.append((label, fixed(fit.criterion, 2)))
    if math.isfinite(fit.loglik):
        criteria = f"AIC {fixed(fit.aic, 2)}, BIC {fixed(fit.bic, 2)}"
        found.append(("Log-likelihood", f"{fixed(fit.loglik, 2)}; {criteria}"))
    if fit.variances is None and fit.sigma is not None:
        found.append(("Residual SD", significant(fit.sigma)))
    found += [(share_name(name), fixed(value, 3)) for name, value in fit.r_squared.items()]
    if not fit.converged:
        found.append(("State", "NOT CONVERGED"))
    elif fit.singular:
        found.append(("State", "converged on the boundary (singular fit)"))
    return found


def share_name(name: str) -> str:
    """A kind of R² with its sign: "marginal" is "Marginal R²"."""
    return clean(name if "R²" in name else f"{name.capitalize()} R²")


def tables(fit: "Fit") -> list[Sheet]:
    """Variance components, fixed effects and diagnostics, as far as the fit has them."""
    found = [variance_table(fit)] if fit.variances is not None else []
    found.append(effect_table(fit))
    return [*found, *([diagnostic_table(fit.diagnostics)] if fit.diagnostics is not None else [])]


def variance_table(fit: "Fit") -> Sheet:
    """Variance, SD and correlation of the random effects; a group is named once."""
    assert fit.variances is not None
    correlated = fit.variances["correlation"].is_not_null().any()
    rows: list[tuple[str, ...]] = []
    above = None
    for row in fit.variances.iter_rows(named=True):
        group = clean(row["group"], None)
        numbers = [significant(row["variance"]), significant(row["sd"])]
        numbers += [fixed(row["correlation"], 2)] if correlated else []
        shown = [
            "" if row[name] is None else number
            for name, number in zip(NUMBERS, numbers, strict=False)
        ]
        term = clean(row["term"], None) if row["term"] else ""
        rows.append(("" if group == above else group, term, *shown))
        above = group
    headings = ("Group", "Term", "Variance", "SD", *(["Correlation"] if correlated else []))
    return Sheet("Random effects", headings, tuple(rows), words=2)


def effect_table(fit: "Fit") -> Sheet:
    """Estimates with tests and intervals; without a df column where all are infinite."""
    asymptotic = bool(fit.estimates["df"].is_infinite().all())
    rows = []
    for row in fit.estimates.iter_rows(named=True):
        low, high = (by_error(row[b], row["std_error"]) for b in ("conf_low", "conf_high"))
        rows.append(
            (
                clean(row["term"], None),
                by_error(row["estimate"], row["std_error"]),
                by_error(row["std_error"], row["std_error"]),
                *([] if asymptotic else [degrees(row["df"])]),
                fixed(row["statistic"], 2),
                p_value(row["p_value"]),
                low,
                high,
            )
        )
    level = f"{round(100 * fit.conf_level, 2):g}%"
    headings = (
        "Term",
        "Estimate",
        "Std. error",
        *([] if asymptotic else ["df"]),
        "z" if asymptotic else "t",
        "p",
        f"{level} low",
        f"{level} high",
    )
    return Sheet(
        "Fixed effects" if fit.variances is not None else "Coefficients", headings, tuple(rows)
    )


def diagnostic_table(tests: pl.DataFrame) -> Sheet:
    """Tests of assumptions with their null distributions."""
    rows = [
        (
            clean(row["test"], None),
            fixed(row["statistic"], 2),
            f"χ²({row['df_num']:g})"
            if math.isinf(row["df_den"])
            else f"F({row['df_num']:g}, {degrees(row['df_den'])})",
            p_value(row["p_value"]),
        )
        for row in tests.iter_rows(named=True)
    ]
    return Sheet("Diagnostics", ("Test", "Statistic", "Distribution", "p"), tuple(rows))


def fixed(value: float | None, decimals: int) -> str:
    """`value` with that many decimals; what rounds to zero has no sign."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    shown = f"{abs(value):,.{decimals}f}"
    return f"{MINUS}{shown}" if value < 0 and shown.strip("0.,") else shown


def by_error(value: float, error: float) -> str:
    """`value` with the decimals that its standard error gives a meaning to."""
    if not error > 0 or math.isinf(error):
        return significant(value)
    decimals = ERROR_DIGITS - 1 - math.floor(math.log10(error))
    if decimals > MOST_DECIMALS or abs(value) >= 1e9:
        return scientific(value)
    return fixed(value, max(0, decimals))


def significant(value: float | None, digits: int = 4) -> str:
    """`value` with that many significant digits."""
    if value is None or not math.isfinite(value) or value == 0:
        return fixed(value, 0)
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > MOST_DECIMALS or abs(value) >= 1e9:
        return scientific(value)
    return fixed(value, max(0, decimals))


def scientific(value: float) -> str:
    """Three significant digits and a power of ten: 1.23e−09."""
    return NOTHING if math.isnan(value) else f"{value:.2e}".replace("-", MINUS)


def degrees(df: float) -> str:
    """Degrees of freedom: whole where they are, else with one decimal."""
    return fixed(df, 0 if math.isinf(df) or df == round(df) or df >= 1000 else 1)


def p_value(p: float) -> str:
    """Three decimals, or <0.001."""
    return "<0.001" if p < 0.001 else fixed(p, 3)
