"""A formula applied to a table: rows, groups, refusals."""

import pickle
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from distortion.errors import FitError
from distortion.fits.formulas import screening
from distortion.fits.formulas.formula import parse
from distortion.fits.formulas.modelframe import ModelFrame, model_frame

rng = np.random.default_rng(3)
N = 200
TABLE = pl.DataFrame(
    {
        "y": rng.normal(size=N),
        "x": rng.uniform(0.1, 0.9, N),
        "z": rng.normal(size=N).astype(np.float32),
        "a": rng.integers(-3, 4, N),
        "b": rng.choice(["u", "v", "w"], N),
        "n": rng.integers(5, 9, N).astype(np.uint8),
    }
).with_columns(correct=pl.col("n") - 2)


def made(text: str, table: Any = TABLE, **options: Any) -> ModelFrame:
    return model_frame(parse(text), table, **options)


def gathered(frame: ModelFrame, size: int = 65_536) -> dict[str, Any]:
    """All chunks as one."""
    chunks = list(frame.chunks(size))
    assert [c.start for c in chunks] == list(np.cumsum([0, *(len(c.y) for c in chunks)])[:-1])
    whole: dict[str, Any] = {}
    for name in ("y", "X", "weights", "offset", "trials"):
        parts = [getattr(c, name) for c in chunks]
        whole[name] = None if parts[0] is None else np.concatenate(parts)
    for k in range(len(frame.groupings)):
        whole[f"codes {k}"] = np.concatenate([c.codes[k] for c in chunks])
        parts = [c.covariates[k] for c in chunks]
        whole[f"covariates {k}"] = None if parts[0] is None else np.vstack(parts)
    return whole


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)


EVERYTHING = "correct/n ~ x * b + offset(log(n)) + offset(x) + (1 + x + z || a:b) + (1 | b)"
HOLES = TABLE.with_columns(
    x=pl.when(pl.int_range(N) % 7 == 0).then(None).otherwise("x"),
    z=pl.when(pl.int_range(N) % 14 == 2).then(float("nan")).otherwise("z"),
    b=pl.when(pl.int_range(N) == 1).then(None).otherwise("b"),
)


def test_values_are_those_of_the_table() -> None:
    whole = gathered(made(EVERYTHING, weights="x"))
    np.testing.assert_array_equal(whole["y"], TABLE["correct"])
    np.testing.assert_array_equal(whole["trials"], TABLE["n"])
    np.testing.assert_array_equal(whole["weights"], TABLE["x"])
    np.testing.assert_allclose(
        whole["offset"], np.log(TABLE["n"].cast(float)) + TABLE["x"], rtol=1e-15
    )
    ones = np.ones(N)
    np.testing.assert_array_equal(whole["covariates 0"].T, [ones, TABLE["x"], TABLE["z"]])
    assert whole["covariates 1"] is None
    assert whole["codes 0"].dtype == np.int32


@pytest.mark.parametrize("table", [TABLE, HOLES], ids=["complete", "holes"])
@pytest.mark.parametrize("size", [1, 13, 100, 65_536])
def test_every_chunk_size_and_kind_of_table_gives_the_same(table: pl.DataFrame, size: int) -> None:
    frame = made(EVERYTHING, table, weights="x")
    whole = gathered(frame)
    assert_same(whole, gathered(frame, size))
    for other in (table.lazy(), pd.DataFrame(table.to_dict(as_series=False))):
        same = made(EVERYTHING, other, weights="x")
        assert same.n_obs == frame.n_obs
        assert [g.labels for g in same.groupings] == [g.labels for g in frame.groupings]
        if isinstance(other, pl.LazyFrame):
            assert same.notes == frame.notes
            # Streams are added up in another order.
            assert same.means == pytest.approx(frame.means, rel=1e-12)
            assert_same(whole, gathered(same, size))


