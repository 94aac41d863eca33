"""Slopes of a log larger than memory: batch by batch, the same table and the same errors."""

import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import distortion as ds
from distortion import batches
from distortion.errors import LogError
from distortion.files import NO_VALUE, find, survey
from distortion.log import write_failure, write_shard
from tests.benchmarks.streaming import measured, write_log
from tests.logs import planted, worked_example


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a network or two, so that small logs have several."""
    monkeypatch.setattr(batches, "BATCH", 40)


def study(networks: int = 7, classes: int = 4) -> pl.DataFrame:
    """Networks of 16 rows or more, of two models, with all columns that rules look at."""
    rng = np.random.default_rng(0)
    options = {"networks": networks, "classes": classes, "methods": ("gradient", "magnitude")}
    tables = [
        planted(rng, {2.0: 1.2}, control=0.9, model=model, **options)  # type: ignore[arg-type]
        for model in ("net", "wide")
    ]
    names = pl.format("class {}", "class_id")
    return pl.concat(tables).with_columns(
        class_name=names,
        kept=pl.when(pl.col("arm") == "dense").then("correct").otherwise(pl.col("correct") - 1),
        n_params=pl.lit(1000),
        n_remaining=pl.when(pl.col("ratio") == 1).then(1000).otherwise(500),
        weights_hash=pl.format("{}{}", "model", "seed"),
    )


def outcome(derive: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame | str, list[str]]:
    """A table or the words of an error, and the warnings given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table: pl.DataFrame | str = derive()
        except LogError as error:
            table = str(error)
    return table, [str(warning.message) for warning in caught]


def agreed(source: object) -> tuple[pl.DataFrame | str, list[str]]:
    """What comes of a source, which is the same in batches and from the whole log in memory."""
    streamed, notes = outcome(lambda: ds.slopes(source))
    whole, expected = outcome(lambda: ds.slopes(ds.read_log(source)))
    if isinstance(whole, str) or isinstance(streamed, str):
        assert streamed == whole
    else:
        assert_frame_equal(streamed, whole, check_exact=True)
    assert notes == expected
    return whole, notes


def write(table: pl.DataFrame, folder: Path, *, rows: int = 25) -> Path:
    """Write the parts of a table that its column `file` names, in groups of some rows."""
    for (name,), part in table.partition_by("file", as_dict=True, include_key=False).items():
        part.write_parquet(folder / f"{name}.parquet", row_group_size=rows)
    return folder


SPLITS = ["model", "seed", "method", "ratio", "arm", "class_id"]


@settings(max_examples=12)
@given(
    by=st.lists(st.sampled_from(SPLITS), unique=True, max_size=3),
    rng=st.integers(0, 2**32 - 1),
    shuffled=st.booleans(),
    rows=st.integers(1, 60),
)
def test_any_split_into_files_gives_the_same_slopes(
    by: list[str], rng: int, shuffled: bool, rows: int
) -> None:
    table = study().with_columns(file=pl.concat_str(pl.lit("f"), *by))
    if shuffled:
        table = table.sample(fraction=1, shuffle=True, seed=rng)
    with tempfile.TemporaryDirectory() as folder:
        slopes, notes = agreed(write(table, Path(folder), rows=rows))
    assert isinstance(slopes, pl.DataFrame)
    assert slopes.height == 2 * 7 * 3
    assert notes == []


def test_a_log_is_read_in_batches_of_whole_networks(tmp_path: Path) -> None:
    files = survey(find(str(write(study().with_columns(file="method"), tmp_path))))
    found = list(batches.batches(files))
    assert len(found) > 3
    assert pl.concat([row for _, row in found]).sort().to_list() == list(range(files.height))
    networks = pl.concat([t.select("model", "seed").unique() for t, _ in found])
    assert networks.is_unique().all()
    assert max(table.height for table, _ in found) <= 40 + 16


def wrong(column: str, value: object, *rows: int) -> pl.DataFrame:
    """A study with some values replaced."""
    table = study()
    values = table[column].to_list()
    for row in rows:
        values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


def without(*broken: pl.Expr) -> pl.DataFrame:
    return study().filter(~pl.all_horizontal(broken))


