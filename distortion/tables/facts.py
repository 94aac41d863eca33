"""The tables of what was run and of what it measured: design, classes, accuracy, variance."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import polars as pl

from distortion.designs import CONDITION
from distortion.labels import CONTEXT, clean
from distortion.schema import CONTROL, DENSE, NETWORK
from distortion.tables import numbers
from distortion.tables.margins import KEPT, LOST, margin_in_words
from distortion.tables.results import TONES, caveats, common_caveat
from distortion.tables.table import NAME, Column, Row, Table, identity, number, share, text

VALUE = 2000
NETWORK_KIND = ("study", "dataset", "model", "recipe")


def network_table(measures: pl.DataFrame) -> Table:
    """The dense networks: seeds, classes, test images, accuracy before compression."""
    dense = measures.filter(pl.col("arm") == DENSE)
    per_network = dense.group_by(NETWORK, maintain_order=True).agg(
        pl.len().alias("classes"),
        pl.col("n").sum().alias("images"),
        pl.col("n").min().alias("smallest"),
        pl.col("n").max().alias("largest"),
        pl.col("accuracy").first(),
        pl.col("recall").min().alias("worst_recall"),
        *([pl.col("n_params").first()] if "n_params" in dense.columns else []),
    )
    data = per_network.group_by(NETWORK_KIND, maintain_order=True).agg(
        pl.len().alias("networks"),
        pl.col("seed").sort().cast(pl.String).str.join(" ").alias("seeds"),
        pl.col("classes", "images", "smallest", "largest").first(),
        pl.col("accuracy").mean(),
        pl.col("accuracy").std().alias("accuracy_sd"),
        pl.col("worst_recall").mean(),
        *([pl.col("n_params").first()] if "n_params" in dense.columns else []),
    )
    named = [text(c, names=True) for c in ("dataset", "model")]
    columns = [
        *identity(data, ("study",)),
        *named,
        *identity(data, ("recipe",)),
        Column("Networks", lambda row: numbers.count(row["networks"])),
        Column("Seeds", _seeds, numeric=False),
        Column("Classes", lambda row: numbers.count(row["classes"])),
        Column("Images", lambda row: numbers.count(row["images"])),
        Column("Images per class", _support),
    ]
    if "n_params" in data.columns:
        columns.append(Column("Parameters", lambda row: numbers.count(row["n_params"])))
    columns += [
        share("Mean accuracy", "accuracy"),
        Column(
            "SD (points)",
            lambda row: numbers.fixed(_hundredfold(row["accuracy_sd"])),
            value=itemgetter("accuracy_sd"),
        ),
        share("Mean worst recall", "worst_recall"),
    ]
    return Table(
        "networks",
        "The dense networks, before anything is removed",
        data,
        tuple(columns),
        ("SD and means: between networks (seeds).",),
    )


def cell_table(grid: pl.DataFrame, slopes: pl.DataFrame) -> Table:
    """Every condition of `missing_cells`: networks present and missing, ratio asked and achieved.

    Conditions stand in the order of `slopes`; those that failed for every network come last.
    """
    data = grid.filter(pl.col("arm") != DENSE)
    place = slopes.select(CONDITION).unique(maintain_order=True).with_row_index("place")
    achieved = "ratio_achieved" in slopes.columns
    if achieved:
        known = slopes.group_by(CONDITION).agg(
            pl.col("ratio_achieved").mean(),
            pl.col("ratio_achieved").min().alias("lowest"),
            pl.col("ratio_achieved").max().alias("highest"),
        )
        data = data.join(known, on=CONDITION, how="left", maintain_order="left")
    data = data.join(place, on=CONDITION, how="left", maintain_order="left")
    data = data.sort("place", maintain_order=True, nulls_last=True).drop("place")
    columns = [
        *identity(data, CONTEXT),
        text("arm", names=True),
        text("method", names=True),
        Column("Ratio asked", lambda row: numbers.ratio(row["ratio"]), names=True),
    ]
    if achieved:
        columns.append(
            Column(
                "Ratio achieved [lowest, highest]", _achieved, value=itemgetter("ratio_achieved")
            )
        )
    columns += [
        Column("Networks", lambda row: numbers.count(row["networks"])),
        Column("Missing", lambda row: numbers.count(row["missing"])),
    ]
    return Table("conditions", "Conditions: ratios asked for and achieved", data, tuple(columns))


def failed_table(failed: pl.DataFrame) -> Table:
    """The cells that the runner recorded as failed, and why."""
    columns = (
        *identity(failed, CONTEXT),
        *(text(c, names=True) for c in ("method", "arm")),
        Column("Ratio", lambda row: numbers.ratio(row["ratio"]), names=True),
        Column("Seed", lambda row: str(row["seed"]), names=True),
        text("reason"),
    )
    return Table("failed-cells", "Cells that failed, and why", failed, columns)


def class_table(
    classes: pl.DataFrame,
    measures: pl.DataFrame,
    name: str,
    caption: str,
    margins: pl.DataFrame | None = None,
) -> Table:
    """Recall of each class before and after; largest losses first within a condition.

    `classes` are the findings of family class; with those of family class margin (`margins`), the
    table also says which classes lose more than that.
    """
    keys = [*CONDITION, "class_id"]
    means = measures.group_by(keys).agg(
        pl.col("n").first(), pl.col("recall_dense").mean(), pl.col("recall").mean()
    )
    data = classes.join(means, on=keys, how="left", maintain_order="left")
    more = []
    if margins is not None:
        kept = margins.select(*keys, pl.col("verdict").alias("beyond_margin"))
        data = data.join(kept, on=keys, how="left", maintain_order="left")
        more = [Column(f"Loses more than {margin_in_words(margins)}", _lost, numeric=False)]
    columns = (
        *identity(data, [c for c in CONDITION if c != "split"]),
        text("class_label", names=True),
        Column("Images", lambda row: numbers.count(row["n"])),
        share("Recall before", "recall_dense"),
        share("Recall after", "recall"),
        Column("Change in points [interval]", _change, value=itemgetter("estimate")),
        Column(
            "p", lambda row: numbers.p_value(row["p_corrected"]), value=itemgetter("p_corrected")
        ),
        Column(
            "Verdict",
            lambda row: row["verdict"],
            False,
            False,
            lambda row: TONES.get(row["verdict"], ""),
        ),
        *more,
        *caveats(data),
    )
    note = (
        "Recall: mean over networks. Interval and paired t-test against no change, two-sided, of "
        "the change between networks (seeds) on these test images; corrected over the classes of "
        "a condition; cut where a recall would fall below 0% or rise above 100%."
    )
    return Table(name, caption, data, columns, (note, *common_caveat(data)))


def accuracy_table(conditions: pl.DataFrame) -> Table:
    """Accuracy and worst recall beside α, κ and the variance of recall balance."""
    columns = (
        *identity(conditions, CONTEXT),
        Column(
            "Method",
            lambda row: "control" if row["arm"] == CONTROL else clean(row["method"], NAME),
            names=True,
            numeric=False,
        ),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        share("Ā before", "accuracy_dense"),
        share("Ā", "accuracy"),
        Column("Change (points)", lambda row: numbers.points(_gain(row)), value=_gain),
        share("Worst recall before", "worst_recall_dense"),
        share("Worst recall", "worst_recall"),
        number("α", "alpha"),
        number("κ", "kappa"),
        Column(
            "Var B before",
            lambda row: numbers.significant(row["variance_dense"]),
            value=itemgetter("variance_dense"),
        ),
        Column(
            "Var B", lambda row: numbers.significant(row["variance"]), value=itemgetter("variance")
        ),
    )
    note = (
        "Means over networks. Var B: variance of recall balance B = R − A over the classes of a "
        "network, in squared shares."
    )
    caption = "Accuracy, worst recall and variance of recall balance, before and after"
    return Table("accuracy", caption, conditions, columns, (note,))


def value_table(name: str, caption: str, values: Mapping[str, Any]) -> Table:
    """Names and values, as for versions and options."""
    data = pl.DataFrame(
        {"name": list(values), "value": [clean(value, VALUE) for value in values.values()]},
        schema={"name": pl.String, "value": pl.String},
    )
    columns = (
        Column("Name", lambda row: row["name"], names=True, numeric=False),
        Column("Value", lambda row: row["value"], numeric=False),
    )
    return Table(name, caption, data, columns)


def _seeds(row: Row) -> str:
    return numbers.spans([int(seed) for seed in row["seeds"].split()])


def _support(row: Row) -> str:
    low, high = row["smallest"], row["largest"]
    return numbers.count(low) if low == high else f"{numbers.count(low)} to {numbers.count(high)}"


def _achieved(row: Row) -> str:
    mean, low, high = row["ratio_achieved"], row["lowest"], row["highest"]
    if mean is None:
        return numbers.NOTHING
    return f"{numbers.fixed(mean)} [{numbers.fixed(low)}, {numbers.fixed(high)}]"


def _change(row: Row) -> str:
    return numbers.change_interval(row["estimate"], row["conf_low"], row["conf_high"])


def _lost(row: Row) -> str:
    verdict = row["beyond_margin"] or numbers.NOTHING
    known = {LOST: "yes", KEPT: "no"}
    return next((word for start, word in known.items() if verdict.startswith(start)), verdict)


def _gain(row: Row) -> float:
    return float(row["accuracy"] - row["accuracy_dense"])


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value
