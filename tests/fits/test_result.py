"""The result type: derived numbers, refusals, pickling."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import stats

from distortion.errors import FitError
from distortion.fits.results.distributions import ESTIMATES
from tests.fits.literal import mixed_fit, plain_fit


def test_estimates_have_the_columns_of_the_contract_and_follow_from_the_covariance() -> None:
    fit = mixed_fit()
    assert tuple(fit.estimates.columns) == ESTIMATES
    row = fit.estimates.row(1, named=True)
    error = np.sqrt(2.389)
    assert row["std_error"] == pytest.approx(error)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(10.467 / error, 17.02))
    low, high = stats.t.interval(0.95, 17.02, 10.467, error)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((low, high))


def test_infinite_df_are_the_normal_distribution() -> None:
    row = plain_fit().estimates.row(1, named=True)
    assert row["p_value"] == pytest.approx(2 * stats.norm.sf(5))
    assert row["conf_low"] == pytest.approx(-0.5 - stats.norm.ppf(0.975) * 0.1)


@pytest.mark.parametrize("variance", [0.0, -1e-3, np.nan])
def test_a_coefficient_without_standard_error_keeps_its_estimate(variance: float) -> None:
    row = plain_fit(covariance=np.diag([0.04, variance])).estimates.row(1, named=True)
    assert row["estimate"] == -0.5
    assert all(np.isnan(row[name]) for name in ("statistic", "p_value", "conf_low"))


def test_information_criteria() -> None:
    fit = mixed_fit()
    assert fit.aic == pytest.approx(2 * 871.814 + 12)
    assert fit.bic == pytest.approx(2 * 871.814 + 6 * np.log(180))


def test_wald_intervals_are_those_of_the_estimates() -> None:
    fit = mixed_fit()
    assert fit.confint().equals(fit.estimates.select("term", "estimate", "conf_low", "conf_high"))
    narrow, wide = (fit.confint(level=level)["conf_high"][0] for level in (0.5, 0.99))
    assert narrow < fit.estimates["conf_high"][0] < wide
    with pytest.raises(FitError, match="between 0 and 1"):
        fit.confint(level=95)


def test_a_level_in_per_cent_is_refused() -> None:
    with pytest.raises(FitError, match="between 0 and 1, not at 95"):
        mixed_fit(conf_level=95)


def test_a_fit_is_frozen_down_to_its_arrays() -> None:
    fit = mixed_fit()
    with pytest.raises(FrozenInstanceError):
        fit.n_obs = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        fit.coefficients[0] = 0.0


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"df has shape \(1,\), not \(2,\)"):
        mixed_fit(df=np.array([1.0]))


def test_a_fit_can_be_pickled() -> None:
    fit = mixed_fit()
    again = pickle.loads(pickle.dumps(fit))
    assert again.estimates.equals(fit.estimates)
    assert again.summary() == fit.summary()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.random_effects(), "A literal model has no random effects. Use fit_lmm"),
        (lambda fit: fit.predict(), "A literal model cannot predict"),
        (lambda fit: fit.residuals("pearson"), "has no pearson residuals"),
        (lambda fit: fit.simulate(1), "cannot simulate"),
        (lambda fit: fit.refit(np.zeros(180)), "cannot be refitted"),
        (lambda fit: fit.confint("profile"), "has no 'profile' intervals"),
        (lambda fit: fit.bootstrap(10, rng=1), "has no bootstrap"),
    ],
)
def test_what_a_model_cannot_do_is_refused_in_words(ask: object, message: str) -> None:
    with pytest.raises(FitError, match=message):
        ask(mixed_fit())  # type: ignore[operator]


def test_representations() -> None:
    assert repr(mixed_fit()) == (
        "<Fit lmm: reaction ~ days + (days | subject); REML, 180 observations>"
    )
    assert str(mixed_fit()) == mixed_fit().summary()