second = (pl.col("seed") > 4, pl.col("model") == "wide")
RULES = {
    "values missing": (wrong("correct", None, 3, 200, 100), "3 value.s. .* missing, .* row 4: "),
    "values not whole": (wrong("n", 10.5, 190, 2), "2 value.s. of .* not whole numbers, .* row 3"),
    "values not numbers": (wrong("seed", "x", 190), "not whole numbers, for example row 191: 'x'"),
    "earlier rule in a later batch": (
        wrong("ratio", 0.5, 200).with_columns(wrong("correct", 10**6, 4)["correct"]),
        "1 row.s. break .* at least 1, for example row 201",
    ),
    "correct": (wrong("correct", 10**6, 4, 5, 6, 100, 150), "5 row.s. .* correct is at most n"),
    "arm": (wrong("arm", "tuned", 60), "arm is one of"),
    "kept": (wrong("kept", 10**5, 60), "kept"),
    "key": (pl.concat([study(), study()[30:32]]), "4 row.s. .* the key .* is unique.* row 31"),
    "constant": (wrong("n_params", 2000, 60, 140), "8 row.s. .* 'n_params' is constant"),
    "no dense": (without(*second, pl.col("arm") == "dense"), "6 cell.s. have no dense cell"),
    "other classes": (
        without(*second, pl.col("arm") == "finetuned", pl.col("class_id") == 2),
        "4 cell.s. are counted on other classes",
    ),
    "single class": (without(pl.col("seed") == 6, pl.col("class_id") > 0), "hold a single class"),
    "class names": (wrong("class_name", "class 9", 1, 150), "class_id of a data set has one"),
    "two dense cells": (
        pl.concat(
            [study(), study()[112:116].with_columns(intervention=pl.lit("x"))], how="diagonal"
        ),
        "2 cell.s. are one of several dense cells of their network, .* row 113: .*; row 225: ",
    ),
    "no column": (study().drop("correct"), "'correct': those predicted correctly"),
    "no rows": (study().clear(), "The log is empty"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("by", ["model", "method", "class_id"])
def test_errors_are_those_of_the_whole_log(rule: str, by: str, tmp_path: Path) -> None:
    table, says = RULES[rule]
    write(table.with_columns(file=by), tmp_path)
    if table.is_empty():
        table.write_parquet(tmp_path / "empty.parquet")
    error, _ = agreed(tmp_path)
    assert isinstance(error, str)
    if by == "model":  # the files in order are the table
        assert re.search(says, error), error


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            wrong("weights_hash", "f00", *range(4), *range(64, 68)),
            "2 networks share identical initial weights",
        ),
        (wrong("method", "Gradient", *range(52, 56)), "'Gradient', 'gradient'"),
        (wrong("correct", 0, *range(60, 64)).drop("kept"), "1 cell.s. have accuracy 0"),
        (study().with_columns(recall=pl.lit(1)), "Ignored column.s. recall"),
        (
            pl.concat([study(), study()[:16].with_columns(seed=pl.lit(9, pl.Int64))]),
            "identical dense counts, .* .seeds .0, 9..",
        ),
    ],
)
@pytest.mark.parametrize("by", ["model", "class_id"])
def test_weaknesses_across_networks_are_found(
    table: pl.DataFrame, says: str, by: str, tmp_path: Path
) -> None:
    _, notes = agreed(write(table.with_columns(file=by), tmp_path))
    assert any(re.search(says, note) for note in notes), notes


values = st.one_of(st.none(), st.integers(-3, 12), st.floats(), st.text(max_size=6))


@settings(max_examples=12)
@given(
    wrong=st.lists(
        st.tuples(st.sampled_from(study().columns), st.integers(0, 223), values), max_size=3
    ),
    by=st.sampled_from(SPLITS),
)
def test_any_values_give_the_same_outcome(wrong: list[tuple[str, int, object]], by: str) -> None:
    table = study().with_columns(file=by)
    for column, row, value in wrong:
        new = table[column].to_list()
        new[row] = value
        table = table.with_columns(pl.Series(column, new, strict=False))
    with tempfile.TemporaryDirectory() as folder:
        agreed(write(table, Path(folder)))


