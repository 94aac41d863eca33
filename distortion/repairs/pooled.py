"""Estimators that are one ratio of sums over all networks, from `distortion.repairs.moments`.

Each function maps moments to numerator and denominator (B,); the estimate is their quotient,
NaN where a denominator that must be positive is not.

The model behind them: x_cm = u_c + e_cm, y_cm = β u_c + φ e_cm + f_cm, with u the class pattern of
the population of networks and e the deviation of one network from it (seed noise). Then

    pooled slope = λ between + (1 − λ) within        (an identity of the estimates, equal weights)

with λ the reliability, between → β and within → φ.

Total (orthogonal) least squares is not offered. It takes the noise of x and of y to be equal and
the true points to lie on the line; here pruning adds noise to y alone, and the classes scatter
about any line (equation error), so that it overstates the slope (Carroll and Ruppert 1996).
"""

import numpy as np

from distortion.counts import Values
from distortion.repairs.moments import Moments, Quotient


def pooled(m: Moments) -> Quotient:
    """S_xy / S_xx: one slope for all networks, those with a wide pattern counting more (S9)."""
    return m.total.xy, _positive(m.total.xx)


def reliability(m: Moments) -> Quotient:
    """λ̂ = (S_xx − s_w) / S_xx: share of Σx² that is not seed noise."""
    return m.total.xx - m.within.xx, _positive(m.total.xx)


def alpha_minus_lambda(m: Moments) -> Quotient:
    """Pooled α̂ − λ̂, 0 when the class pattern is kept (β = 1) and seed noise is fresh (φ = 0).

    The right null for a network that is retrained from a new start: α̂ then estimates λβ, not β.
    A network pruned from its dense parent inherits part of the parent's noise (φ > 0): α̂
    estimates λβ + (1 − λ)φ, λ̂ is too low a bar, and with all of it inherited (φ = 1) the null
    value of α̂ is 1 again. `within` estimates φ; β is tested by `between` whatever φ is.
    """
    return m.total.xy - m.total.xx + m.within.xx, _positive(m.total.xx)


def alpha_over_lambda(m: Moments) -> Quotient:
    """Pooled α̂ / λ̂ = S_xy / (S_xx − s_w): β under fresh seed noise; see `alpha_minus_lambda`."""
    return m.total.xy, _positive(m.total.xx - m.within.xx)


def between(m: Moments) -> Quotient:
    """Slope β of the class pattern: U_xy / U_xx. Two names for one estimator.

    As an instrument: x_cm is replaced in numerator and denominator by z_cm, its mean over the
    other networks, whose seed noise is independent: ΣΣ z y / ΣΣ z x (S3 b; Angrist and
    Krueger 1995). As moments: (S_xy − c_w) / (S_xx − s_w) (S3 c). With M networks of equal weight
    Σ_m z_cm y_cm = (M² x̄ȳ − Σ_m xy) / (M − 1) = M (x̄ȳ − cov / M), and so is
    S_xy − c_w = x̄ȳ + cov (M − 1) / M − cov = x̄ȳ − cov / M: the factor M cancels.
    """
    return m.between.xy, _positive(m.between.xx)


def within(m: Moments) -> Quotient:
    """c_w / s_w, the slope φ of seed noise: 0 if drawn afresh, 1 if all of it is inherited."""
    return m.within.xy, _positive(m.within.xx)


def deming(m: Moments) -> Quotient:
    """Deming regression on class means, with the variance ratio δ of y's noise to x's known (S3 d).

    δ = s_w(y) / s_w(x). It takes the noise of the two means to be independent (φ = 0) and all
    classes to lie on one line but for it. Classes that scatter about the line for good (equation
    error) make δ too small and the slope too steep: Carroll and Ruppert (1996).
    """
    means = m.class_means
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = m.within.yy / _positive(m.within.xx)
    excess = means.yy - ratio * means.xx
    root = np.sqrt(excess**2 + 4 * ratio * means.xy**2)
    return excess + root, np.where(means.xy != 0, 2 * means.xy, np.nan)


def _positive(denominator: Values) -> Values:
    return np.where(denominator > 0, denominator, np.nan)
