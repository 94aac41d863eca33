"""Linear combinations: reading, tests one by one, jointly and simultaneously."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distortion.errors import FitError
from distortion.fits.results.contrasts import single_step
from distortion.fits.results.distributions import ESTIMATES
from distortion.fits.results.equations import hypotheses
from distortion.fits.results.result import Fit
from tests.fits.literal import FixedModel, mixed_fit

NAMES = ("Intercept", "x", "x:g[T.b]", "g[T.b]", "C(h, Sum)[S.a, 1]", "x2")


def wide_fit(df: float = 12.0) -> Fit:
    root = np.random.default_rng(4).normal(size=(6, 6))
    return mixed_fit(
        names=NAMES,
        coefficients=np.array([1.0, 0.5, -0.3, 0.2, 2.0, 0.0]),
        covariance=root @ root.T / 50,
        df=np.full(6, df),
        model=FixedModel(df),
    )


@pytest.mark.parametrize(
    ("text", "weights", "null"),
    [
        ("x", [0, 1, 0, 0, 0, 0], 0),
        ("x = 1", [0, 1, 0, 0, 0, 0], 1),
        ("x + x:g[T.b] = 0", [0, 1, 1, 0, 0, 0], 0),
        ("2*x - x2/4 = 3 + x", [0, 1, 0, 0, 0, -0.25], 3),
        ("2 x = x2", [0, 2, 0, 0, 0, -1], 0),
        ("-(x + x2) * 2 - 1", [0, -2, 0, 0, 0, -2], 1),
        ("`C(h, Sum)[S.a, 1]` = .5", [0, 0, 0, 0, 1, 0], 0.5),
        ("C(h, Sum)[S.a, 1] + 1e1 Intercept", [10, 0, 0, 0, 1, 0], 0),
        ("(Intercept + x) / 2", [0.5, 0.5, 0, 0, 0, 0], 0),
    ],
)
def test_equations_are_read(text: str, weights: list[float], null: float) -> None:
    read = hypotheses(text, NAMES)
    np.testing.assert_allclose(read.L, [weights])
    np.testing.assert_allclose(read.null, [null])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + foo", r"x \+ foo\n        \^"),
        ("x3", "Did you mean 'x'"),
        ("x * x2", "linear in the coefficients"),
        ("x / 0", "a number other than zero"),
        ("x = x", "at least one coefficient"),
        ("x ) + 1", "Expected the end"),
        ("(x + x2", "closing parenthesis"),
        ("", "a coefficient or a number"),
    ],
)
def test_typing_errors_show_their_place(text: str, message: str) -> None:
    with pytest.raises(FitError, match=message):
        hypotheses(text, NAMES)


def test_all_ways_to_write_a_contrast_agree() -> None:
    fit = wide_fit()
    L = np.array([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]], dtype=float)
    written = [
        "x + x:g[T.b], g[T.b]",
        ["x + x:g[T.b]", {"g[T.b]": 1}],
        {"slope in b": {"x": 1, "x:g[T.b]": 1}, "shift": "g[T.b]"},
        L,
    ]
    tables = [fit.contrast(spec).drop("term") for spec in written]
    assert all(table.equals(tables[0]) for table in tables)
    assert fit.contrast(written[2])["term"].to_list() == ["slope in b", "shift"]
    assert fit.contrast(L)["term"].to_list() == ["x + x:g[T.b]", "g[T.b]"]
    assert tuple(tables[0].columns) == (*ESTIMATES[1:], "null")
    one = fit.contrast({"x": 1, "x:g[T.b]": 1}, null=2.0)
    assert one["null"][0] == 2.0
    assert one["statistic"][0] == pytest.approx((0.2 - 2) / one["std_error"][0])


def test_a_single_contrast_is_its_own_joint_test() -> None:
    fit = wide_fit()
    t, F = fit.contrast("x - x2 = 1"), fit.joint_test("x - x2 = 1")
    assert F["statistic"][0] == pytest.approx(t["statistic"][0] ** 2)
    assert F["p_value"][0] == pytest.approx(t["p_value"][0])


@given(st.integers(0, 2**32 - 1))
def test_joint_tests_do_not_depend_on_how_the_restrictions_are_written(seed: int) -> None:
    fit, rng = wide_fit(), np.random.default_rng(seed)
    L = np.eye(6)[1:4]
    mixed = rng.normal(size=(5, 3)) @ L
    plain, rewritten = fit.joint_test(L), fit.joint_test(mixed)
    assert rewritten["df_num"][0] == 3
    assert rewritten["statistic"][0] == pytest.approx(plain["statistic"][0], rel=1e-6)
    expected = fit.coefficients[1:4] @ np.linalg.solve(
        fit.covariance[1:4, 1:4], fit.coefficients[1:4]
    )
    assert plain["statistic"][0] == pytest.approx(expected / 3)
    assert plain["p_value"][0] == pytest.approx(stats.f.sf(expected / 3, 3, 12))


def test_joint_tests_that_have_no_answer_say_why() -> None:
    fit = wide_fit()
    with pytest.raises(FitError, match="contradict each other"):
        fit.joint_test("x = 1, 2 x = 1")
    direction = np.ones((6, 1))
    one_cluster_more = Fit(
        **{
            **{name: getattr(fit, name) for name in fit.__dataclass_fields__},
            "covariance": direction @ direction.T,
        }
    )
    with pytest.raises(FitError, match="has rank 1"):
        one_cluster_more.joint_test(["x", "x2"])
    with pytest.raises(FitError, match="one column per coefficient"):
        fit.contrast(np.ones((1, 3)))
    with pytest.raises(FitError, match=r"called 'z'"):
        fit.contrast({"z": 1.0})
    with pytest.raises(FitError, match="no adjustment"):
        fit.contrast("x", adjust="tukey")  # type: ignore[arg-type]


def test_adjustments_are_ordered_as_theory_says() -> None:
    fit = wide_fit()
    spec = ["x", "x2", "g[T.b]", "x - x2"]
    p = {
        adjust: fit.contrast(spec, adjust=adjust)["p_value"].to_numpy()  # type: ignore[arg-type]
        for adjust in ("none", "single-step", "holm", "bonferroni")
    }
    assert (p["none"] <= p["single-step"]).all()
    assert (p["single-step"] <= p["bonferroni"] + 1e-4).all()
    assert (p["holm"] <= p["bonferroni"]).all()
    np.testing.assert_allclose(p["bonferroni"], np.minimum(1, 4 * p["none"]))
    wide, plain = fit.contrast(spec, adjust="single-step"), fit.contrast(spec)
    assert (wide["conf_high"] > plain["conf_high"]).all()


# The direction is integrated by 2^15 quasi-random points.
@pytest.mark.parametrize(("means", "df"), [(2, 5.0), (3, 7.0), (5, 20.0), (6, np.inf)])
def test_all_pairs_of_means_are_tukeys_test(means: int, df: float) -> None:
    pairs = [(i, j) for i in range(means) for j in range(i)]
    L = np.array([[float(k == i) - float(k == j) for k in range(means)] for i, j in pairs])
    t = np.resize([1.5, 2.5, 4.0], len(pairs))
    p, critical = single_step(t, L @ L.T / 2, df, 0.95)
    np.testing.assert_allclose(p, stats.studentized_range.sf(t * np.sqrt(2), means, df), rtol=2e-3)
    exact = stats.studentized_range.ppf(0.95, means, df) / np.sqrt(2)
    assert critical == pytest.approx(exact, rel=5e-4)


def test_independent_contrasts_are_sidaks() -> None:
    p, _ = single_step(np.array([1.0, 2.0, 3.0]), np.eye(3), np.inf, 0.9)
    alone = 2 * stats.norm.sf([1.0, 2.0, 3.0])
    np.testing.assert_allclose(p, 1 - (1 - alone) ** 3, rtol=1e-3)
