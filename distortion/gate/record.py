"""The gate as JSON, and the facts that identify what was judged."""

import hashlib
import json
import math
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.counts import Counts
from distortion.gate.gate import Gate, Gated
from distortion.gate.rows import criterion_rows, to_table
from distortion.gate.words import EXIT_CODES, asked, collapsed, headline, reasons, to_decide
from distortion.log import RecallLog
from distortion.schema import NETWORK
from distortion.tables.origins import versions

SCHEMA: Final = "distortion/gate/1"
PER_ROW: Final = (
    *("measure", "class_id", "class_name", "before", "after", "observed", "estimate"),
    *("std_error", "df", "p_value", "p_corrected", "conf_low", "conf_high", "null", "images"),
    *("verdict", "needed", "foreseen", "caveat"),
)


def gate_json(gate: Gate) -> str:
    """Everything that was asked and found; what is undefined is null, never NaN."""
    record = {
        "schema": SCHEMA,
        "verdict": gate.verdict,
        "exit_code": EXIT_CODES[gate.verdict],
        "headline": headline(gate),
        "asked": asked(gate.limits),
        "limits": {name.replace(" ", "_"): limit for name, limit in gate.limits.asked()},
        "level": gate.level,
        "across": gate.across,
        "arm": gate.arm,
        "split": gate.split,
        "source": gate.log.source,
        "conditions": [_condition(gate, gated) for gated in gate.gated],
        "largest_ratio": [_finite(row) for row in gate.largest.to_dicts()],
        "versions": versions(),
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _condition(gate: Gate, gated: Gated) -> dict[str, Any]:
    counts = gated.counts
    rows = to_table(criterion_rows(gated)).select(PER_ROW).to_dicts()
    return _finite(dict(counts.condition)) | {
        "target": gated.target,
        "verdict": gated.verdict,
        "reasons": reasons(gated),
        "collapsed": collapsed(gated),
        "to_decide": to_decide(gated),
        "pass_level": 1 - gated.rates.passing,
        "fail_level": 1 - gated.rates.failing,
        "seeds": list(counts.seeds),
        "networks": list(counts.networks),
        "ratio_achieved": [None if math.isnan(r) else r for r in counts.ratio_achieved],
        "weights_hashes": weights_hashes(gate.log, counts),
        "counts_sha256": fingerprint(counts),
        "criteria": [_finite(row) for row in rows],
        "caveats": list(gated.caveats),
    }


def fingerprint(counts: Counts) -> str:
    """SHA-256 of the counts that the verdict rests on, with the condition and seeds."""
    arrays = {
        name: None if array is None else np.asarray(array).tolist()
        for name, array in (
            *(("n", counts.n), ("dense", counts.dense)),
            *(("correct", counts.correct), ("kept", counts.kept)),
        )
    }
    record = dict(counts.condition) | arrays
    record |= {"seeds": list(counts.seeds), "class_ids": list(counts.class_ids)}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def weights_hashes(log: RecallLog, counts: Counts) -> list[str]:
    """Hashes of the networks' initial weights by seed, where the log has them."""
    if "weights_hash" not in log.table.columns:
        return []
    same = [pl.col(c) == counts.condition[c] for c in NETWORK if c != "seed"]
    rows = log.table.filter(*same).group_by("seed").agg(pl.col("weights_hash").drop_nulls().first())
    known = dict(rows.select("seed", "weights_hash").drop_nulls().iter_rows())
    return [str(known[seed]) for seed in counts.seeds if seed in known]


def parameters(log: RecallLog, counts: Counts) -> tuple[float, float] | None:
    """Mean parameters before and after, or None where the log lacks them."""
    if not {"n_params", "n_remaining"}.issubset(log.table.columns):
        return None
    same = [pl.col(c) == value for c, value in counts.condition.items()]
    rows = log.table.filter(*same, pl.col("seed").is_in(counts.seeds))
    row = rows.select(pl.col("n_params", "n_remaining").mean()).row(0)
    return None if None in row else (float(row[0]), float(row[1]))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
