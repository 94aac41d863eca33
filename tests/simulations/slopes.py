"""Bias, coverage and rejections of the plain slope, of its repairs and of γ.

python -m tests.simulations.slopes [--repeat 500] [--seed 0] [--jobs 2]

writes docs/simulations.csv and prints the tables of docs/simulations.md. Every study has 10 classes
with 1,000 images; what happens in the scenarios stands in `tests.simulations.networks`. `truth` is
what an estimator tends to in 20,000 networks without image noise (γ has a known one), so that
coverage is about what an estimator means to estimate; `rejects` is the share of studies in which it
finds something at 5 %, which for the null scenario of an estimator is its false-positive rate.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from distortion.counts import Counts
from distortion.errors import DistortionError
from distortion.fits.mixed.threads import single_thread
from distortion.nulls.matched import MEASURES
from distortion.repairs.estimators import ESTIMATORS, Estimator
from distortion.repairs.table import row
from distortion.structural.fit import Inference, fit_structural
from tests.simulations.networks import SCENARIOS, SPREADS, Scenario, Spread, recalls, study

PAGE: Final = Path(__file__).parents[2] / "docs/simulations.csv"
NETWORKS: Final = (5, 10, 30)
LEVEL: Final = 0.95
MANY: Final = 20_000
STRICT: Final = "plain, 99 %"
LATENT: Final = ("gamma", "gamma_vs_control")
KEYS: Final = ("spread", "scenario", "networks", "estimator")
# All with a null value; names as in the tables of `repaired_slopes` and `matched_null`.
TESTED: Final = tuple(
    e for e in (*ESTIMATORS, *MEASURES) if np.isfinite(e.null) and not e.unbalanced
)


def estimated(treated: Counts, control: Counts) -> Iterator[dict[str, Any]]:
    """Every estimate of one study with its interval and p-value; null where there is none."""
    for estimator in TESTED:
        yield {"estimator": estimator.name, **_numbers(row(treated, estimator, LEVEL))}
    plain = TESTED[0]
    yield {"estimator": STRICT, **_numbers(row(treated, plain, 0.99))}
    for name, found in zip(LATENT, _latent(treated, control), strict=True):
        yield {"estimator": name, **found}


def truths(spread: Spread, scenario: Scenario, rng: np.random.Generator) -> dict[str, float]:
    """What the estimators tend to; recalls without image noise are counts of very many images."""
    before, after, tuned = recalls(rng, spread, scenario, MANY)
    whole = 10**9
    dense, correct, control = (np.rint(whole * r).astype(np.int64) for r in (before, after, tuned))
    some, _ = study(rng, spread, scenario, 2)
    limit = replace(
        some,
        seeds=tuple(range(MANY)),
        networks=("",) * MANY,
        n=np.full(dense.shape, whole),
        dense=dense,
        correct=correct,
        kept=np.rint(whole * before * after).astype(np.int64),
        control=control.astype(np.float64),
    )
    found = {e.name: _limit(e, limit) for e in TESTED}
    found[STRICT] = found["plain"]
    return found | {"gamma": scenario.gamma, "gamma_vs_control": scenario.gamma - 1.0}


def _limit(estimator: Estimator, counts: Counts) -> float:
    return float(estimator.estimates(counts, np.ones((1, counts.size[0])))[0])


def _latent(treated: Counts, control: Counts) -> tuple[dict[str, Any], dict[str, Any]]:
    nothing = dict.fromkeys(("estimate", "conf_low", "conf_high", "p_value"))
    try:
        fit = fit_structural([treated, control])
    except DistortionError:
        return nothing, nothing
    tests = (fit.test(r, null, LEVEL) for r, null in (([1.0, 0.0], 1.0), ([1.0, -1.0], 0.0)))
    first, second = (_inferred(test) for test in tests)
    return first, second


def _inferred(test: Inference) -> dict[str, Any]:
    found = {k: getattr(test, k) for k in ("estimate", "conf_low", "conf_high", "p_value")}
    return {k: None if np.isnan(v) else v for k, v in found.items()}


def _numbers(found: dict[str, Any]) -> dict[str, Any]:
    return {k: found[k] for k in ("estimate", "conf_low", "conf_high", "p_value")}


def setting(work: tuple[str, str, int, int, int]) -> pl.DataFrame:
    """Summaries of all estimators in one spread, scenario and number of networks."""
    spread, scenario, networks, repeat, seed = work
    place = [list(SPREADS).index(spread), list(SCENARIOS).index(scenario), networks]
    rng = np.random.default_rng([seed, *place])
    with single_thread():
        studies = [
            found
            for _ in range(repeat)
            for found in estimated(*study(rng, SPREADS[spread], SCENARIOS[scenario], networks))
        ]
        truth = truths(SPREADS[spread], SCENARIOS[scenario], rng)
    numbers = pl.DataFrame(studies, schema_overrides=dict.fromkeys(("p_value",), pl.Float64))
    true = pl.col("estimator").replace_strict(truth, return_dtype=pl.Float64)
    null = {e.name: e.null for e in TESTED} | {STRICT: 1.0, "gamma": 1.0, "gamma_vs_control": 0.0}
    at = pl.col("estimator").replace_strict(null, return_dtype=pl.Float64)
    known = pl.col("conf_low").is_not_null()
    return (
        numbers.with_columns(truth=true, null=at)
        .group_by("estimator", maintain_order=True)
        .agg(
            pl.col("truth", "null").first(),
            pl.len().alias("studies"),
            pl.col("estimate").mean().alias("mean"),
            pl.col("estimate").median().alias("median"),
            pl.col("estimate").std().alias("sd"),
            (pl.col("conf_low") <= pl.col("truth"))
            .and_(pl.col("conf_high") >= pl.col("truth"))
            .filter(known)
            .mean()
            .alias("coverage"),
            (pl.col("conf_high") < pl.col("null")).filter(known).mean().alias("below"),
            (pl.col("conf_low") > pl.col("null")).filter(known).mean().alias("above"),
            (~known).sum().alias("without_interval"),
        )
        .select(
            pl.lit(spread).alias("spread"),
            pl.lit(scenario).alias("scenario"),
            pl.lit(networks).alias("networks"),
            pl.all(),
        )
    )


def main() -> None:
    """Run all settings, write the figures, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=500, help="studies per setting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("-o", "--out", type=Path, default=PAGE)
    options = parser.parse_args()
    start = time.perf_counter()
    work = [
        (spread, scenario, networks, options.repeat, options.seed)
        for spread, scenario, networks in product(SPREADS, SCENARIOS, NETWORKS)
    ]
    tables = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, table in enumerate(pool.map(setting, work), 1):
            tables.append(table)
            print(f"{done} of {len(work)}", file=sys.stderr)
    found = pl.concat(tables)
    found.write_csv(options.out, float_precision=6)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    print(pages(found))


