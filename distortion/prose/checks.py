"""The diagnostics in words: one row per check, with its number and whether it is fine.

"Look at" means that a figure deserves a second look, not that a conclusion is wrong.
"""

from typing import Final

import polars as pl

from distortion.designs import CONDITION
from distortion.diagnostics import MixedModel
from distortion.labels import clean, counted
from distortion.prose.reservations import DEPARTS
from distortion.prose.words import place
from distortion.tables import numbers

FINE: Final = "fine"
LOOK: Final = "look at"
SCHEMA: Final = {"check": pl.String, "number": pl.String, "verdict": pl.String, "of": pl.String}
# Error of every check over all models together.
ERROR: Final = 0.01
# A single network, or class, that moves a slope by more standard errors than this.
FAR: Final = 1.0
# Share of the pattern that other networks repeat.
RELIABLE: Final = 0.9
# Share of residuals that do not cancel over classes.
OFFSET: Final = 0.05
# SD in logits of networks that have hardly anything in common.
WILD: Final = 3.0
Check = tuple[str, str, str, str]


def checks_table(found: list[Check]) -> pl.DataFrame:
    """The checks as a frame: check, number, verdict, of (what the number is of)."""
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def of_residuals(tests: pl.DataFrame) -> list[Check]:
    """Checks of the residuals of mixed models; `tests` as from `residual_tests`."""
    checks = (
        (
            "p_curved",
            "Residuals against fitted values: no bend",
            "correlation with fitted, squared",
        ),
        ("p_normal", "Residuals: normal", "Shapiro–Wilk"),
        ("p_scale", "Residuals: same size throughout", "correlation of size and fitted value"),
    )
    found = []
    for name, check, how in checks:
        known = tests.drop_nulls(name).sort(name)
        if not known.height:
            continue
        worst = known.row(0, named=True)
        few = int((known[name] < ERROR / known.height).sum())
        number = (
            f"{few} of {counted(known.height, 'model')}; smallest {numbers.p_equals(worst[name])}"
        )
        method = clean(worst["method"])
        found.append((check, number, LOOK if few else FINE, f"worst: {method} ({how})"))
    if tests.height:
        worst = tests.sort("largest", descending=True).row(0, named=True)
        size = f"{numbers.fixed(worst['largest'], 1)} SD"
        verdict = FINE if worst["largest"] < _extreme(worst["cells"]) else LOOK
        found.append(
            ("Residuals: none far off", size, verdict, f"largest, {clean(worst['method'])}")
        )
    return found


def of_fits(models: list[MixedModel]) -> list[Check]:
    """Whether the mixed models converged, and whether their variances are told from zero."""
    if not models:
        return []
    failed = sum(not m.fit.converged for m in models)
    singular = sum(m.fit.singular for m in models)
    of = counted(len(models), "model")
    return [
        ("Mixed models converged", f"{len(models) - failed} of {of}", LOOK if failed else FINE, ""),
        (
            "Variances away from zero",
            f"{len(models) - singular} of {of}",
            LOOK if singular else FINE,
            "singular fits cannot tell networks' intercepts and slopes apart" if singular else "",
        ),
    ]


def of_influence(influence: pl.DataFrame) -> list[Check]:
    """How far one network, or one class, moves the slope, in its standard errors."""
    found = []
    for kind, check in (("network", "No single network decides"), ("class", "No class decides")):
        rows = influence.filter(pl.col("kind") == kind, pl.col("std_error") > 0)
        rows = rows.with_columns(size=(pl.col("change") / pl.col("std_error")).abs()).drop_nulls()
        if not rows.height:
            continue
        worst = rows.sort("size", descending=True).row(0, named=True)
        moved = rows.filter(pl.col("size") > FAR).select(CONDITION).n_unique()
        total = rows.select(CONDITION).n_unique()
        which = worst["which"] if kind == "network" else f"class {clean(worst['which'])}"
        change = numbers.fixed(worst["change"], signed=True)
        found.append(
            (
                f"{check} the slope",
                f"moves α by more than its SE in {moved} of {counted(total, 'condition')}",
                LOOK if moved else FINE,
                f"farthest: without {which}, {change} ({place(worst, rows)})",
            )
        )
    return found


def of_noise(repaired: pl.DataFrame) -> list[Check]:
    """Regression to the mean: how reliable the dense pattern is."""
    rows = repaired.filter(pl.col("estimator") == "reliability").drop_nulls("estimate")
    if not rows.height:
        return []
    low, high = (float(rows["estimate"].to_numpy().min()), float(rows["estimate"].to_numpy().max()))
    shown = (
        numbers.fixed(low)
        if high - low < 0.005
        else f"{numbers.fixed(low)} to {numbers.fixed(high)}"
    )
    return [
        (
            "Dense pattern is more than seed noise",
            f"λ̂ = {shown}",
            FINE if low >= RELIABLE else LOOK,
            "1 − λ̂ is how far fresh seed noise would pull α towards 0",
        )
    ]


def of_balances(offset: float, repaired: pl.DataFrame) -> list[Check]:
    """Whether residuals sum to zero over classes, and the intercept where they need not."""
    found: list[Check] = [
        (
            "Residuals sum to zero over classes",
            f"largest share left over: {numbers.percent(offset, 1)}",
            FINE if offset < OFFSET else LOOK,
            "0% by construction where classes are equally large",
        )
    ]
    rows = repaired.filter(pl.col("estimator") == "intercept").drop_nulls("p_value").sort("p_value")
    if rows.height:
        few = int((rows["p_value"] < ERROR / rows.height).sum())
        smallest = numbers.p_equals(rows["p_value"][0])
        found.append(
            (
                "Line passes through the origin",
                f"{few} of {counted(rows.height, 'condition')} do not; smallest {smallest}",
                LOOK if few else FINE,
                "intercept, unbalanced classes",
            )
        )
    return found


def of_structure(latent: pl.DataFrame) -> list[Check]:
    """Departures from the structural model, and what it finds beyond binomial noise."""
    rows = latent.filter(pl.col("measure") == "gamma", pl.col("estimate").is_not_null())
    if not rows.height:
        return []
    leave = rows.filter(pl.col("caveat").str.contains(DEPARTS, literal=True)).height
    found: list[Check] = [
        (
            "Classes lie on the line of the structural model",
            f"{leave} of {counted(rows.height, 'condition')} do not",
            LOOK if leave else FINE,
            "beyond noise, alike in all networks (p < 0.01)",
        )
    ]
    sizes = rows["sigma_w"].drop_nulls().to_numpy()
    if sizes.size:
        low, high = float(sizes.min()), float(sizes.max())
        found.append(
            (
                "Overdispersion beyond binomial noise",
                f"SD {' to '.join(dict.fromkeys(map(numbers.significant, (low, high))))} logits",
                FINE if high < WILD else LOOK,
                "part of the structural model, so that its intervals allow for it",
            )
        )
    return found


def _extreme(cells: int) -> float:
    """About the largest of so many normal deviates, exceeded in 1 of 100 samples: √(2 log 100n)."""
    return float((2 * pl.Series([100.0 * cells]).log()).sqrt()[0])
