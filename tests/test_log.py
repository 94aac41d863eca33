"""Reading, writing and refusing logs."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distortion as ds
from distortion.errors import LogError, LogWarning
from distortion.escape import safe_name
from distortion.log import is_complete, write_failure, write_shard
from distortion.provenance import records
from tests.logs import cell, planted, worked_example


def broken(column: str, value: object, row: int = 3) -> pl.DataFrame:
    """The worked example with one value replaced."""
    table = worked_example()
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


def read_counts(source: object) -> list[int]:
    return ds.read_log(source).table["correct"].to_list()  # type: ignore[arg-type]


def test_every_source_gives_the_same_log(tmp_path: Path) -> None:
    table = worked_example()
    table.write_csv(tmp_path / "log.csv")
    table.write_parquet(tmp_path / "log.parquet")
    pandas = pd.DataFrame(table.to_dict(as_series=False))
    sources = [table, table.lazy(), pandas, tmp_path / "log.csv", str(tmp_path / "log.parquet")]
    sources += [str(tmp_path / "*.parquet"), ds.read_log(table)]
    assert all(read_counts(source) == [9, 7, 7, 5] for source in sources)


def test_defaults_are_filled_in() -> None:
    table = ds.read_log(worked_example().drop("arm")).table
    assert table["arm"].to_list() == ["dense", "dense", "finetuned", "finetuned"]
    assert table.select("study", "recipe", "intervention", "split").row(0) == (
        "default",
        "",
        "pruning",
        "test",
    )


def test_further_columns_are_kept() -> None:
    log = ds.read_log(worked_example().with_columns(flops=pl.lit(7)))
    assert log.table["flops"].to_list() == [7] * 4


def test_the_order_of_rows_does_not_matter() -> None:
    table = planted(np.random.default_rng(0), {2.0: 1.2, 4.0: 1.5}, networks=3)
    shuffled = table.sample(fraction=1, shuffle=True, seed=1)
    key = ["seed", "ratio"]
    expected = ds.slopes(table).sort(key).select(*key, "alpha", "kappa", "rho")
    found = ds.slopes(shuffled).sort(key).select(*key, "alpha", "kappa", "rho")
    # Sums in another order: equal up to rounding.
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (worked_example().clear(), "empty: it has no rows"),
        (worked_example().drop("correct"), "'correct': those predicted correctly"),
        (worked_example().rename({"seed": "seeds"}), "Did you mean 'seeds'?"),
        (broken("correct", 11), "correct is at most n, for example row 4"),
        (broken("correct", -1), "counts are not negative"),
        (broken("correct", 4.5), "are not whole numbers, for example row 4: 4.5"),
        (broken("correct", float("nan")), r"are not numbers \(NaN\), for example row 4"),
        (broken("correct", None), "are missing, for example row 4"),
        (broken("ratio", 0.5), "at least 1, for example row 4"),
        (broken("ratio", float("inf")), "is a finite number"),
        (broken("ratio", float("nan")), "NaN"),
        (broken("n", 0), "every class has support"),
        (broken("n", 20), "another number of images per class"),
        (broken("class_id", 0), "the key .* is unique"),
        (broken("class_id", 7), "counted on other classes"),
        (broken("arm", "tuned"), "arm is one of dense, control, pruned, finetuned"),
        (broken("method", "magnitude", row=0), "dense and control rows have method 'none'"),
        (broken("method", "none"), "name their method"),
        (worked_example().filter(pl.col("arm") != "dense"), "have no dense cell"),
        (worked_example().filter(pl.col("class_id") == 0), "single class"),
        (
            worked_example().with_columns(kept=pl.Series([9, 7, 8, 5])),
            "kept .* is at most correct",
        ),
        (
            worked_example().with_columns(kept=pl.Series([9, 7, 5, 5])),
            "at least the overlap of the two that n images force, for example row 3",
        ),
        (
            worked_example().with_columns(kept=pl.Series([9, 6, 7, 5])),
            "kept of a dense row is its correct",
        ),
        (
            worked_example().with_columns(predicted=pl.Series([10, 6, 10, 10])),
            "predicted .* is at least correct",
        ),
        (
            pl.concat(
                [
                    worked_example(),
                    *(
                        cell([9, 8], arm="control", study="default", intervention=i)
                        for i in ("pruning", "none")
                    ),
                ],
                how="diagonal",
            ),
            "several control cells of their network",
        ),
        (
            worked_example().with_columns(row=pl.lit(1), correct=pl.lit(11)),
            "correct is at most n",
        ),
        (
            pl.concat(
                [cell([3, 7]), cell([7, 5], method="m", ratio=2.0, arm="pruned")]
            ).with_columns(kept=pl.Series([3, 7, 5, 5])),
            "kept is at most the dense parent's correct",
        ),
        (
            worked_example().with_columns(predicted=pl.Series([10, 10, 15, 15])),
            "more predictions than test images",
        ),
        (
            worked_example().with_columns(n_params=pl.lit(10), n_remaining=pl.lit(11)),
            "n_remaining lies between 1 and n_params",
        ),
        (
            worked_example().with_columns(flops=pl.Series([1, 1, 2, 3])),
            "'flops' is constant within a cell",
        ),
        (
            worked_example().with_columns(class_name=pl.Series(["a", "b", "a", "c"])),
            "one class_name",
        ),
        (
            pl.concat([worked_example(), cell([8, 8], intervention="q")], how="diagonal"),
            "several dense cells of their network",
        ),
    ],
)
def test_each_rule_has_its_own_error(table: pl.DataFrame, says: str) -> None:
    with pytest.raises(LogError, match=says):
        ds.read_log(table)


def test_percent_signs_are_named(tmp_path: Path) -> None:
    text = worked_example().write_csv().replace(",7\n", ",70%\n")
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(LogError, match=r"'70%'.*percentages cannot be turned back into counts"):
        ds.read_log(tmp_path / "log.csv")


def test_another_separator_is_named(tmp_path: Path) -> None:
    worked_example().write_csv(tmp_path / "log.csv", separator=";")
    with pytest.raises(LogError, match="separator seems to be ';'"):
        ds.read_log(tmp_path / "log.csv")


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="There is no file or folder"):
        ds.read_log(tmp_path / "nowhere")
    with pytest.raises(LogError, match=r"holds no \.parquet or \.csv"):
        ds.read_log(tmp_path)
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(LogError, match="The log is empty"):
        ds.read_log(tmp_path / "log.csv")
    (tmp_path / "log.xlsx").write_text("")
    with pytest.raises(LogError, match="neither Parquet nor CSV"):
        ds.read_log(tmp_path / "log.xlsx")
    with pytest.raises(LogError, match="cannot be read from list"):
        ds.read_log([1, 2])


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    path = write_shard(worked_example(), {"failed": []}, tmp_path, "run")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LogError, match=r"run\.parquet cannot be read; it may be truncated"):
        ds.read_log(tmp_path)


def test_accuracy_zero_is_named_and_not_divided_by() -> None:
    table = pl.concat([cell([9, 7]), cell([0, 0], method="m", ratio=2.0, arm="pruned")])
    with pytest.warns(LogWarning, match="1 cell.s. have accuracy 0"):
        log = ds.read_log(table)
    assert ds.slopes(log)["alpha"].to_list() == [None]
    assert ds.measures(log)["normalized_balance"].to_list()[2:] == [None, None]


def test_copied_seeds_are_warned_about() -> None:
    copies = pl.concat([worked_example(), worked_example().with_columns(seed=pl.lit(1, pl.Int64))])
    with pytest.warns(LogWarning, match="identical dense counts"):
        ds.read_log(copies)
    other = worked_example().with_columns(seed=pl.lit(1, pl.Int64), correct=pl.Series([8, 7, 7, 5]))
    hashed = pl.concat([worked_example(), other]).with_columns(weights_hash=pl.lit("f00"))
    with pytest.warns(LogWarning, match="identical initial weights"):
        ds.read_log(hashed)
    elsewhere = hashed.with_columns(study=pl.when(pl.col("seed") == 0).then(pl.lit("other")))
    with pytest.warns(LogWarning, match="identical initial weights"):
        ds.read_log(elsewhere)


def test_names_that_differ_in_spelling_only_are_warned_about() -> None:
    other = cell([6, 5], method="Magnitude", ratio=4.0, arm="finetuned")
    with pytest.warns(LogWarning, match="'Magnitude', 'magnitude'"):
        ds.read_log(pl.concat([worked_example(), other]))


def test_failed_cells_are_reported_not_dropped(tmp_path: Path) -> None:
    lost = {"dataset": "toy", "model": "net", "seed": 0, "method": "m", "reason": "diverged"}
    write_shard(worked_example(), {"failed": [lost]}, tmp_path, "run")
    failed = ds.read_log(tmp_path).failed
    assert failed.select("method", "reason").row(0) == ("m", "diverged")


def test_a_shard_counts_only_when_complete(tmp_path: Path) -> None:
    assert not is_complete(tmp_path, "run")
    path = write_shard(worked_example(), {"seed": 3}, tmp_path, "run")
    assert is_complete(tmp_path, "run")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert list(records([path])) == [{"seed": 3, "hashes": {"run.parquet": digest}}]
    assert sorted(os.listdir(tmp_path)) == ["run.json", "run.parquet"]
    path.with_suffix(".json").unlink()
    assert not is_complete(tmp_path, "run")


def test_failed_cells_are_found_however_the_log_is_named(tmp_path: Path) -> None:
    lost = {"dataset": "toy", "model": "net", "seed": 0, "method": "m", "reason": "diverged"}
    shard = write_shard(worked_example(), {"failed": [lost]}, tmp_path / "s", "run")
    packed = ds.write_log(shard, tmp_path / "p" / "one.parquet")
    sources = [shard, shard.parent, shard.parent / "*.parquet", packed, packed.parent]
    assert [ds.read_log(str(source)).failed.height for source in sources] == [1] * 5


def test_a_network_that_failed_altogether_is_reported_until_it_is_computed(
    tmp_path: Path,
) -> None:
    write_shard(worked_example(), {"failed": []}, tmp_path, "good")
    lost = {"dataset": "toy", "model": "net", "seed": 1, "arm": "dense", "reason": "killed"}
    write_failure({"failed": [lost]}, tmp_path, "lost")
    assert ds.read_log(tmp_path).failed.select("seed", "reason").rows() == [(1, "killed")]
    assert not is_complete(tmp_path, "lost")
    retrained = worked_example().with_columns(
        seed=pl.lit(1, pl.Int64), correct=pl.Series([8, 7, 7, 5])
    )
    write_shard(retrained, {"failed": []}, tmp_path, "lost")
    assert ds.read_log(tmp_path).failed.height == 0


def test_strange_failures_are_refused_in_words(tmp_path: Path) -> None:
    write_shard(worked_example(), {"failed": ["a"]}, tmp_path, "run")
    with pytest.raises(LogError, match="not a cell with a reason"):
        ds.read_log(tmp_path)
    write_shard(worked_example(), {"failed": None}, tmp_path, "run")
    assert ds.read_log(tmp_path).failed.height == 0
    (tmp_path / "notes.json").write_text("not ours {")
    assert ds.read_log(tmp_path).failed.height == 0


def test_derived_columns_of_a_log_are_ignored_aloud() -> None:
    with pytest.warns(LogWarning, match=r"Ignored column\(s\) accuracy_dense, recall"):
        log = ds.read_log(worked_example().with_columns(accuracy_dense=0.123, recall=1))
    assert ds.slopes(log)["accuracy_dense"].to_list() == [0.8]


def test_float_noise_does_not_make_another_ratio() -> None:
    table = worked_example().with_columns(
        ratio=pl.when(pl.col("ratio") == 2).then(1 / (1 - 0.9)).otherwise("ratio")
    )
    assert ds.read_log(table).table["ratio"].unique().sort().to_list() == [1.0, 10.0]


def test_a_packed_log_carries_its_provenance(tmp_path: Path) -> None:
    lost = {"dataset": "toy", "model": "net", "seed": 0, "method": "m", "reason": "diverged"}
    write_shard(worked_example(), {"failed": [lost], "device": "cpu"}, tmp_path / "s", "run")
    path = ds.write_log(tmp_path / "s", tmp_path / "one.parquet")
    one, other = ds.read_log(path), ds.read_log(tmp_path / "s")
    assert one.provenance == other.provenance
    assert one.table.equals(other.table)
    assert one.failed.equals(other.failed)
    with pytest.raises(LogError, match="does not end in"):
        ds.write_log(path, tmp_path / "one.csv")


def test_unreadable_provenance_is_named(tmp_path: Path) -> None:
    write_shard(worked_example(), {}, tmp_path, "run")
    (tmp_path / "run.json").write_text('{"failed": [')
    with pytest.raises(LogError, match=r"run\.json cannot be read"):
        ds.read_log(tmp_path)


def test_shards_with_different_optional_columns_are_joined(tmp_path: Path) -> None:
    write_shard(worked_example(), {}, tmp_path, "a")
    other = worked_example().with_columns(seed=pl.lit(1, pl.Int64), correct=pl.Series([8, 7, 7, 5]))
    write_shard(other.with_columns(flops=pl.lit(2.5)), {}, tmp_path, "b")
    assert ds.read_log(tmp_path).table["flops"].to_list() == [None] * 4 + [2.5] * 4


@given(st.text())
def test_safe_names_stay_in_their_folder(text: str) -> None:
    name = safe_name(text)
    assert name
    assert Path("folder", name).parent == Path("folder")
    assert name not in {".", ".."}
    assert not name.startswith((".", "-"))
    assert name.isascii()
    assert "/" not in name
    assert "\\" not in name


@given(st.text(), st.text())
def test_safe_names_keep_texts_apart(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


texts = st.text(max_size=6)
values = st.one_of(st.none(), st.integers(-3, 12), st.floats(), texts)


@given(st.lists(st.fixed_dictionaries({c: values for c in worked_example().columns}), max_size=5))
def test_any_table_is_read_or_refused_in_words(rows: list[dict[str, object]]) -> None:
    columns = {c: [row[c] for row in rows] for c in worked_example().columns}
    table = pl.DataFrame({c: pl.Series(c, v, strict=False) for c, v in columns.items()})
    with pytest.raises(LogError) as error:
        ds.read_log(table)
    assert str(error.value).endswith((".", "layout."))


@given(st.binary(max_size=400), st.sampled_from([".csv", ".parquet"]))
def test_any_bytes_are_refused_in_words(content: bytes, suffix: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log{suffix}"
        path.write_bytes(content)
        with pytest.raises(LogError):
            ds.read_log(path)


hostile = ["<script>alert(1)</script>", "../../etc", "a_b%c", "x\ny", "🦊", "$\\alpha$", ""]


@pytest.mark.parametrize("name", hostile)
def test_any_name_survives(name: str, tmp_path: Path) -> None:
    table = worked_example().with_columns(
        dataset=pl.lit(name), model=pl.lit(name), class_name=pl.Series([name, "b", name, "b"])
    )
    write_shard(table, {"study": name}, tmp_path / safe_name(name), "run")
    log = ds.read_log(tmp_path)
    assert log.table["dataset"].unique().to_list() == [name]
    assert json.dumps(log.provenance[0])
