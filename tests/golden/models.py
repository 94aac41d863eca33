"""Golden values of mixed models: tests/golden/models, written by make_models.R.

`golden("sleepstudy")` gives the table and, per case, what R said; README.md beside the files names
the keys. R's names and formulas are put into this package's words where that is mechanical.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

FOLDER = Path(__file__).with_suffix("")

# Relative tolerances. "tight" values: BOBYQA to 1e-12, then Newton steps to a zero gradient.
RTOL = {
    "criterion": 1e-8,  # the same function at the same optimum; the default optimizer adds 1e-10
    "fixef": 1e-6,  # linear in y at given theta, to which it is insensitive
    "se": 1e-6,  # tight: theta is known to 1e-8, and se follows it with slope of order one
    "sd": 1e-6,  # tight: as se; sd = sigma * theta
    "modes": 1e-5,  # shrinkage differences of modes near zero; give atol = 1e-6 * largest mode too
    "se_default": 2e-4,  # the default stops on a flat optimum: SDs move 1e-4, the criterion 1e-9
    "sd_default": 2e-4,  # the same
    "satterthwaite": 1e-3,  # lmerTest differentiates numerically: its df are good to about 1e-7,
    # but df is a ratio whose denominator may nearly vanish
    "kenward_roger": 1e-3,  # pbkrtest inverts n x n matrices; 1e-9 where both are well conditioned
    "p_value": 1e-3,  # follows df; far tails multiply its error by |t|
    "wald": 1e-6,  # estimate and se, normal quantile
    "profile": 1e-5,  # lme4 interpolates zeta by splines; here on a grid three times its usual one
    "prediction": 1e-6,  # fixed effects plus modes
    "emmeans": 1e-6,  # linear in fixed effects; trends come from differences of step 1e-3 range
    "adjusted_p": 1e-4,  # ptukey to 1e-8, df to 1e-3 at worst
    "mvt_p": 1e-3,  # with atol of `mvt["error"]`: quasi-random integration, df cut to integers
    "r2": 1e-6,  # ratios of variances at the tight optimum
    "deviance": 1e-6,  # Laplace and quadrature: inner iterations stop at 1e-13, steps add 1e-9
    "glmm_fixef": 1e-5,  # optimum of a flat function of (theta, beta)
    "glmm_se": 1e-5,  # Richardson's Hessian of that function
    "glmm_sd": 1e-5,  # as glmm_fixef
}


@dataclass(frozen=True)
class Golden:
    """One set of models on one table."""

    name: str
    table: pl.DataFrame
    levels: dict[str, tuple[str, ...]]
    cases: dict[str, dict[str, Any]]
    versions: dict[str, str]

    def term(self, name: str) -> str:
        """R's name of a coefficient as formulaic's: `recipeB:temp` is `recipe[T.B]:temp`."""
        return ":".join(self._part(part) for part in name.split(":"))

    def _part(self, part: str) -> str:
        if part == "(Intercept)":
            return "Intercept"
        for column, levels in self.levels.items():
            level = part.removeprefix(column)
            if part.startswith(column) and level in levels:
                return f"{column}[T.{level}]"
        return part

    def named(self, values: Mapping[str, float]) -> dict[str, float]:
        """R's named numbers under formulaic's names."""
        return {self.term(name): value for name, value in values.items()}

    def vector(self, values: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
        """R's named numbers in the order of `names`, which are formulaic's."""
        named = self.named(values)
        return np.array([named[name] for name in names], dtype=float)

    def matrix(
        self, values: Sequence[Sequence[float]], fixef: Mapping[str, float], names: Sequence[str]
    ) -> np.ndarray:
        """Columns (and rows, if it is square) of a matrix in R's order, in the order of `names`."""
        ours = [self.term(name) for name in fixef]
        order = [ours.index(name) for name in names]
        table = np.array(values, dtype=float)
        return table[np.ix_(order, order)] if len(table) == len(order) else table[:, order]


@cache
def golden(name: str) -> Golden:
    """Read one set; text columns and grouping factors are strings, as they were factors in R."""
    stored = json.loads((FOLDER / f"{name}.json").read_text(), object_hook=_numbers)
    table = pl.read_csv(
        FOLDER / stored["data"],
        schema_overrides=dict.fromkeys(stored["text_columns"], pl.String),
        infer_schema_length=None,
    )
    levels = {column: tuple(values) for column, values in stored["levels"].items()}
    return Golden(name, table, levels, stored["cases"], stored["versions"])


def names() -> list[str]:
    """Every set that is stored."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def formula(case: Mapping[str, Any]) -> str:
    """The case's formula with counts as `correct/n` where R has `cbind(correct, n - correct)`."""
    return re.sub(r"cbind\((\w+), (\w+) - \1\)", r"\1/\2", case["formula"])


def _numbers(node: dict[str, Any]) -> dict[str, Any]:
    return {key: _number(value) for key, value in node.items()}


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(item) for item in value]
    return {"inf": np.inf, "-inf": -np.inf}.get(value, value) if isinstance(value, str) else value