@pytest.mark.parametrize("table", [TABLE, HOLES], ids=["complete", "holes"])
def test_a_large_table_in_memory_is_read_like_a_small_one(
    table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = made(EVERYTHING, table)
    monkeypatch.setattr(screening, "SMALL", 0)
    large = made(EVERYTHING, table)
    assert large.notes == small.notes
    assert large.means == pytest.approx(small.means, rel=1e-12)  # added up in another order
    assert [g.labels for g in large.groupings] == [g.labels for g in small.groupings]
    assert_same(gathered(large), gathered(small))


def test_a_lazy_file_is_read_in_pieces(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "t.parquet")
    lazy = made(EVERYTHING, pl.scan_parquet(tmp_path / "t.parquet"))
    assert_same(gathered(lazy, 64), gathered(made(EVERYTHING)))


def test_a_lazy_table_that_changes_is_noticed(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "t.csv")
    frame = made("y ~ x", pl.scan_csv(tmp_path / "t.csv"))
    TABLE.head(150).write_csv(tmp_path / "t.csv")
    with pytest.raises(FitError, match=r"had 200 usable rows .* now has 150"):
        gathered(frame)


def test_missing_values_leave_their_rows_out_and_are_counted() -> None:
    frame = made("y ~ x + (z | b)", HOLES)
    used = HOLES.with_row_index().filter(pl.col("z").is_not_nan()).drop_nulls()
    assert frame.notes == (
        f"{N - used.height} of 200 rows were left out for missing values: 29 in 'x', 15 in 'z', "
        "1 in 'b'.",
    )
    assert (frame.n_rows, frame.n_obs) == (N, used.height)
    np.testing.assert_array_equal(frame.rows_used, used["index"])
    np.testing.assert_array_equal(gathered(frame)["y"], used["y"])
    assert frame.columns("a", "b").rows() == used.select("a", "b").rows()
    assert frame.means["x"] == pytest.approx(used["x"].mean())


def test_unused_columns_may_have_holes_but_needed_ones_may_not() -> None:
    frame = made("y ~ a", HOLES)
    assert frame.rows_used is None
    assert frame.notes == ()
    assert made("y ~ a", HOLES, need=["b"]).n_obs == N - 1


def test_levels_of_left_out_rows_are_gone() -> None:
    table = TABLE.with_columns(x=pl.when(pl.col("b") != "w").then("x"))
    frame = made("y ~ x + b + (1 | b)", table)
    assert frame.factors == {"b": ("u", "v")}
    assert frame.groupings[0].labels == ("u", "v")


@pytest.mark.parametrize("group", ["a", "b", "a:b", "b:a", "f", "d", "a:b:d", "c"])
def test_codes_point_at_the_levels(group: str) -> None:
    table = TABLE.with_columns(
        f=pl.col("a") / 4,
        d=pl.date(2024, 1, 1) + pl.duration(days=pl.col("a")),
        c=pl.col("b").cast(pl.Categorical),
    )
    frame = made(f"y ~ x + (1 | {group})", table)
    (factor,) = frame.groupings
    columns = group.split(":")
    assert factor.name == group
    assert factor.levels.columns == columns
    assert factor.levels.rows() == sorted(set(table.select(columns).rows()))
    codes = gathered(frame, 33)["codes 0"]
    assert factor.levels[codes].rows() == table.select(columns).rows()
    assert factor.labels[codes[0]] == ":".join(map(str, table.select(columns).row(0)))


def test_terms_on_one_grouping_factor_are_merged() -> None:
    frame = made("y ~ x + (1 + x | a:b) + (0 + z | b:a) + (1 | b)")
    first, second = frame.groupings
    assert (first.name, first.covariates) == ("a:b", ("Intercept", "x", "z"))
    np.testing.assert_array_equal(first.free, [[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert (second.name, second.covariates) == ("b", ("Intercept",))


def test_a_category_after_a_double_bar_stays_correlated_and_is_noted() -> None:
    frame = made("y ~ x + (x + b || a)")
    (factor,) = frame.groupings
    assert factor.covariates == ("Intercept", "x", "b[u]", "b[v]", "b[w]")
    np.testing.assert_array_equal(factor.free[2:, 2:], np.tri(3))
    assert not factor.free[2:, :2].any()
    assert "as in lme4" in frame.notes[0]


def test_new_rows_are_coded_like_the_old_ones() -> None:
    frame = made("y ~ scale(x) * b + (1 + x | a:b)")
    whole = gathered(frame)
    new = TABLE.tail(20)
    np.testing.assert_array_equal(frame.fixed_matrix(new), whole["X"][-20:])
    np.testing.assert_array_equal(frame.group_codes(0, new.lazy()), whole["codes 0"][-20:])
    np.testing.assert_array_equal(frame.group_covariates(0, new), whole["covariates 0"][-20:])
    np.testing.assert_array_equal(
        made("y ~ 1 + (1 | b)").group_covariates(0, new), np.ones((20, 1))
    )
    assert frame.fixed_matrix(new.head(0)).shape == (0, 6)
    assert made("y ~ 1").fixed_matrix(new).shape == (20, 1)


def test_a_new_group_has_code_minus_one() -> None:
    frame = made("y ~ x + (1 | a) + (1 | a:b)")
    new = pl.DataFrame({"a": [99, 0, 0, 0], "b": ["u", "other", None, "u"]})
    assert list(frame.group_codes(0, new.with_columns(b=pl.lit("u"))) < 0) == [
        True,
        False,
        False,
        False,
    ]
    assert list(frame.group_codes(1, new.drop_nulls()) < 0) == [True, True, False]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ({"x": [1.0]}, "no column 'b'"),
        ({"x": [1.0], "b": ["q"]}, "'q', which the model has not seen. It knows 'u', 'v', 'w'"),
        ({"x": [1.0, None], "b": ["u", "v"]}, "'x' is missing in 1 of 2 new"),
        ({"x": ["1"], "b": ["u"]}, r"'x' is String, but log\(x\) must be a number"),
        (
            {"x": [1.0, -1.0], "b": ["u", "v"]},
            r"log\(x\) is infinite or undefined in the new row 2",
        ),
    ],
)
def test_new_rows_that_cannot_be_coded(new: dict[str, Sequence[Any]], message: str) -> None:
    with pytest.raises(FitError, match=message):
        made("y ~ log(x) + b").fixed_matrix(pl.DataFrame(new))


def test_offsets_of_new_rows() -> None:
    frame = made("y ~ b + offset(2 * x)")
    np.testing.assert_array_equal(frame.offset(TABLE), 2 * TABLE["x"])
    assert made("y ~ b").offset(TABLE) is None


def put(**columns: Any) -> pl.DataFrame:
    return TABLE.with_columns(**{name: pl.lit(value) for name, value in columns.items()})


WIDE = TABLE.with_columns(u=pl.int_range(N) % 20, v=pl.int_range(N) % 19)


@pytest.mark.parametrize(
    ("text", "table", "message"),
    [
        ("y ~ xx", TABLE, "no column 'xx'. Did you mean 'x'"),
        ("yy ~ x", TABLE, "no column 'yy'"),
        ("y ~ x + (1 | bb)", TABLE, "no column 'bb'"),
        ("y ~ log(b)", TABLE, "'b' is String, but log"),
        ("b ~ x", TABLE, "'b' is String, but the response"),
        ("y ~ I(d)", put(d=True), "'d' is Boolean.* Make it 0 and 1"),
        ("y ~ d", put(d=date(2024, 1, 1)), "'d' is Date, but d must be a number. .* days"),
        ("y ~ C(d)", put(d=[1, 2]), "whose values cannot be levels"),
        ("y ~ x + (1 | d)", put(d=[1, 2]), "whose values cannot be levels"),
        ("y ~ x", put(x=float("inf")), "'x' is infinite in 200 .* row 1, 2, 3, …"),
        ("y ~ log(a)", TABLE, r"log\(a\) is infinite or undefined in row \d"),
        ("log(a) ~ x", TABLE, r"log\(a\) is infinite or undefined"),
        ("y ~ x + offset(1 / (a - 1))", TABLE, "is infinite or undefined"),
        ("y ~ log(center(x))", TABLE, r"log\(center\(x\)\) is infinite or undefined"),
        ("y ~ scale(c)", put(c=2.0), "SD of a constant"),
        ("y ~ k", put(k=2**60), r"beyond 2\*\*53"),
        ("y ~ x", put(y=1.5), "response y is 1.5 in all 200 rows"),
        ("y ~ c + x", put(c="one"), "c has one level only"),
        ("y ~ x + (1 | c)", put(c="one"), "c has one level only"),
        ("y ~ C(b, Treatment('q'))", TABLE, "'q' is not a level .* Known: 'u', 'v', 'w'"),
        ("y ~ C(b, levels=['u', 'v'])", TABLE, "'w', which is not among its declared"),
        ("y ~ 0 + (1 | b)", TABLE, "fixed part has no column"),
        ("y ~ Intercept", put(Intercept=1.0), "Two columns"),
        ("y ~ x", TABLE.head(0), "has no rows"),
        ("y ~ x", TABLE.head(1), "1 row is not enough"),
        ("y ~ X", TABLE, "Did you mean 'x'"),
        (
            "y ~ u",
            TABLE.with_columns(u=pl.format("{}", pl.int_range(N))),
            "200 levels for 200 rows",
        ),
        ("y ~ (b * C(n))*C(a)*C(u)*C(v)", WIDE, "would have .* columns, .* 10,000 is the limit"),
        ("y ~ x + (1 | Residual)", TABLE.rename({"b": "Residual"}), "cannot be named 'Residual'"),
        ("y ~ x", TABLE.with_columns(x=pl.lit(None, pl.Float64)), "200 of 200 rows were left out"),
        ("y ~ x + v", TABLE.with_columns(v=None), "200 in 'v'"),
        ("y ~ x + (x | b) + (`Intercept` | b)", put(Intercept=1.0), "both"),
        (
            "y ~ log(x) + `log(x)`",
            TABLE.with_columns(pl.col("x").alias("log(x)")),
            "rename the column",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(
    text: str, table: pl.DataFrame, message: str
) -> None:
    for given_table in (table, table.lazy()):
        with pytest.raises(FitError, match=message):
            made(text, given_table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "a"}, "weights that are not positive, the smallest -3"),
        ({"weights": "b"}, "'b' is String, but a weight"),
        ({"weights": "w"}, "no column 'w'"),
        ({"need": ["cluster"]}, "no column 'cluster'"),
        ({"levels": {"bb": ["u"]}}, "no column 'bb'"),
        ({"levels": {"b": ["u", "v"]}}, "'w', which is not among its declared levels"),
        ({"levels": {"b": "uvw"}}, "'uvw': give a list of levels"),
        ({"levels": {"b": ["u", "v", "u", "w"]}}, "names 'u' twice"),
        ({"levels": ["u", "v"]}, "levels gives a list for each column"),
        ({"weights": np.ones(N)}, "weights names a column of the table, not ndarray"),
    ],
)
def test_options_that_do_not_fit_the_table(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FitError, match=message):
        made("y ~ x + b", **options)


def test_labels_of_joined_levels_are_distinct() -> None:
    table = TABLE.with_columns(
        p=pl.when(pl.col("a") > 0).then(pl.lit("u:v")).otherwise(pl.lit("u")),
        q=pl.when(pl.col("a") > 0).then(pl.lit("w")).otherwise(pl.lit("v:w")),
    )
    (factor,) = made("y ~ x + (1 | p:q)", table).groupings
    assert factor.labels == ('u:"v:w"', '"u:v":w')


def test_grouping_factors_need_fewer_levels_than_rows() -> None:
    table = TABLE.with_columns(row=pl.int_range(N), pair=pl.int_range(N) // 2)
    with pytest.raises(FitError, match="row has 200 levels for 200 rows"):
        made("y ~ x + (1 | row)", table)
    with pytest.raises(FitError, match=r"\(1 \+ x \| pair\) has 200 random coefficients"):
        made("y ~ x + (x | pair)", table)
    assert made("y ~ x + (1 | pair)", table).groupings[0].levels.height == 100
    assert made("y ~ x + (x | row)", table, observation_level_ok=True).n_obs == N


def test_numbers_of_every_width_become_float64() -> None:
    for dtype in (pl.Int8, pl.UInt32, pl.Int64, pl.UInt64, pl.Float32, pl.Decimal(10, 2)):
        frame = made("y ~ n", TABLE.with_columns(pl.col("n").cast(dtype)))
        np.testing.assert_array_equal(gathered(frame)["X"][:, 1], TABLE["n"])
    truth = made("t ~ x", TABLE.with_columns(t=pl.col("a") > 0))
    np.testing.assert_array_equal(gathered(truth)["y"], TABLE["a"] > 0)


def test_huge_identifiers_may_group_rows() -> None:
    table = TABLE.with_columns(id=pl.lit(2**60) + pl.col("a") % 3)
    assert made("y ~ x + (1 | id)", table).groupings[0].levels.height == 3


@pytest.mark.parametrize("table", [HOLES, HOLES.lazy()], ids=["eager", "lazy"])
def test_frames_pickle(table: Any) -> None:
    frame = made("y ~ scale(x) * b + (x || a) + (1 | a:b)", table)
    assert_same(gathered(pickle.loads(pickle.dumps(frame))), gathered(frame))
