"""Whether the same classes are ahead and behind as before: ρ, tested by permuting classes."""

import numpy as np
import polars as pl

from distortion.counts import Counts, balances
from distortion.fits.permutation import permuted_classes


def associations(conditions: list[Counts], rng: np.random.Generator) -> pl.DataFrame:
    """Mean ρ of each condition and its permutation test.

    Each draw permutes the names of the classes after compression, for all networks alike: ρ is 0
    on average if the patterns before and after have nothing to do with each other.

    Returns
    -------
    One row per condition: CONDITION columns, `estimate` (mean ρ over networks), `std_error`, `df`
    (of networks), `p_value` and `p_permutation` (the same, one-sided), `n`, `left_out` (networks
    without a spread before or after), `balanced`.
    """
    return pl.DataFrame([_association(c, rng) for c in conditions], infer_schema_length=None)


def _association(counts: Counts, rng: np.random.Generator) -> dict[str, object]:
    x, y = balances(counts.dense, counts.n), balances(counts.correct, counts.n)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    usable = np.isfinite(size) & (size > 0)
    rho = (x * y).sum(axis=1)[usable] / size[usable]
    p = permuted_classes(x[usable], y[usable], rng) if usable.any() else float("nan")
    many = len(rho) > 1
    return {
        **counts.condition,
        "estimate": float(rho.mean()) if len(rho) else None,
        "std_error": float(rho.std(ddof=1) / np.sqrt(len(rho))) if many else None,
        "df": float(len(rho) - 1) if many else None,
        "p_value": None if np.isnan(p) else p,
        "p_permutation": None if np.isnan(p) else p,
        "n": len(rho),
        "left_out": int((~usable).sum()),
        "balanced": counts.balanced,
    }
