"""What was computed, in short: definitions and tests as this report used them."""

from typing import Final

from distortion.scope import Scope
from distortion.tables import numbers
from distortion.tables.results import CORRECTED

DEFINITIONS: Final = (
    ("Recall R, accuracy A", "share of the test images of a class, or of all, that are recognised"),
    (
        "Normalized recall balance B̄",
        "(R − A) / A: how far a class lies from the accuracy, relative to it",
    ),
    ("Slope α", "Σ B̄ B̄ₜ / Σ B̄², over classes; B̄ before and B̄ₜ after, at ratio t; 1: unchanged"),
    (
        "Spread κ",
        "√(Σ B̄ₜ² / Σ B̄²); above 1: recalls lie farther apart relative to accuracy than before, in "
        "whatever order; in plain points they may still have drawn together",
    ),
    ("Association ρ", "Σ B̄ B̄ₜ / √(Σ B̄² Σ B̄ₜ²); 1: the same classes lead and trail; α = ρ κ"),
    ("Ratio t", "parameters before / after, whole network"),
    (
        "Pooled slope α̂, r²",
        "one line through the origin for the classes of all networks; r² uncentred",
    ),
    (
        "Reliability λ̂, between",
        "λ̂: share of the dense pattern that other networks repeat; between: slope of the pattern "
        "that they share, free of seed noise",
    ),
    (
        "Accuracy-matched null, excess",
        "what α and κ would be if all recalls of a network were shifted alike on the logit scale "
        "until accuracy is what it was observed to be; the excess is the spread κ over that, "
        "corrected for image noise",
    ),
    (
        "γ",
        "slope on the logit scale of a binomial model with random effects of networks and classes "
        "(structural model); 1 where accuracy is lost without sparing any class",
    ),
)
READING: Final = (
    (
        "α above 1, intensifies",
        "classes recognised worse than average fall further behind and better ones get further "
        "ahead, relative to accuracy.",
    ),
    (
        "α below 1, κ below 1, evens out",
        "the gaps between classes shrink, relative to accuracy.",
    ),
    (
        "α below 1, κ above 1, reorders and widens",
        "gaps grow, but between other classes than before; this is not an evening out.",
    ),
    (
        "α below 1, κ undecided, slope below 1",
        "the interval of κ contains 1: classes keep their places less well, which noise in the "
        "dense recalls alone can bring about; it says nothing about the size of the gaps.",
    ),
    (
        "undecided",
        "the data are compatible with α = 1, no change; that is no evidence that nothing changed.",
    ),
)


def tests_in_words(scope: Scope, intervals: list[float]) -> list[str]:
    """How hypotheses were tested; `intervals` are the levels of the slopes' intervals."""
    independent = "Student's with pooled variance" if scope.settings.equal_variances else "Welch's"
    level = scope.settings.level
    levels = " or ".join(numbers.confidence(level) for level in sorted(set(intervals)))
    return [
        "The unit of replication is the network: one value of α per network and condition.",
        f"Intervals of α are t-based at {levels}, so that all intervals of one column hold "
        f"together with {numbers.confidence(level)} confidence (Bonferroni). They show the "
        "variation between networks (seeds).",
        "Comparisons within a network (ratio, method, control) use paired t-tests, comparisons "
        f"between networks (model, data set) {independent} t-tests. {_corrected(scope)}",
        "Equivalence within ± a margin is shown by two one-sided t-tests; their interval, at twice "
        "the error, lies within the margin where both reject. That a class loses no more than a "
        "margin is one such test. The margins are options, not findings: "
        f"{numbers.significant(scope.settings.margin)} in α, "
        f"{numbers.in_points(scope.settings.class_margin)} of recall.",
        "Slopes pooled over networks (between, excess) have jackknife t intervals, γ Wald "
        "intervals of maximum likelihood (Laplace), covariates those of mixed models by REML with "
        "Satterthwaite's degrees of freedom.",
        f"A verdict, and its mark, needs a corrected p below {numbers.significant(1 - level)}. "
        "Below 1, the interval of κ (t-based on log κ, at the same "
        "level) decides whether gaps even out, reorder and widen, or neither can be said.",
        "Source of α and of the families of tests: Good et al. (2022), Recall Distortion in Neural "
        "Network Pruning and the Undecayed Pruning Algorithm, NeurIPS; arXiv 2206.02976. κ, ρ, "
        "γ, the control arm, the repairs of the slope and the tests of classes are additions.",
    ]


def _corrected(scope: Scope) -> str:
    chosen = scope.settings.correction
    if chosen is not None:
        return f"Throughout, {CORRECTED[chosen]}."
    return (
        "p-values are corrected within their column by Holm's method, those of changes of classes "
        "by Benjamini and Hochberg's."
    )
