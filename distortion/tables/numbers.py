"""Rounding: the only place where a number becomes text.

A missing or undefined number is an en dash. Negative numbers carry the minus sign (U+2212), and
what rounds to zero carries none.
"""

import math
from typing import Final

MINUS: Final = "−"
NOTHING: Final = "–"
DIGITS: Final = 2
MOST_DIGITS: Final = 4
MOST_LOG: Final = 700.0


def fixed(value: float | None, digits: int = DIGITS, *, signed: bool = False) -> str:
    """`value` with that many decimals: −0.50; with `signed`, also +0.50."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):,.{digits}f}"
    if not any(c in "123456789" for c in text):
        return text
    return f"{MINUS if value < 0 else '+' if signed else ''}{text}"


def significant(value: float | None, digits: int = 2) -> str:
    """`value` with that many significant digits, without exponent: 0.0034."""
    if value is None or not math.isfinite(value) or value == 0:
        return fixed(value, 0)
    rounded = float(f"{value:.{digits - 1}e}")
    return fixed(rounded, max(0, digits - 1 - math.floor(math.log10(abs(rounded)))))


def percent(share: float | None, digits: int = 1) -> str:
    """A share between 0 and 1 in per cent: 88.1%."""
    text = fixed(None if share is None else 100 * share, digits)
    return text if text == NOTHING else f"{text}%"


def points(change: float | None, digits: int = 1) -> str:
    """A change of a share in percentage points, with its sign: −21.9."""
    return fixed(None if change is None else 100 * change, digits, signed=True)


def in_points(share: float) -> str:
    """A margin of a share in percentage points, as its user gave it: 1 point, 2.5 points."""
    shown = ratio(round(100 * share, 6))
    return f"{shown} point{'' if shown == '1' else 's'}"


def p_value(p: float | None) -> str:
    """Three decimals, or <0.001."""
    if p is None or not math.isfinite(p):
        return NOTHING
    return "<0.001" if p < 0.001 else fixed(p, 3)


def p_equals(p: float | None) -> str:
    """A p-value in a sentence: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p is not None and p < 0.001 else f"p = {p_value(p)}"


def interval(
    estimate: float | None,
    low: float | None,
    high: float | None,
    *,
    null: float | None = None,
    signed: bool = False,
) -> str:
    """`estimate [low, high]`; the estimate alone where there is no interval.

    Decimals are added (up to four) while a bound would round to the null value that it does not
    touch, so that the text shows on which side of it the interval lies.
    """
    bounds = [b for b in (low, high) if b is not None and math.isfinite(b)]
    digits = DIGITS
    while digits < MOST_DIGITS and any(
        null is not None and b != null and round(b, digits) == null for b in bounds
    ):
        digits += 1
    shown = [fixed(b, digits, signed=signed) for b in (estimate, *bounds)]
    return shown[0] if len(bounds) < 2 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def factor_interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """A factor with its interval, from their logarithms: 1.14 [1.05, 1.24]; null value 1."""
    return interval(*(_exp(value) for value in (estimate, low, high)), null=1.0)


def change_interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """A change of a share with its interval, in percentage points: −21.9 [−30.1, −13.7]."""
    text = points(estimate)
    missing = low is None or high is None
    return text if missing else f"{text} [{points(low)}, {points(high)}]"


def ratio(value: float | None) -> str:
    """A ratio as asked for: 2, 1.5, 50; large ones in full, so that they stay apart."""
    return NOTHING if value is None else f"{value:,.{6 if value < 1000 else 9}g}"


def confidence(level: float) -> str:
    """A confidence level in per cent: 99%, 99.17%."""
    return f"{round(100 * level, 2):g}%"


def count(value: int | None) -> str:
    """A whole number with thousands separated: 10,000."""
    return NOTHING if value is None else f"{value:,}"


def spans(values: list[int]) -> str:
    """Whole numbers with runs joined: 0–9, 12."""
    runs: list[list[int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(
        str(a) if a == b else f"{a}{NOTHING if b > a + 1 else ', '}{b}" for a, b in runs
    )


def duration(seconds: float) -> str:
    """A time in the largest fitting unit: 45 s, 12.5 min, 3.2 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _exp(value: float | None) -> float | None:
    """The number whose logarithm `value` is; infinite where it is too large to be one."""
    if value is None:
        return None
    return math.exp(value) if value < MOST_LOG else math.inf
