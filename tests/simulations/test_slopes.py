"""The page shows what its figures say; a setting runs; the simulated networks are what they say."""

import numpy as np
import polars as pl
import pytest

from distortion.counts import balances
from tests.simulations.networks import SCENARIOS, SPREADS, pattern, recalls, study
from tests.simulations.slopes import PAGE, SHOWN, pages, setting


def test_the_page_shows_the_figures() -> None:
    page = PAGE.with_suffix(".md").read_text(encoding="utf-8")
    assert pages(pl.read_csv(PAGE)).strip() in page


def test_repaired_slopes_hold_their_level_where_the_plain_one_does_not() -> None:
    found = pl.read_csv(PAGE).with_columns(wrong=pl.col("below") + pl.col("above"))
    nothing = found.filter(pl.col("scenario") == "fresh noise")
    blind = found.filter(pl.col("scenario") == "class-blind loss")

    def worst(table: pl.DataFrame, *names: str) -> float:
        return table.filter(pl.col("estimator").is_in(names))["wrong"].max()  # type: ignore[return-value]

    # Three standard errors of a share of 400 studies above 5 %.
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert worst(nothing, "between", "control_alpha", "control_log_kappa", "log_kappa") <= most
    assert worst(nothing, "gamma", "gamma_vs_control", "log_kappa_excess_corrected") <= most
    assert worst(blind, "gamma", "gamma_vs_control", "log_kappa_excess_corrected") <= most
    assert worst(nothing, "plain, 99 %") > 0.4
    assert worst(blind, "plain, 99 %") == 1.0


def test_simulated_networks_have_the_moments_they_were_given() -> None:
    rng = np.random.default_rng(0)
    spread, scenario = SPREADS["cifar-like"], SCENARIOS["intensification"]
    before, after, _ = recalls(rng, spread, scenario, 4000)
    logits = [np.log(r / (1 - r)) for r in (before, after)]
    u = pattern(spread)
    # Means of 4,000 networks with SD 0.15: standard error 0.0024.
    np.testing.assert_allclose(logits[0].mean(axis=0), spread.level + u, atol=0.01)
    np.testing.assert_allclose(
        logits[1].mean(axis=0), spread.level + scenario.shift + scenario.gamma * u, atol=0.01
    )
    left = [part - part.mean(axis=0) for part in logits]
    kept = (left[0] * left[1]).sum() / (left[0] ** 2).sum()
    assert kept == pytest.approx(scenario.inherited, abs=0.02)
    assert left[1].std() == pytest.approx(spread.seeds, rel=0.02)
    treated, control = study(rng, spread, scenario, 50)
    assert (treated.kept <= np.minimum(treated.dense, treated.correct)).all()
    np.testing.assert_array_equal(treated.control, control.correct)
    assert np.abs(balances(treated.dense, treated.n).sum(axis=1)).max() < 1e-12


@pytest.mark.slow
def test_a_setting_runs_and_repeats_itself() -> None:
    work = ("mnist-like", "fresh noise", 5, 4, 7)
    table = setting(work)
    assert set(SHOWN) <= set(table["estimator"])
    assert table["studies"].unique().to_list() == [4]
    assert table.equals(setting(work))