def test_columns_may_stand_in_the_names_of_folders(tmp_path: Path) -> None:
    plain = study().with_columns(recipe=pl.lit("a/b c"))
    hive = ["recipe", "model", "method", "seed"]
    for key, part in plain.partition_by(hive, as_dict=True, include_key=False).items():
        names = [f"{c}={quote(str(v), safe='')}" for c, v in zip(hive, key, strict=True)]
        path = tmp_path.joinpath("hive", *names, "0.parquet")
        path.parent.mkdir(parents=True)
        part.write_parquet(path)
    slopes, _ = agreed(tmp_path / "hive")
    assert isinstance(slopes, pl.DataFrame)
    names = ["network", "method"]
    assert_frame_equal(slopes.sort(names), ds.slopes(plain).sort(names), check_exact=True)
    some, _ = agreed(tmp_path / "hive" / "**" / "model=net" / "**" / "*.parquet")
    assert isinstance(some, pl.DataFrame)
    assert some["model"].unique().to_list() == ["net"]


def test_a_column_of_the_file_wins_over_the_name_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model=other" / "n_params=7" / f"flops={NO_VALUE}"
    write_shard(study(), {}, folder, "run")
    log = ds.read_log(tmp_path)
    assert log.table["model"].unique().sort().to_list() == ["net", "wide"]
    assert log.table["flops"].to_list() == [None] * 224


def test_lists_mixed_and_empty_files_are_read_in_order(tmp_path: Path) -> None:
    net, wide = study().partition_by("model")
    wide.clear().write_parquet(tmp_path / "0.parquet")
    wide.write_csv(tmp_path / "1.csv")
    net.with_columns(pl.col("seed").cast(pl.String), study=pl.lit(None, pl.String)).write_parquet(
        tmp_path / "2.parquet"
    )
    names = ["0.parquet", "1.csv", "2.parquet"]
    slopes, _ = agreed([tmp_path / name for name in names])
    assert isinstance(slopes, pl.DataFrame)
    assert slopes["model"].unique(maintain_order=True).to_list() == ["wide", "net"]


def test_failures_in_the_provenance_are_looked_at(tmp_path: Path) -> None:
    write_failure({"failed": [{"seed": 1, "reason": "killed"}]}, tmp_path, "lost")
    worked_example().clear().write_parquet(tmp_path / "run.parquet")
    assert "Every network" in str(agreed(tmp_path)[0])
    write_shard(worked_example(), {"failed": ["a"]}, tmp_path, "run")
    assert "not a cell with a reason" in str(agreed(tmp_path)[0])
    (tmp_path / "run.json").write_text("{")
    assert "run.json cannot be read" in str(agreed(tmp_path)[0])


def test_a_file_with_damaged_rows_is_named(tmp_path: Path) -> None:
    write(study().with_columns(file=pl.format("{}{}", "model", "seed")), tmp_path)
    path = tmp_path / "net5.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    assert "net5.parquet cannot be read" in str(agreed(tmp_path)[0])
    path.write_bytes(content[:-10])
    assert "net5.parquet cannot be read" in str(agreed(tmp_path)[0])


def test_files_that_make_no_table_are_refused(tmp_path: Path) -> None:
    write(study().with_columns(file="model"), tmp_path)
    study().with_columns(flops=pl.lit(1)).write_parquet(tmp_path / "a.parquet")
    study().with_columns(flops=pl.lit(1).implode()).write_parquet(tmp_path / "b.parquet")
    assert "do not make one table" in str(agreed(tmp_path)[0])


@pytest.mark.slow
def test_a_log_larger_than_the_memory_allowed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows take some 400 bytes with what is derived from them: here twice what is allowed."""
    monkeypatch.setenv("POLARS_MAX_THREADS", "2")
    write_log(tmp_path, 6_000_000)
    assert measured("in memory", tmp_path, limit=2) is None
    found = measured("batches", tmp_path, limit=2)
    assert found is not None
    assert found["height"] == 142 * 41  # networks and their cells that are not dense
