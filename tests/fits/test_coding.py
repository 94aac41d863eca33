"""The model matrix against formulaic's own, on generated formulas."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from formulaic import model_matrix
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distortion.errors import FitError
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import ModelFrame, model_frame

rng = np.random.default_rng(20)
N = 60
TABLE = pl.DataFrame(
    {
        "y": rng.normal(size=N),
        "x": rng.uniform(0.1, 0.9, N),
        "z": rng.integers(1, 9, N).astype(np.int16),
        "g": rng.choice(["a", "b", "c"], N),
        "h": rng.choice(["q", "p"], N),
        "k": rng.integers(3, 7, N),
        "b": rng.random(N) < 0.5,
        "my col": rng.normal(size=N),
    }
)
FORMULAIC = {
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "logit": lambda x: np.log(x / (1 - x)),
}
# A few ulp: polars and numpy round logarithms and powers differently.
RTOL = 1e-12


def expected(rhs: str, table: pl.DataFrame = TABLE) -> pd.DataFrame:
    columns = table.to_dict(as_series=False) | {"b": [str(value) for value in table["b"]]}
    return model_matrix(rhs, pd.DataFrame(columns), context=FORMULAIC)


def matrix(frame: ModelFrame, size: int = 65_536) -> np.ndarray:
    return np.vstack([chunk.X for chunk in frame.chunks(size)])


def check(rhs: str) -> None:
    frame = model_frame(parse(f"y ~ {rhs}"), TABLE)
    theirs = expected(rhs)
    assert list(frame.fixed_names) == list(theirs.columns)
    np.testing.assert_allclose(matrix(frame, 17), theirs, rtol=RTOL)
    np.testing.assert_allclose(frame.fixed_matrix(TABLE.tail(5)), theirs.tail(5), rtol=RTOL)


@pytest.mark.parametrize(
    "rhs",
    [
        "1",
        "x",
        "0 + x",
        "g",
        "g - 1",
        "0 + g + h",
        "g * h * x",
        "g:x",
        "0 + g:h + x:g",
        "h:k + g:h:x",
        "`my col` * g",
        "log(`my col` ** 2 + 1)",
        "C(k)",
        "C(k, Sum) * g",
        "0 + C(k, Helmert):x",
        "C(g, Treatment('b')) + C(g, Treatment('b')):C(k, Sum)",
        "C(g, levels=['c', 'a', 'b']) * x",
        "C(g, Sum, levels=['b', 'c', 'a'])",
        "center(x) * scale(z) + I(center(x) ** 2)",
        "log(x) + log2(x) + log10(x) + log1p(x) + exp(x) + sqrt(x) + abs(`my col`) + logit(x)",
        "I(-x ** 2 + y / (1.5 + z) - 2e-1)",
        "(x + g + z) ^ 2 - x:g",
        "x / g",
        "b * x",
    ],
)
def test_matrix_equals_formulaics(rhs: str) -> None:
    check(rhs)


numbers = ["x", "z", "`my col`", "log(x)", "center(z)", "I(x * z)"]
categories = ["g", "h", "C(k)", "C(k, Sum)", "C(g, Helmert)", "C(h, Treatment('q'))"]
atoms = st.sampled_from([*numbers, *categories])
products = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(":*/"), inner).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    ),
    max_leaves=4,
)
formulas = st.tuples(
    st.sampled_from(["", "0 + ", "1 + ", "-1 + "]),
    st.lists(products, min_size=1, max_size=3),
    st.sampled_from(["", " - 1", " + 1", " - x", " + 0"]),
).map(lambda t: t[0] + " + ".join(t[1]) + t[2])


@settings(deadline=None, max_examples=60)
@given(formulas)
def test_generated_formulas_have_formulaics_matrix(rhs: str) -> None:
    try:
        frame = model_frame(parse(f"y ~ {rhs}"), TABLE)
    except FitError as error:
        # Nothing is left of x - x.
        assume("no column" not in str(error) and "multiplied out" not in str(error))
        raise
    assume(len(frame.fixed_names) < 200)
    check(rhs)


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["c", "a", "never", "b"]), pl.String])
def test_levels_stand_in_the_order_of_the_column(dtype: pl.DataType) -> None:
    frame = model_frame(parse("y ~ g"), TABLE.with_columns(pl.col("g").cast(dtype)))
    order = ("c", "a", "b") if isinstance(dtype, pl.Enum) else ("a", "b", "c")
    assert frame.factors == {"g": order}
    assert frame.fixed_names == ("Intercept", *(f"g[T.{level}]" for level in order[1:]))
    plain = model_frame(parse("y ~ 0 + g"), TABLE)
    full = matrix(model_frame(parse("y ~ 0 + g"), TABLE.with_columns(pl.col("g").cast(dtype))))
    order_of = [plain.factors["g"].index(level) for level in order]
    np.testing.assert_array_equal(full, matrix(plain)[:, order_of])


def test_declared_levels_come_before_the_enums_order() -> None:
    table = TABLE.with_columns(pl.col("g").cast(pl.Enum(["c", "a", "b"])))
    frame = model_frame(
        parse("y ~ g + k"), table, levels={"g": ["b", "c", "d", "a"], "k": [6, 5, 4, 3]}
    )
    assert frame.factors == {"g": ("b", "c", "a"), "k": (6, 5, 4, 3)}
    assert frame.fixed_names[1:] == ("g[T.c]", "g[T.a]", "k[T.5]", "k[T.4]", "k[T.3]")
    own = model_frame(
        parse("y ~ C(g, levels=['a', 'b', 'c'])"), table, levels={"g": ["b", "c", "a"]}
    )
    assert own.factors == {"g": ("a", "b", "c")}


def test_equal_looking_levels_of_other_types_are_not_confused() -> None:
    """Codings are remembered by their levels, and in Python 1 == 1.0 == True."""
    whole = model_frame(parse("y ~ C(z)"), TABLE.with_columns(z=pl.col("k") % 2))
    real = model_frame(parse("y ~ C(z)"), TABLE.with_columns(z=(pl.col("k") % 2).cast(pl.Float64)))
    truth = model_frame(parse("y ~ C(z)"), TABLE.with_columns(z=pl.col("k") % 2 == 1))
    names = [frame.fixed_names[1] for frame in (whole, real, truth)]
    assert names == ["C(z)[T.1]", "C(z)[T.1.0]", "C(z)[T.True]"]
    np.testing.assert_array_equal(matrix(whole), matrix(real))
    np.testing.assert_array_equal(matrix(whole), matrix(truth))


def test_terms_own_their_columns() -> None:
    frame = model_frame(parse("y ~ x * g"), TABLE)
    assert {name: frame.fixed_names[where] for name, where in frame.terms} == {
        "Intercept": ("Intercept",),
        "x": ("x",),
        "g": ("g[T.b]", "g[T.c]"),
        "x:g": ("x:g[T.b]", "x:g[T.c]"),
    }


def test_centres_and_scales_are_those_of_the_rows_used() -> None:
    table = TABLE.with_columns(g=pl.when(pl.int_range(N) >= 10).then("g"))
    frame = model_frame(parse("y ~ g + scale(log(x)) + center(z)"), table)
    used = table.drop_nulls()
    logs = np.log(used["x"].to_numpy())
    X = dict(zip(frame.fixed_names, frame.fixed_matrix(used.head(3)).T, strict=True))
    scaled = (logs - logs.mean()) / logs.std(ddof=1)
    np.testing.assert_allclose(X["scale(log(x))"], scaled[:3], rtol=RTOL)
    np.testing.assert_allclose(X["center(z)"], used["z"].head(3) - used["z"].mean(), rtol=RTOL)


def test_matrices_are_contiguous_and_wide_ones_come_in_smaller_chunks() -> None:
    frame = model_frame(parse("y ~ g * h"), TABLE)
    assert all(chunk.X.flags.c_contiguous for chunk in frame.chunks(7))
    many = pl.DataFrame({"y": rng.normal(size=4000), "id": np.arange(4000) // 2})
    wide = model_frame(parse("y ~ C(id)"), many)
    assert max(chunk.X.nbytes for chunk in wide.chunks()) <= 2**26


def test_a_coding_pickles() -> None:
    frame = model_frame(parse("y ~ g * scale(x) + C(k, Sum)"), TABLE)
    again = pickle.loads(pickle.dumps(frame))
    np.testing.assert_array_equal(matrix(again), matrix(frame))
    assert again.terms == frame.terms
