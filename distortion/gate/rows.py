"""The gate's decisions as tables, one row per estimate."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from distortion.counts import Counts
from distortion.designs import CONDITION
from distortion.gate.criteria import CLASSWISE
from distortion.gate.proportions import drop_bounds, mcnemar
from distortion.gate.selection import with_names
from distortion.labels import listed

if TYPE_CHECKING:
    from distortion.gate.decisions import Decision
    from distortion.gate.gate import Gated

CRITERIA: Final = pl.Schema(
    {
        **{c: pl.Float64() if c == "ratio" else pl.String() for c in CONDITION},
        "target": pl.String(),
        "measure": pl.String(),
        "class_id": pl.Int64(),
        "class_name": pl.String(),
        "class_label": pl.String(),
        "before": pl.Float64(),
        "after": pl.Float64(),
        "observed": pl.Float64(),
        "estimate": pl.Float64(),
        "std_error": pl.Float64(),
        "df": pl.Float64(),
        "p_value": pl.Float64(),
        "p_corrected": pl.Float64(),
        "conf_low": pl.Float64(),
        "conf_high": pl.Float64(),
        "conf_level": pl.Float64(),
        "fail_level": pl.Float64(),
        "null": pl.Float64(),
        "networks": pl.Int64(),
        "images": pl.Int64(),
        "source": pl.String(),
        "verdict": pl.String(),
        "needed": pl.Int64(),
        "foreseen": pl.String(),
        "caveat": pl.String(),
    }
)
SOURCES: Final = {"network": "test images", "recipe": "networks"}


def criterion_rows(gated: "Gated") -> Iterable[dict[str, Any]]:
    """The rows of one condition.

    `estimate` is a drop (before − after), a recall, κ or α; `observed` the plain κ or α, the
    estimate being freed of the noise of a finite test set. `null` is the limit. `conf_low` and
    `conf_high` are bounds of one side each: the one that decides a pass holds at `conf_level`, the
    other one at `fail_level`. `p_value` of no change is McNemar's exact one for one network, that
    of a paired t-test for a recipe; `p_corrected` is Holm's over classes. `needed` counts images
    (of the class, or in all) or networks; it is null, and `foreseen` "not enough data", where a
    single network beyond the limit holds up a recipe.
    """
    counts = gated.counts
    names = with_names(counts)
    fixed = dict(counts.condition) | {
        "target": gated.target,
        "conf_level": 1 - gated.rates.passing,
        "fail_level": 1 - gated.rates.failing,
        "networks": counts.size[0],
        "source": SOURCES[gated.target],
    }
    for decision in gated.decisions:
        found = decision.criterion
        classwise = found.name in CLASSWISE
        images = counts.n.mean(axis=0) if classwise else [counts.n.sum(axis=1).mean()]
        for i in range(len(found.estimate)):
            name = names.row(i, named=True) if classwise else {}
            yield fixed | {
                "measure": found.name,
                "class_id": name.get("class_id"),
                "class_name": name.get("class_name"),
                "class_label": name.get("class_label"),
                "before": found.before[i],
                "after": found.after[i],
                "observed": found.observed[i],
                "estimate": found.estimate[i],
                "std_error": found.std_error[i],
                "df": found.df[i],
                "p_value": found.p_value[i],
                "p_corrected": found.p_corrected[i],
                "conf_low": decision.low[i],
                "conf_high": decision.high[i],
                "null": found.limit,
                "images": round(float(images[i])),
                "verdict": decision.verdicts[i],
                "needed": None if np.isnan(decision.needed[i]) else int(decision.needed[i]),
                "foreseen": decision.foreseen[i],
                "caveat": "; ".join([*found.caveats, *_alone(decision, i, counts, name)]),
            }


def _alone(decision: "Decision", i: int, counts: Counts, name: dict[str, Any]) -> Iterable[str]:
    """The networks that are beyond the limit by themselves."""
    seeds = [counts.seeds[m] for m in decision.beyond[:, i].nonzero()[0]]
    if seeds:
        where = f"class {name['class_label']}" if name else "accuracy"
        yield f"{where}: beyond the limit by itself is seed {listed(seeds, 4)}"


def to_table(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """The rows with the columns of `CRITERIA`; undefined numbers are null."""
    table = pl.DataFrame(list(rows), schema=CRITERIA, orient="row")
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def network_rows(counts: Counts, level: float) -> pl.DataFrame:
    """The drop of each class of each network, with its own interval over test images.

    One row per network and class: CONDITION columns, `seed`, `network`, `class_id`, `class_name`,
    `estimate`, `p_value` (McNemar's; null without `kept`), `conf_low` and `conf_high`, each of one
    side at `level`.
    """
    tails = (1 - level, 1 - level)
    low, high = drop_bounds(counts.n, counts.dense, counts.correct, counts.kept, tails)
    estimate = (counts.dense - counts.correct) / counts.n
    p_value = np.full(counts.size, np.nan)
    if counts.kept is not None:
        p_value = mcnemar(counts.dense - counts.kept, counts.correct - counts.kept)
    networks, classes = counts.size
    table = pl.DataFrame(
        {
            "seed": np.repeat(counts.seeds, classes),
            "network": np.repeat(counts.networks, classes),
            "class_id": np.tile(counts.class_ids, networks),
            "class_name": np.tile(counts.class_names, networks),
            "estimate": estimate.ravel(),
            "p_value": p_value.ravel(),
            "conf_low": low.ravel(),
            "conf_high": high.ravel(),
            "conf_level": np.full(estimate.size, level),
        }
    )
    condition = [pl.lit(value).alias(column) for column, value in counts.condition.items()]
    return table.select(*condition, pl.all()).with_columns(pl.col(pl.Float64).fill_nan(None))
