"""Literal fits in, literal text out."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from distortion.fits.results.rendering import by_error, degrees, fixed, p_value, significant
from distortion.fits.results.sidebyside import side_by_side
from tests.fits.literal import mixed_fit, plain_fit

SUMMARY = """\
Linear mixed model fit by REML (Satterthwaite df)
Formula: reaction ~ days + (days | subject)
Observations: 180; groups: subject 18
REML criterion: 1,743.63
Log-likelihood: −871.81; AIC 1,755.63, BIC 1,774.79

Random effects
Group     Term       Variance     SD  Correlation
subject   Intercept     612.1  24.74
          days          35.07  5.922         0.07
Residual                654.9  25.59

Fixed effects
Term       Estimate  Std. error    df      t       p  95% low  95% high
Intercept    251.41        6.82    17  36.84  <0.001   237.01    265.80
days          10.47        1.55  17.0   6.77  <0.001     7.21     13.73

Notes
- 2 rows were left out, because reaction is missing there.
"""

PLAIN_MARKDOWN = """\
**Linear regression fit by ordinary least squares (asymptotic tests)**

- Formula: y \\~ x
- Observations: 40
- Standard errors: HC3
- Log-likelihood: −20.50; AIC 47.00, BIC 52.07
- Residual SD: 0.7500
- R²: 0.400

Coefficients

| Term | Estimate | Std. error | z | p | 95% low | 95% high |
| :-- | --: | --: | --: | --: | --: | --: |
| Intercept | 1.000 | 0.200 | 5.00 | <0.001 | 0.608 | 1.392 |
| x | −0.500 | 0.100 | −5.00 | <0.001 | −0.696 | −0.304 |
"""


def test_summary_of_a_mixed_model() -> None:
    assert mixed_fit().summary() == SUMMARY


def test_markdown_of_a_regression() -> None:
    assert plain_fit().to_markdown() == PLAIN_MARKDOWN


def test_states_that_a_reader_must_see() -> None:
    assert "singular fit" in mixed_fit(singular=True).summary()
    assert "NOT CONVERGED" in mixed_fit(converged=False, singular=True).summary()
    assert "−2 log-likelihood: 1,743.63" in mixed_fit(estimator="ML").summary()
    family = mixed_fit(kind="glmm", estimator="Laplace", family="binomial", link="logit")
    assert "Family: binomial, logit link" in family.summary()
    assert "Log-likelihood" not in plain_fit(loglik=np.nan).summary()


def test_the_correlation_column_is_left_out_where_there_is_none() -> None:
    fit = mixed_fit()
    assert fit.variances is not None
    alone = fit.variances.with_columns(correlation=None)
    assert "Correlation" not in mixed_fit(variances=alone).summary()


TESTS = pl.DataFrame(
    {
        "test": ["first stage: e", "overidentification (Sargan)"],
        "statistic": [43.3014, 1.488],
        "df_num": [2.0, 1.0],
        "df_den": [182.0, np.inf],
        "p_value": [4e-16, 0.2225],
    }
)


def test_diagnostics_stand_below_the_estimates() -> None:
    assert (
        plain_fit(diagnostics=TESTS)
        .summary()
        .endswith(
            """
Diagnostics
Test                         Statistic  Distribution       p
first stage: e                   43.30     F(2, 182)  <0.001
overidentification (Sargan)       1.49         χ²(1)   0.223
"""
        )
    )


HOSTILE = ("<script>a</script>", "a|b_c & 50% \\input{x}")


def test_names_are_escaped_in_every_format() -> None:
    fit = mixed_fit(names=HOSTILE, formula="y ~ `a|b` * c", notes=("<b>$1</b>",))
    assert "<script>" not in fit._repr_html_()
    assert "<b>" not in fit._repr_html_()
    assert r"a\|b\_c" in fit.to_markdown()
    latex = fit.to_latex()
    assert r"a\textbar{}b\_c \& 50\% \textbackslash{}input\{x\}" in latex
    assert r"\input{" not in latex
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 2


def test_html_is_balanced() -> None:
    html = mixed_fit()._repr_html_()
    for tag in ("div", "table", "tr", "td", "th", "ul", "li", "p", "caption"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    fits = (mixed_fit(), plain_fit(diagnostics=TESTS), mixed_fit(names=HOSTILE))
    body = "\n".join([*(fit.to_latex() for fit in fits), side_by_side(*fits).to_latex()])
    (tmp_path / "fit.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "fit.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=100)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (251.405, 6.82, "251.41"),
        (-0.00321, 0.00123, "−0.00321"),
        (0.0, 0.5, "0.000"),
        (-1e-9, 0.5, "0.000"),
        (12345.6, 1234.5, "12,346"),
        (1e-9, 3e-8, "1.00e−09"),
        (3.14159, np.nan, "3.142"),
        (np.nan, np.nan, "–"),
    ],
)
def test_an_estimate_has_the_decimals_of_its_standard_error(
    value: float, error: float, shown: str
) -> None:
    assert by_error(value, error) == shown


def test_other_numbers() -> None:
    assert [degrees(d) for d in (17, 17.02, 4321.7, np.inf)] == ["17", "17.0", "4,322", "∞"]
    assert [p_value(p) for p in (0.0004, 0.0126, 1.0, np.nan)] == ["<0.001", "0.013", "1.000", "–"]
    assert [significant(v) for v in (612.1, 0.00012346, 0, 2e9, np.nan)] == [
        "612.1",
        "0.0001235",
        "0",
        "2.00e+09",
        "–",
    ]
    assert fixed(-np.inf, 2) == "−∞"
