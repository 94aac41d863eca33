"""Tables of several fits: literal fits in, literal text out."""

import pytest

from distortion.errors import FitError
from distortion.fits.results.sidebyside import side_by_side
from tests.fits.literal import mixed_fit, plain_fit

TEXT = """\
Term                           (1)      (2)
Intercept                   251.41    1.000
                            (6.82)  (0.200)
days                         10.47
                            (1.55)
x                                    −0.500
                                    (0.100)
-------------------------------------------
SD subject: Intercept        24.74
SD subject: days             5.922
Correlation subject: days     0.07
SD Residual                  25.59   0.7500
-------------------------------------------
Observations                   180       40
Groups: subject                 18
R²                                    0.400
Log-likelihood (REML)       −871.8
Log-likelihood                        −20.5
AIC (REML)                 1,755.6
AIC                                    47.0
BIC (REML)                 1,774.8
BIC                                    52.1

Standard errors in parentheses.
(1): reaction ~ days + (days | subject); REML.
(2): y ~ x; OLS, errors HC3.
"""


def test_text() -> None:
    assert str(side_by_side(mixed_fit(), plain_fit())) == TEXT


def test_table_holds_all_numbers_unrounded() -> None:
    fit = mixed_fit()
    made = side_by_side(fit, plain_fit(), names=["mixed", "plain"])
    assert made.table.columns == ["part", "term", "value", "mixed", "plain"]
    found = {row[:3]: row[3:] for row in made.table.iter_rows()}
    assert found["estimate", "days", "conf_high"] == (fit.estimates["conf_high"][1], None)
    assert found["random effect", "Residual", "sd"] == (25.592, 0.75)
    assert found["fit", "AIC", "aic"] == (None, pytest.approx(47.0))


def test_intervals_and_other_formats() -> None:
    made = side_by_side(mixed_fit(), names=["a_b"], show="interval")
    assert "| days | 10.47 |\n|  | [7.21, 13.73] |" in made.to_markdown()
    assert "95% intervals in brackets." in made.to_markdown()
    latex = made.to_latex()
    assert r"Term & a\_b \\" in latex
    assert latex.count("\\midrule") == 3
    hostile = side_by_side(plain_fit(names=("<i>", "x")))._repr_html_()
    assert "<i>" not in hostile
    assert "&lt;i&gt;" in hostile


def test_refusals() -> None:
    with pytest.raises(FitError, match="at least one fit"):
        side_by_side()
    for names in (["a"], ["a", "a"], ["a", "term"]):
        with pytest.raises(FitError, match="2 fits need as many names"):
            side_by_side(plain_fit(), plain_fit(), names=names)
    with pytest.raises(FitError, match="cannot be shown"):
        side_by_side(plain_fit(), show="stars")  # type: ignore[arg-type]
