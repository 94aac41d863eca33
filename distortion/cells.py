"""Cells and their dense parents: numbering them, and the rules that hold within a network."""

from collections.abc import Iterator

import polars as pl

from distortion.rules import in_words, of_rows
from distortion.schema import CELL, CONTROL, COUNTS, DENSE, KEY, NETWORK, SHOWN
from distortion.violations import CELLS, Violation


def number_cells(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number the cells of a log.

    Returns
    -------
    rows : the table with the column `cell` (UInt32) in front
    cells : one row per cell: `cell`, its CELL columns, `row` (its first, from 0), `n_classes`, `n`
        and `correct` (pooled), `signature` (a hash of the classes and their supports) and
        `parent` (the cell of its dense network, null where there is none)
    """
    # Rows of a cell usually stand together: compare neighbours first, group only the few runs.
    changes = pl.any_horizontal(pl.col(c) != pl.col(c).shift() for c in CELL).fill_null(True)
    changed = table.select(changes.alias("changed")).to_series()
    runs = table.select(CELL).with_row_index("row").filter(changed)
    numbers = runs.unique(CELL, keep="first", maintain_order=True).with_row_index("cell")
    of_run = runs.join(numbers, on=CELL, how="left", maintain_order="left")["cell"]
    run = changed.cast(pl.UInt32).cum_sum() - 1
    rows = table.select(of_run.gather(run).alias("cell"), pl.all())
    totals = rows.group_by("cell").agg(
        pl.len().alias("n_classes"),
        pl.col("n", "correct").sum(),
        pl.struct("class_id", "n").hash().sum().alias("signature"),
    )
    cells = numbers.join(totals, on="cell", how="left", maintain_order="left")
    parents = (
        cells.filter(pl.col("arm") == DENSE)
        .unique([*NETWORK, "split"], keep="first", maintain_order=True)
        .select(*NETWORK, "split", parent="cell")
    )
    cells = cells.join(parents, on=[*NETWORK, "split"], how="left", maintain_order="left")
    return rows, cells


def check_cells(rows: pl.DataFrame, cells: pl.DataFrame) -> None:
    """Raise Violation for the first rule that cells, or cells and their parents, break."""
    for i, broken in enumerate(_violations(rows, cells)):
        if broken is not None:
            raise broken.ranked(CELLS, i)


def _violations(rows: pl.DataFrame, cells: pl.DataFrame) -> Iterator[Violation | None]:
    """Rule after rule, None where it holds; as many for every part of a log."""
    yield _repeated(rows)
    yield from _varying(rows)
    for arm in (DENSE, CONTROL):
        of_arm = cells.filter(pl.col("arm") == arm)
        yield _of_cells(
            of_arm.filter(pl.struct(*NETWORK, "split").is_duplicated()),
            f"are one of several {arm} cells of their network",
            "A network has one of them per split: keep one, whatever the intervention.",
        )
    yield _of_cells(
        cells.filter(pl.col("parent").is_null()),
        "have no dense cell (arm dense, ratio 1) of the same network and split",
        "Every slope compares a network with its own dense one: add the dense rows (method none, "
        "ratio 1), or drop these networks from the log yourself.",
    )
    yield _of_cells(
        cells.filter(pl.col("n_classes") < 2),
        "hold a single class",
        "Recall balance compares classes: a log needs at least two of them.",
    )
    yield _of_cells(
        cells.filter(pl.col("signature") != pl.col("signature").gather(pl.col("parent"))),
        "are counted on other classes, or on another number of images per class, than their "
        "dense network",
        "Count both on the same test images; if only some classes are of interest, filter "
        "the whole log.",
    )
    if "predicted" in rows.columns:
        yield _overpredicted(rows, cells)
    if "kept" in rows.columns:
        yield _wrongly_kept(rows, cells)


def _repeated(rows: pl.DataFrame) -> Violation | None:
    # Cell by cell first: comparing all rows at once takes several times their memory.
    classes = rows.group_by("cell").agg((pl.col("class_id").n_unique() < pl.len()).alias("twice"))
    if not classes["twice"].any():
        return None
    suspects = pl.col("cell").is_in(classes.filter("twice")["cell"].implode())
    return of_rows(
        rows,
        suspects & pl.struct("cell", "class_id").is_duplicated(),
        f"the key ({', '.join(KEY)}) is unique",
        "Remove the copies; networks trained twice need different seeds or recipes.",
    )


def _varying(rows: pl.DataFrame) -> Iterator[Violation | None]:
    """Run-level columns (n_params, flops, …) say one thing per cell."""
    per_row = {*KEY, *COUNTS, "cell", "class_name"}
    run_level = [c for c in rows.columns if c not in per_row]
    varies = rows.group_by("cell").agg(
        (pl.col(c).first().eq_missing(pl.col(c))).all().not_().alias(c) for c in run_level
    )
    for column in run_level:
        yield of_rows(
            rows,
            pl.col("cell").is_in(varies.filter(column)["cell"].implode()),
            f"the run-level column {column!r} is constant within a cell",
            "Keep one value per cell, or drop the column.",
        )


def _overpredicted(rows: pl.DataFrame, cells: pl.DataFrame) -> Violation | None:
    sums = rows.group_by("cell").agg(pl.col("predicted", "n").sum())
    over = sums.filter(pl.col("predicted") > pl.col("n"))
    return _of_cells(
        cells.filter(pl.col("cell").is_in(over["cell"].implode())),
        "have more predictions than test images",
        "`predicted` counts the images predicted as a class; its sum is at most that of n.",
    )


def _wrongly_kept(rows: pl.DataFrame, cells: pl.DataFrame) -> Violation | None:
    """Kept images are correct in the parent, too."""
    dense = rows.filter(pl.col("arm") == DENSE)
    dense = dense.select(parent="cell", class_id="class_id", dense_correct="correct")
    paired = rows.select(
        *KEY, "n", "correct", "kept", parent=cells["parent"].gather(rows["cell"])
    ).join(dense, on=["parent", "class_id"], how="left", maintain_order="left")
    fewest = pl.col("correct") + pl.col("dense_correct") - pl.col("n")
    return of_rows(
        paired,
        (pl.col("kept") > pl.col("dense_correct")) | (pl.col("kept") < fewest),
        "kept is at most the dense parent's correct, and at least the overlap of the two "
        "that n images force",
        "Recount kept from the two networks' predictions, or leave the column out.",
    )


def _of_cells(cells: pl.DataFrame, what: str, next_step: str) -> Violation | None:
    if cells.is_empty():
        return None
    shown = cells.head(SHOWN).iter_rows(named=True)
    places = [(cell["row"], in_words(cell)) for cell in shown]
    return Violation(cells.height, f"cell(s) {what}", places, next_step)
