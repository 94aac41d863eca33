"""Formulas: from counts to recall, balance and the slope, as polars expressions.

symbol  name here            formula                       unit
R       recall               correct / n                   share of the class's images
A       accuracy             Σ correct / Σ n               share of all images
B       balance              R − A                         share
B̄       normalized balance   (R − A) / A                   relative to accuracy
I       intensification      B̄_t / B̄                       ratio; undefined where B̄ = 0
α       alpha                Σ B̄ B̄_t / Σ B̄²                slope through the origin; null value 1
κ       kappa                √(Σ B̄_t² / Σ B̄²)              ratio of spreads; null value 1
ρ       rho                  Σ B̄ B̄_t / √(Σ B̄² Σ B̄_t²)      association, −1 to 1; α = ρ κ

Sums run over the classes of a cell; no subscript means the dense parent, t the cell itself.
Source: Good et al. (2022), sections 3 and 5; κ and ρ split what their α mixes. On a balanced test
set both B̄ and B̄_t sum to zero over classes, which is why the slope has no intercept.
"""

from typing import Final

import polars as pl


def safe_ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """The quotient, null where the denominator is zero: undefined is not infinite."""
    return pl.when(denominator != 0).then(numerator / denominator)


# On the columns n, correct (of a class) and n_total, correct_total (of its cell). The numerator
# is a whole number, so a class with recall equal to accuracy has a balance of exactly zero.
_EXCESS = pl.col("correct") * pl.col("n_total") - pl.col("n") * pl.col("correct_total")
RECALL: Final = pl.col("correct") / pl.col("n")
ACCURACY: Final = pl.col("correct_total") / pl.col("n_total")
BALANCE: Final = _EXCESS / (pl.col("n") * pl.col("n_total"))
NORMALIZED_BALANCE: Final = safe_ratio(_EXCESS, pl.col("n") * pl.col("correct_total"))
PRECISION: Final = safe_ratio(pl.col("correct"), pl.col("predicted"))
F1: Final = 2 * pl.col("correct") / (pl.col("n") + pl.col("predicted"))


def slope(x: str, y: str) -> pl.Expr:
    """The slope α of `y` on `x` through the origin, null where Σx² or a balance is undefined."""
    return safe_ratio(_sum(x, y), _sum(x, x))


def spread(x: str, y: str) -> pl.Expr:
    """The ratio of spreads κ, also the slope of the reduced major axis without its sign."""
    return safe_ratio(_sum(y, y), _sum(x, x)).sqrt()


def log_spread(kappa: str) -> pl.Expr:
    """Log κ, on which κ is averaged and tested; null where κ is 0 (all recalls equal after)."""
    return pl.when(pl.col(kappa) > 0).then(pl.col(kappa).log())


def association(x: str, y: str) -> pl.Expr:
    """The uncentred correlation ρ, null where either side has no spread."""
    return safe_ratio(_sum(x, y), (_sum(x, x) * _sum(y, y)).sqrt())


def variance_over_classes(balance: str) -> pl.Expr:
    """Variance of recall balance over the classes of a cell (divisor: number of classes).

    Good et al. (2022), appendix F, whose own text was not at hand: the name is theirs, the
    divisor our choice.
    """
    return pl.col(balance).var(ddof=0)


def _sum(x: str, y: str) -> pl.Expr:
    """Σ xy over the group, null as soon as one term is: a class is never dropped in silence."""
    product = pl.col(x) * pl.col(y)
    return pl.when(product.is_null().any().not_()).then(product.sum())
