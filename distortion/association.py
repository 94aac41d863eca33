"""Whether the same classes are ahead and behind as before, in networks that share no seed.

ρ of a network with its own parent is large for the noise alone that both share. The test therefore
asks the other networks' parents:

    S = Σ_m Σ_c z_mc y_mc / √(Σ_c z_mc² Σ_c y_mc²),    z_m = mean of x over the other networks

and permutes the names of the classes after compression, for all networks alike. What networks
before and after still have in common are the test images: the answer is about these.
"""

from math import factorial
from typing import Final

import numpy as np
import polars as pl

from distortion.counts import Counts, balances
from distortion.fits.permutation import permuted_classes

# Permutations of so many classes or fewer cannot survive a correction for several ratios.
FEW_CLASSES: Final = 4


def associations(conditions: list[Counts], rng: np.random.Generator) -> pl.DataFrame:
    """Mean ρ of each condition and the permutation test of the pattern that networks share.

    Returns
    -------
    One row per condition: CONDITION columns, `estimate` (mean ρ over networks), `std_error`, `df`
    (of networks), `p_value` and `p_permutation` (the same, one-sided), `n`, `left_out` (networks
    without a spread before or after), `balanced`, `doubt`.
    """
    return pl.DataFrame([_association(c, rng) for c in conditions], infer_schema_length=None)


def _association(counts: Counts, rng: np.random.Generator) -> dict[str, object]:
    x, y = balances(counts.dense, counts.n), balances(counts.correct, counts.n)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    usable = np.isfinite(size) & (size > 0)
    x, y, size = x[usable], y[usable], size[usable]
    rho = (x * y).sum(axis=1) / size
    M, C = x.shape
    p, doubt = float("nan"), ""
    if M < 2:
        doubt = "no test: needs the dense pattern of another network"
    else:
        p = permuted_classes((x.sum(axis=0) - x) / (M - 1), y, rng)
        if C <= FEW_CLASSES:
            doubt = f"{C} classes: no permutation has a p below {1 / factorial(C):.2g}"
    known = None if np.isnan(p) else p
    return {
        **counts.condition,
        "estimate": float(rho.mean()) if M else None,
        "std_error": float(rho.std(ddof=1) / np.sqrt(M)) if M > 1 else None,
        "df": float(M - 1) if M > 1 else None,
        "p_value": known,
        "p_permutation": known,
        "n": M,
        "left_out": int((~usable).sum()),
        "balanced": counts.balanced,
        "doubt": doubt,
    }
