"""Stored predictions: read in every layout, refused in words, counted as by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import distortion as ds
from distortion.errors import LogError
from distortion.log import write_shard
from distortion.schema import CELL, COUNTS
from tests.answers import answers, long
from tests.logs import worked_example

KEY = [*CELL, "class_id"]


def changed(column: str, value: object, row: int = 1) -> pl.DataFrame:
    """Small predictions with one value replaced."""
    table = answers(networks=2, n=8)
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


def test_every_layout_and_source_gives_the_same_predictions(tmp_path: Path) -> None:
    table = answers(networks=3)
    expected = ds.recount(table).sort(KEY)
    table.write_parquet(tmp_path / "lists.parquet")
    long(table).write_csv(tmp_path / "long.csv")
    long(table).write_parquet(tmp_path / "long.pq")
    for seed, network in enumerate(table.partition_by("seed", maintain_order=True)):
        write_shard(worked_example(), {}, tmp_path / "study", f"run{seed}", network)
    read = ds.read_predictions(table)
    assert repr(read) == "Predictions(a frame in memory: 9 cells, 3 networks, 60 images)"
    for source in ("lists.parquet", "long.csv", "long.pq", "study", "study/*.predictions.pq"):
        assert_frame_equal(ds.recount(tmp_path / source).sort(KEY), expected)
    for source in (read, long(table)):
        assert_frame_equal(ds.recount(source).sort(KEY), expected)


@pytest.mark.filterwarnings("ignore::distortion.errors.LogWarning")  # copies by chance
@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(5, 30), st.integers(0, 3))
def test_counts_are_those_of_a_loop(seed: int, classes: int, n: int, strange: int) -> None:
    table = answers(seed, networks=2, classes=classes, n=n)
    # Some answers name classes that no image has.
    table = table.with_columns(pl.col("predicted").list.eval(pl.element() + strange))
    dense = {r["seed"]: r["predicted"] for r in table.rows(named=True) if r["arm"] == "dense"}
    expected = {}
    for row in table.rows(named=True):
        counts: Counter[tuple[str, int]] = Counter()
        for label, said, before in zip(
            row["labels"], row["predicted"], dense[row["seed"]], strict=True
        ):
            counts["n", label] += 1
            counts["predicted", said] += 1
            counts["correct", label] += said == label
            counts["kept", label] += said == label == before
        for label in set(row["labels"]):
            expected[row["seed"], row["arm"], label] = tuple(counts[c, label] for c in COUNTS)
    found = {
        (row["seed"], row["arm"], row["class_id"]): tuple(row[c] for c in COUNTS)
        for row in ds.recount(table).rows(named=True)
    }
    assert found == expected


def test_many_classes_and_ratios_with_float_noise() -> None:
    table = answers(classes=300, n=900, networks=2)
    ten = pl.when(pl.col("ratio") == 2).then(1 / (1 - 0.9)).otherwise("ratio")
    noisy = table.with_columns(ratio=ten)
    found = ds.recount(noisy)
    assert found["class_id"].max() == 299
    assert found["ratio"].unique().sort().to_list() == [1.0, 10.0]
    assert found.group_by("seed", "arm").agg(pl.col("predicted").sum())["predicted"].eq(900).all()


def test_splits_and_studies_have_images_of_their_own() -> None:
    parts = [
        answers(1, n=20, classes=2).with_columns(split=pl.lit("validation")),
        answers(2, n=40).with_columns(split=pl.lit("test")),
        answers(3, n=28).with_columns(split=pl.lit("test"), study=pl.lit("other")),
    ]
    table = pl.concat(parts, how="diagonal")
    mixed = ds.read_predictions(table.sample(fraction=1, shuffle=True, seed=0))
    assert sorted(len(images.labels) for images in mixed.sets) == [20, 28, 40]
    assert_frame_equal(ds.recount(mixed).sort(KEY), ds.recount(table).sort(KEY))
    for cell, row in enumerate(mixed.log.cells.rows(named=True)):
        images, predicted = mixed.of([cell])
        assert (predicted[0] == images.labels).sum() == row["correct"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (answers().clear(), "no rows"),
        (answers().drop("seed"), r"lack 1 needed column.*'seed'"),
        (answers().drop("labels"), "lack 'labels'. They have either .* or image, label"),
        (answers().with_columns(labels=pl.lit(1)), "holds Int32, not one list of classes"),
        (changed("labels", [0] * 8), "1 of 6 cells .* has other labels, or in another order"),
        (changed("labels", None), "'labels' is empty in row 2"),
        (changed("labels", []), "'labels' is empty in row 2"),
        (changed("predicted", [0] * 7), "Row 2 has 8 labels and 7 predicted classes"),
        (changed("predicted", [0] * 7 + [-1]), "1 of 48 values .* 0 to 65,535: -1"),
        (changed("predicted", [0] * 7 + [70000]), "0 to 65,535: 70000"),
        (changed("predicted", [0] * 7 + [None]), "from 0 to 65,535: None"),
        (changed("predicted", [0.5] * 8), "holds Float64, not numbers of classes"),
        (changed("seed", 7), "no dense cell .* of the same network and split"),
        (changed("method", "magnitude"), "dense and control rows have method 'none'"),
        (changed("ratio", 0.5, row=2), "at least 1"),
        (pl.concat([answers(), answers()]), "name the same cell as another one"),
        (pl.concat([answers(n=8), answers(n=9, networks=7)[18:]]), "another number of images"),
        (answers(classes=1), "single class"),
        (pl.concat([long(answers(n=8))] * 2), "the cell and the image of another one"),
        (long(answers(n=8)).with_columns(image=pl.lit("a")), "not numbers of images"),
        (
            long(answers(n=8)).with_columns(image=pl.col("image") + pl.col("seed")),
            "has other images than",
        ),
    ],
)
def test_each_mistake_has_its_own_error(table: pl.DataFrame, says: str) -> None:
    with pytest.raises(LogError, match=says):
        ds.read_predictions(table)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="There is no file or folder"):
        ds.read_predictions(tmp_path / "nowhere")
    with pytest.raises(LogError, match=r"holds no .* file of a finished network. Run a study with"):
        ds.read_predictions(tmp_path)
    (tmp_path / "p.xlsx").write_text("")
    with pytest.raises(LogError, match="neither Parquet nor CSV"):
        ds.read_predictions(tmp_path / "p.xlsx")
    with pytest.raises(LogError, match="from list: give a path"):
        ds.read_predictions([1])  # type: ignore[arg-type]
    answers().drop("labels").write_parquet(tmp_path / "p.pq")
    with pytest.raises(LogError, match=r"p\.pq: Predictions lack 'labels'"):
        ds.read_predictions(tmp_path / "p.pq")


def test_predictions_beside_a_shard_are_no_log_and_count_with_their_shard_only(
    tmp_path: Path,
) -> None:
    shard = write_shard(worked_example(), {}, tmp_path, "a", answers(networks=1))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.json",
        "a.parquet",
        "a.predictions.pq",
    ]
    assert ds.read_log(tmp_path).table.height == ds.read_log(tmp_path / "*.parquet").table.height
    other = answers(networks=2)[3:]
    write_shard(worked_example(), {}, tmp_path, "b", other).unlink()  # killed before the shard
    assert ds.read_predictions(tmp_path).log.cells["seed"].unique().to_list() == [0]
    path = shard.with_name("a.predictions.pq")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LogError, match=r"a\.predictions\.pq cannot be read; .* computed anew"):
        ds.read_predictions(tmp_path)


def test_a_network_without_cells_leaves_the_others(tmp_path: Path) -> None:
    write_shard(worked_example(), {}, tmp_path, "a", answers(networks=1).clear())
    write_shard(worked_example(), {}, tmp_path, "b", answers(networks=1))
    assert np.array_equal(ds.read_predictions(tmp_path).log.cells["cell"], [0, 1, 2])
