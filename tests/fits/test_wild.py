"""The wild cluster bootstrap against refitting every draw, its size, and checks of clusters."""

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion.errors import FitError
from distortion.fits.regressions import wild
from distortion.fits.regressions.clusters import Clustering, combined_codes, leverage_by_cluster
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.regressions.wildtests import wild_test


def clustered_table(
    seed: int, clusters: int = 6, rows: int = 60, slope: float = 0.0
) -> pl.DataFrame:
    """A covariate and errors that are both correlated within networks."""
    rng = np.random.default_rng(seed)
    network = np.concatenate([np.arange(clusters), rng.integers(0, clusters, rows - clusters)])
    x = rng.normal(size=clusters)[network] + rng.normal(size=rows)
    noise = rng.normal(size=clusters)[network] + rng.normal(size=rows)
    return pl.DataFrame(
        {"network": network, "x": x, "z": rng.normal(size=rows), "y": 1 + slope * x + noise}
    )


def refitted_t(table: pl.DataFrame, weights: np.ndarray, null: float) -> np.ndarray:
    """|t*| of the coefficient of x by a regression for each draw of cluster weights."""
    X = np.column_stack([np.ones(len(table)), table["x"], table["z"]])
    y, codes = table["y"].to_numpy(), table["network"].to_numpy()
    others = X[:, [0, 2]]
    restricted = y - null * X[:, 1]
    fitted = others @ np.linalg.lstsq(others, restricted, rcond=None)[0] + null * X[:, 1]
    A = np.linalg.inv(X.T @ X)
    found = []
    for v in weights:
        sample = fitted + (y - fitted) * v[codes]
        beta = A @ X.T @ sample
        rest = sample - X @ beta
        sums = np.array([X[codes == g].T @ rest[codes == g] for g in range(len(v))])
        found.append(abs(beta[1] - null) / np.sqrt((A @ sums.T @ sums @ A)[1, 1]))
    return np.array(found)


@pytest.mark.parametrize("weights", ["rademacher", "webb"])
@pytest.mark.parametrize("null", [0.0, 0.4])
def test_enumeration_equals_refitting_every_draw(weights: wild.WildWeights, null: float) -> None:
    table = clustered_table(3, clusters=5 if weights == "rademacher" else 3)
    clusters = table["network"].n_unique()
    every = np.array(list(product(wild.POINTS[weights], repeat=clusters)))
    t = refitted_t(table, np.vstack([np.ones(clusters), every]), null)
    expected = float((t[1:] >= t[0] * (1 - 1e-9)).mean())
    fit = fit_ols("y ~ x + z", table, cluster="network")
    found = wild_test(fit, "x", null=null, weights=weights)
    assert found["p_value"][0] == pytest.approx(expected, abs=1e-12)


def test_random_draws_equal_refitting_them() -> None:
    table = clustered_table(4, clusters=15)
    fit = fit_ols("y ~ x + z", table, cluster="network")
    drawn = wild.POINTS["rademacher"][np.random.default_rng(9).integers(2, size=(99, 15))]
    t = refitted_t(table, np.vstack([np.ones(15), drawn]), 0.0)
    p = wild_test(fit, "x", draws=99, rng=9)["p_value"][0]
    assert p == pytest.approx((1 + (t[1:] >= t[0]).sum()) / 100)


def test_all_draws_are_used_where_they_are_few() -> None:
    assert wild.n_enumerated(5, "rademacher") == 16
    assert wild.enumerations(5, "rademacher").shape == (5, 16)
    assert wild.enumerations(3, "webb").shape == (3, 108)
    fit = fit_ols("y ~ x", clustered_table(1, clusters=5), cluster="network", bootstrap="wild")
    assert any("all 3,888 draws over 5 clusters" in note for note in fit.notes)


@pytest.mark.parametrize("clusters", [7, 20])
def test_intervals_hold_the_values_that_are_not_rejected(clusters: int) -> None:
    fit = fit_ols("y ~ x", clustered_table(2, clusters, 200), cluster="network")
    options = {"weights": "rademacher", "draws": 999}
    row = wild_test(fit, "x", rng=1, level=0.9, **options).row(0, named=True)  # type: ignore[arg-type]
    for bound, outwards in ((row["conf_low"], -1), (row["conf_high"], 1)):
        for shift, inside in ((-1e-4, True), (1e-4, False)):
            null = bound + outwards * shift * row["std_error"]
            p = wild_test(fit, "x", null=null, rng=1, **options)["p_value"][0]  # type: ignore[arg-type]
            assert (p >= 0.1) == inside


def test_few_two_point_weights_cannot_reject() -> None:
    fit = fit_ols("y ~ x", clustered_table(2, 4, 80, slope=9.0), cluster="network")
    row = wild_test(fit, "x", weights="rademacher").row(0, named=True)
    assert row["p_value"] >= 1 / 8
    assert (row["conf_low"], row["conf_high"]) == (-np.inf, np.inf)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scale_and_names_change_nothing(seed: int) -> None:
    table = clustered_table(seed, clusters=5)
    other = table.with_columns(
        x=1000 * pl.col("x"), network=pl.format("net {}", 9 - pl.col("network"))
    )
    one, two = (
        wild_test(fit_ols("y ~ x + z", t, cluster="network"), "x", weights="rademacher")
        for t in (table, other)
    )
    assert one["p_value"][0] == two["p_value"][0]
    assert one["conf_low"][0] == pytest.approx(1000 * two["conf_low"][0], rel=1e-3, abs=1e-3)


