"""What makes distortion worse: ratio, difficulty and complexity in one mixed model per method.

    measure ~ (log2_ratio + difficulty + complexity)² + (1 + log2_ratio | network)

over cells, one value of the measure each: cells, not classes, because the balances of one cell sum
to zero and are no independent observations. Covariates are centred, so that a main effect is that
at the mean of the others; those that do not vary are left out. Difficulty and complexity vary
between networks only, and over few data sets and models: what they say is about those.
"""

from typing import Any, Final

import polars as pl

from distortion.designs import CONDITION, pairs
from distortion.errors import FitError
from distortion.fits.lmm import fit_lmm
from distortion.fits.results.result import Fit
from distortion.log import RecallLog
from distortion.schema import CONTROL

COVARIATES: Final = {
    "log2_ratio": "doubling of the ratio",
    "difficulty": "difficulty",
    "complexity": "complexity",
}
# A random slope of each network needs a third ratio to be told from the residual.
FEWEST_RATIOS: Final = 3
# Contexts, not replications: a model per method pools over these.
POOLED: Final = ("dataset", "model", "recipe", "ratio")


def covariate_effects(
    log: RecallLog, samples: pl.DataFrame, measure: str, arm: str, split: str
) -> pl.DataFrame:
    """The effects of covariates and their interactions on `measure`.

    Parameters
    ----------
    samples : cells of the compressed arm, from `distortion.slopes`, with the column `measure`

    Returns
    -------
    One row per method and term: CONDITION columns (null where cells were pooled), `comparison`
    (the term in words), `estimate`, `std_error`, `df` (Satterthwaite), `statistic`, `p_value`, `n`
    (networks), `left_out` (cells whose measure is undefined), `doubt` (what to keep in mind). A
    model that could not be fitted has one row with its reason. Empty where nothing varies.
    """
    keys = [c for c in CONDITION if c not in ("split", "arm")]
    known = pairs(log, arm=arm, split=split).select("network", *keys, *COVARIATES).unique()
    cells = samples.filter(pl.col("arm") != CONTROL).join(
        known, on=["network", *keys], how="left", maintain_order="left"
    )
    shared = [c for c in CONDITION if c not in POOLED]
    found: list[pl.DataFrame] = []
    for part in cells.partition_by(shared, maintain_order=True):
        varying = [c for c in COVARIATES if part[c].null_count() == 0 and part[c].n_unique() > 1]
        if varying:
            place = {c: part[c][0] for c in shared}
            found.append(_effects(part, measure, varying).with_columns(**_literals(place)))
    return pl.concat(found, how="diagonal_relaxed") if found else pl.DataFrame()


def fit_covariates(cells: pl.DataFrame, measure: str, varying: list[str]) -> Fit:
    """The mixed model of one method; `cells` has `measure`, `network` and the `varying` columns.

    Raises
    ------
    FitError
        If it cannot be fitted.
    """
    centred = [f"center({c})" for c in varying]
    slope = ""
    if "log2_ratio" in varying and cells["log2_ratio"].n_unique() >= FEWEST_RATIOS:
        slope = " + center(log2_ratio)"
    fixed = f"({' + '.join(centred)})^2" if len(varying) > 1 else centred[0]
    return fit_lmm(f"{measure} ~ {fixed} + (1{slope} | network)", cells)


def _effects(cells: pl.DataFrame, measure: str, varying: list[str]) -> pl.DataFrame:
    used = cells.filter(pl.col(measure).is_not_null())
    sizes = {"n": used["network"].n_unique(), "left_out": cells.height - used.height}
    levels = [
        f"{used[column].n_unique()} {plural}"
        for name, column, plural in (
            ("difficulty", "dataset", "data sets"),
            ("complexity", "model", "models"),
        )
        if name in varying
    ]
    try:
        fit = fit_covariates(used, measure, varying)
    except FitError as error:
        reason = f"no test: {error}"
        return pl.DataFrame({"comparison": [""], "doubt": [reason], **sizes})
    rows = fit.estimates.filter(pl.col("term") != "Intercept")
    words = [_in_words(term) for term in rows["term"]]
    doubts = [*(f"about these {n} only" for n in levels), *_plain(fit)]
    return rows.select(
        comparison=pl.Series(words, dtype=pl.String),
        estimate="estimate",
        std_error="std_error",
        df="df",
        statistic="statistic",
        p_value="p_value",
        doubt=pl.lit("; ".join(doubts)),
        **{name: pl.lit(value) for name, value in sizes.items()},
    )


def _in_words(term: str) -> str:
    names = [part.removeprefix("center(").removesuffix(")") for part in term.split(":")]
    return " × ".join(COVARIATES[name] for name in names)


def _plain(fit: Fit) -> list[str]:
    """Notes of a fit that bear on its tests, without the full stop."""
    return [note.rstrip(".") for note in fit.notes if note.startswith("Left out")]


def _literals(values: dict[str, Any]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in values.items()}
