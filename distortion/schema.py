"""The log: one long-format table, one row per cell and class. Words, columns, keys.

Integer counts are the data; every rate is derived from them (`distortion.measures`).

network  one trained dense net: (study, dataset, model, recipe, seed). The unit of replication.
arm      dense (as trained), control (fine-tuned like the pruned ones, nothing removed),
         pruned (right after pruning), finetuned (pruned, then fine-tuned)
cell     one (network, intervention, method, ratio, arm, split): a set of rows, one per class
ratio    parameters before / after, whole network, at least 1 (1: nothing removed)
"""

from dataclasses import dataclass

import polars as pl

NETWORK = ("study", "dataset", "model", "recipe", "seed")
CELL = (*NETWORK, "intervention", "method", "ratio", "arm", "split")
KEY = (*CELL, "class_id")

DENSE, CONTROL, PRUNED, FINETUNED = "dense", "control", "pruned", "finetuned"
ARMS = (DENSE, CONTROL, PRUNED, FINETUNED)
NO_METHOD = "none"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the log.

    `default` fills a missing column; None with `needed` false means that the column is
    optional and stays away.
    """

    name: str
    dtype: pl.DataType
    meaning: str
    needed: bool = False
    default: str | None = None


COLUMNS = (
    Column("study", pl.String(), "name of the sweep", default="default"),
    Column("dataset", pl.String(), "data set that the network was trained on", needed=True),
    Column("model", pl.String(), "architecture of the network", needed=True),
    Column("recipe", pl.String(), "how the dense net was trained", default=""),
    Column("seed", pl.Int64(), "seed of the network", needed=True),
    Column("intervention", pl.String(), "pruning, quantization, distillation …", default="pruning"),
    Column("method", pl.String(), "none for dense and control; magnitude …", needed=True),
    Column("ratio", pl.Float64(), "ratio asked for: before / after, at least 1", needed=True),
    Column("arm", pl.String(), "dense, control, pruned or finetuned"),
    Column("class_id", pl.Int64(), "class of the test images", needed=True),
    Column("class_name", pl.String(), "its name"),
    Column("split", pl.String(), "which images were counted", default="test"),
    Column("n", pl.Int64(), "support: images of the class", needed=True),
    Column("correct", pl.Int64(), "those predicted correctly", needed=True),
    Column("predicted", pl.Int64(), "images predicted as this class"),
    Column("kept", pl.Int64(), "images correct here and in the dense parent"),
    Column("n_params", pl.Int64(), "parameters of the whole network"),
    Column("n_remaining", pl.Int64(), "parameters that are not pruned; quantized: 32-bit ones"),
)
BY_NAME = {column.name: column for column in COLUMNS}
COUNTS = ("n", "correct", "predicted", "kept")

# How many offending rows or cells an error message shows.
SHOWN = 3

# Names that `distortion.designs` gives to what it derives; columns of a log so named are ignored.
DERIVED = frozenset(
    (
        "cell",
        "parent",
        "network",
        "n_total",
        "correct_total",
        "correct_dense",
        "recall",
        "accuracy",
        "balance",
        "normalized_balance",
        "recall_dense",
        "accuracy_dense",
        "balance_dense",
        "normalized_balance_dense",
        "intensification",
        "ratio_achieved",
        "precision",
        "f1",
        "forgotten",
        "gained",
    )
)
