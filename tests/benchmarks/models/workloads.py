"""What is timed: tables of `simulate`, formulas, and which peers can fit which."""

from dataclasses import dataclass

SLOPE = (
    "balance ~ balance_dense * (log2_ratio + difficulty + complexity)"
    " + (0 + balance_dense | network) + (1 | class_id)"
)
# the same without brackets after `*`, which some peers cannot parse
SLOPE_LONG = (
    "balance ~ balance_dense + log2_ratio + difficulty + complexity"
    " + balance_dense:log2_ratio + balance_dense:difficulty + balance_dense:complexity"
    " + (0 + balance_dense | network) + (1 | class_id)"
)
COUNTS = "correct/n ~ log2_ratio * method + (1 | network) + (1 | class_id)"
COUNTS_LONG = " ~ log2_ratio + method + log2_ratio:method + (1 | network) + (1 | class_id)"


@dataclass(frozen=True)
class Workload:
    """One model on one table.

    Attributes
    ----------
    table
        Name in `simulate.TABLES`.
    formula
        In the words of distortion.
    r
        In lme4's words.
    long
        Without `a * (b + c)` and `a/b`, for peers with smaller parsers.
    factors
        Columns that are factors to R and categories to pandas.
    family
        `gaussian` or `binomial`.
    trials
        Column of the number of trials; `rate` then holds the proportions.
    """

    name: str
    table: str
    formula: str
    r: str
    long: str
    factors: tuple[str, ...]
    family: str = "gaussian"
    trials: str | None = None


def workload(name: str) -> Workload:
    """A named workload, or `grown-ROWS-LEVELS-TERMS` on the table of that name."""
    if not name.startswith("grown-"):
        return WORKLOADS[name]
    terms = int(name.split("-")[3])
    formula = f"y ~ {' + '.join(f'x{i}' for i in range(terms))} + (x0 | g) + (1 | h)"
    return Workload(name, name, formula, formula, formula, ("g", "h"))


def _slope(size: str) -> Workload:
    return Workload(f"log-{size}", f"log-{size}", SLOPE, SLOPE, SLOPE_LONG, ("network", "class_id"))


_CROSSED = "y ~ x + (1 | rater) + (1 | item)"
_INSTEVAL = "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)"
_VERBAGG = " ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"

WORKLOADS = {
    work.name: work
    for work in (
        _slope("6k"),
        _slope("150k"),
        _slope("1.5m"),
        Workload("crossed", "crossed", _CROSSED, _CROSSED, _CROSSED, ("rater", "item")),
        Workload(
            "insteval",
            "insteval",
            _INSTEVAL,
            _INSTEVAL,
            _INSTEVAL,
            ("s", "d", "dept", "service"),
        ),
        Workload(
            "counts-150k",
            "counts-150k",
            COUNTS,
            "cbind(correct, n - correct)" + COUNTS.removeprefix("correct/n"),
            "rate" + COUNTS_LONG,
            ("network", "class_id", "method"),
            "binomial",
            "n",
        ),
        Workload(
            "verbagg",
            "verbagg",
            "yes" + _VERBAGG,
            "yes" + _VERBAGG,
            "yes" + _VERBAGG,
            ("id", "item", "Gender", "btype", "situ"),
            "binomial",
        ),
    )
}