SHOWN: Final = {
    STRICT: "plain α, 99 %",
    "plain": "plain α",
    "log_kappa": "log κ",
    "between": "between classes (seed noise removed)",
    "alpha_minus_lambda": "α − λ̂",
    "split_half_pooled": "split half (image noise removed)",
    "deming": "Deming",
    "control_alpha": "α − α of the control",
    "control_log_kappa": "log κ − log κ of the control",
    "log_kappa_excess": "log κ − accuracy-matched null",
    "log_kappa_excess_corrected": "the same, free of image noise",
    "alpha_excess_corrected": "α − accuracy-matched null, free of image noise",
    "gamma": "γ",
    "gamma_vs_control": "γ − γ of the control",
}


def pages(found: pl.DataFrame) -> str:
    """A Markdown table per spread and scenario: rejections and coverage by number of networks."""
    lines = []
    for (spread, scenario), part in found.group_by("spread", "scenario", maintain_order=True):
        lines += [
            f"### {spread}: {scenario}",
            "",
            "| estimator | truth | bias at 10 | below / above its null at 5, 10, 30 networks "
            "| coverage at 5, 10, 30 |",
            "|:--|--:|--:|:--|:--|",
        ]
        for name, words in SHOWN.items():
            rows = part.filter(pl.col("estimator") == name).sort("networks")
            at_ten = rows.filter(pl.col("networks") == 10).row(0, named=True)
            rejected = ", ".join(
                f"{100 * low:.0f} / {100 * high:.0f}"
                for low, high in rows.select("below", "above").iter_rows()
            )
            covered = ", ".join(f"{100 * share:.0f}" for share in rows["coverage"])
            bias = at_ten["mean"] - at_ten["truth"]
            lines.append(
                f"| {words} | {at_ten['truth']:.3f} | {bias:+.3f} | {rejected} | {covered} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