def test_the_generator_is_the_only_source_of_randomness() -> None:
    fit = fit_ols("y ~ x", clustered_table(5, 20), cluster="network")
    p = [wild_test(fit, "x", draws=199, rng=seed)["p_value"][0] for seed in (7, 7, 8)]
    assert p[0] == p[1] != p[2]
    with pytest.raises(FitError, match="give it a generator or a seed"):
        wild_test(fit, "x", draws=199)


def test_estimates_of_a_bootstrapped_fit_are_the_tests() -> None:
    table = clustered_table(6, 8)
    fit = fit_ols("y ~ x", table, cluster="network", bootstrap="wild", rng=2, draws=999)
    plain = fit_ols("y ~ x", table, cluster="network")
    assert fit.estimates["std_error"].equals(plain.estimates["std_error"])
    generator = np.random.default_rng(2)
    tests = wild_test(plain, ["Intercept", "x"], rng=generator, draws=999)
    assert fit.estimates["p_value"].equals(tests["p_value"])
    intervals = plain.confint("wild", rng=2, draws=999)
    assert intervals["conf_low"].equals(fit.estimates["conf_low"])


def test_resampled_coefficients_vary_as_the_covariance_says() -> None:
    table = clustered_table(8, 40, 800)
    for options in ({"cluster": "network"}, {"covariance": "HC1"}, {"covariance": "nonrobust"}):
        fit = fit_ols("y ~ x", table, **options)  # type: ignore[arg-type]
        drawn = fit.bootstrap(4000, rng=1)
        assert drawn.columns == list(fit.names)
        ratio = drawn.to_numpy().std(axis=0) / np.sqrt(np.diagonal(fit.covariance))
        # Monte Carlo error of an SD of 4,000 draws is 1.1 %; CR1 has a small-sample factor.
        np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_refusals_say_why() -> None:
    table = clustered_table(1)
    with pytest.raises(FitError, match="clustered in one way"):
        wild_test(fit_ols("y ~ x", table), "x")
    fit = fit_ols("y ~ x", table, cluster="network")
    with pytest.raises(FitError, match="no wild weights"):
        wild_test(fit, "x", weights="mammen")  # type: ignore[arg-type]
    with pytest.raises(FitError, match="at least one draw"):
        wild_test(fit, "x", draws=0)


def test_few_and_unequal_clusters_are_noted() -> None:
    few = fit_ols("y ~ x", clustered_table(1, 6), cluster="network")
    assert any("Only 6 clusters of network" in note for note in few.notes)
    many = clustered_table(1, 30, 300)
    assert not any("clusters of" in n for n in fit_ols("y ~ x", many, cluster="network").notes)
    lumped = many.with_columns(
        network=pl.when(pl.col("network") < 10).then("network").otherwise(99)
    )
    fit = fit_ols("y ~ x", lumped, cluster="network")
    assert any("One cluster of network has" in note for note in fit.notes)


def test_a_coefficient_that_rests_on_one_cluster_is_named() -> None:
    table = clustered_table(1, 30, 300).with_columns(only=(pl.col("network") == 3).cast(pl.Int64))
    fit = fit_ols("y ~ x + only", table, cluster="network")
    assert any("what is known about only comes from one cluster" in note for note in fit.notes)


def test_partial_leverage_is_that_of_the_part_the_others_do_not_explain() -> None:
    table = clustered_table(7)
    X = np.column_stack([np.ones(60), table["x"], table["z"]])
    codes, size = combined_codes(table.select("network"))
    way = Clustering("network", ("network",), codes, size)
    shares = leverage_by_cluster(X, np.linalg.inv(X.T @ X), way)
    others = X[:, [0, 2]]
    rest = X[:, 1] - others @ np.linalg.lstsq(others, X[:, 1], rcond=None)[0]
    expected = np.array([np.sum(rest[codes == g] ** 2) for g in range(size)]) / np.sum(rest**2)
    np.testing.assert_allclose(shares[:, 1], expected, rtol=1e-9)
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-12)


def test_codes_of_combinations_follow_first_appearance() -> None:
    table = pl.DataFrame({"a": ["x", "y", "x", "x", None], "code": [1, 1, 2, 1, 1]})
    codes, size = combined_codes(table)
    assert codes.tolist() == [0, 1, 2, 0, 3]
    assert size == 4


@pytest.mark.slow
def test_false_positives_are_near_nominal_with_six_clusters() -> None:
    """The covariate varies by cluster; t with CR1 rejects too often, the bootstrap does not."""
    rng = np.random.default_rng(11)
    n, clusters, repeats = 120, 6, 1500
    network = np.repeat(np.arange(clusters), n // clusters)
    rejected = {"wild": 0, "normal": 0}
    for _ in range(repeats):
        x = rng.normal(size=clusters)[network]
        y = rng.normal(size=clusters)[network] + rng.normal(size=n)
        table = pl.DataFrame({"y": y, "x": x, "network": network})
        fit = fit_ols("y ~ x", table, cluster="network")
        row = wild_test(fit, "x", weights="webb", draws=399, rng=rng).row(0, named=True)
        rejected["wild"] += row["p_value"] <= 0.05
        rejected["normal"] += abs(row["statistic"]) > 1.96
    # Three binomial standard errors at 5 % are 1.7 points.
    assert abs(rejected["wild"] / repeats - 0.05) < 0.025
    assert rejected["normal"] / repeats > 0.12
