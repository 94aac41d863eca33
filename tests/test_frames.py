"""pandas in, pandas out, and what cannot be a table."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from distortion.errors import FitError
from distortion.frames import to_pandas, to_polars


def test_polars_frames_pass_untouched() -> None:
    table = pl.DataFrame({"x": [1.0]})
    lazy = table.lazy()
    assert to_polars(table) is table
    assert to_polars(lazy) is lazy


def test_every_pandas_type_arrives() -> None:
    given = pd.DataFrame(
        {
            "whole": np.array([1, 2, 3], dtype=np.int16),
            "real": [0.5, np.nan, 1.5],
            "yes": [True, False, True],
            "text": ["a", None, "c"],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "ordered": pd.Categorical(["lo", "hi", None], ["lo", "hi"], ordered=True),
            "unordered": pd.Categorical(["q", "p", None], ["q", "p"]),
        },
        index=[7, 8, 9],
    )
    made = to_polars(given)
    assert isinstance(made, pl.DataFrame)
    assert made.drop("when", "real").to_dict(as_series=False) == {
        "whole": [1, 2, 3],
        "yes": [True, False, True],
        "text": ["a", None, "c"],
        "nullable": [1, None, 3],
        "ordered": ["lo", "hi", None],
        "unordered": ["q", "p", None],
    }
    np.testing.assert_array_equal(made["real"], [0.5, np.nan, 1.5])
    assert made["when"].to_list()[::2] == [datetime(2024, 1, 1), datetime(2024, 1, 3)]
    assert made["when"].null_count() == 1
    assert made.schema["ordered"] == pl.Enum(["lo", "hi"])
    assert made.schema["unordered"] == pl.Enum(["q", "p"])


def test_a_categorical_of_numbers_keeps_the_order_of_its_levels() -> None:
    given = pd.DataFrame({"ratio": pd.Categorical([10, 2, None], [2, 10, 50])})
    made = to_polars(given)
    assert isinstance(made, pl.DataFrame)
    assert made["ratio"].to_list() == ["10", "2", None]
    assert made.schema["ratio"] == pl.Enum(["2", "10", "50"])


def test_two_levels_that_read_alike_are_refused() -> None:
    with pytest.raises(FitError, match="two levels that both read '1'"):
        to_polars(pd.DataFrame({"f": pd.Categorical([1, "1"], [1, "1"])}))


def test_a_lazy_table_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    lazy = pl.scan_csv(tmp_path / "t.csv").select("z")
    with pytest.raises(FitError, match="lazy table cannot be read"):
        to_polars(lazy)


def test_an_empty_and_an_entirely_missing_column_arrive() -> None:
    assert to_polars(pd.DataFrame({"x": []})).collect_schema() == {"x": pl.Float64}
    table = to_polars(pd.DataFrame({"x": [None, None]}))
    assert isinstance(table, pl.DataFrame)
    assert table["x"].null_count() == 2


@pytest.mark.parametrize("thing", [{"x": [1]}, [1, 2], np.zeros((2, 2)), None])
def test_other_things_are_refused(thing: object) -> None:
    with pytest.raises(FitError, match="give a polars or a pandas frame"):
        to_polars(thing)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(FitError, match="two columns named 'x'"):
        to_polars(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_levels_are_declared_on_the_way_to_pandas() -> None:
    table = pl.DataFrame({"net": ["b", "a", None], "x": [1.0, 2.0, 3.0], "n": [1, 2, 3]})
    made = to_pandas(table, {"net": ["c", "b", "a"]})
    assert list(made["net"].cat.categories) == ["c", "b", "a"]
    assert list(made["net"].cat.codes) == [1, 2, -1]
    assert made["x"].dtype == np.float64
    assert made["n"].dtype == np.int64
    back = to_polars(made)
    assert isinstance(back, pl.DataFrame)
    assert back.schema["net"] == pl.Enum(["c", "b", "a"])
    assert_frame_equal(back.cast({"net": pl.String}), table)


def test_a_level_that_was_not_declared_is_named() -> None:
    with pytest.raises(FitError, match=r"'net' holds 'a', which is not among .* \['b'\]"):
        to_pandas(pl.DataFrame({"net": ["b", "a"]}), {"net": ["b"]})


def test_enums_and_categoricals_become_texts() -> None:
    table = pl.DataFrame(
        {"e": ["b"], "c": ["a"]}, schema={"e": pl.Enum(["b"]), "c": pl.Categorical}
    )
    assert to_pandas(table).to_dict("list") == {"e": ["b"], "c": ["a"]}


def test_neither_direction_needs_pyarrow() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import polars as pl\n"
        "from distortion.frames import to_pandas, to_polars\n"
        "t = pl.DataFrame({'x': [1.5, None], 'n': [1, 2], 's': ['a', None], 'b': [True, False]})\n"
        "p = to_pandas(t, {'s': ['a']})\n"
        "assert to_polars(p)['s'].to_list() == ['a', None]\n"
        "assert to_polars(p)['n'].to_list() == [1, 2]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
