"""The questions as data: what is compared, against which null value, in which direction.

The null value and the side travel inside the hypothesis, so no test can be read against the wrong
one. A *column* is what Good et al. (2022, section 6) correct over: the rows of one column of one
of their tables, here all tests of a family that agree on the `column` fields.

Tests are two-sided. Where the paper expects a direction, it stands in `expected` and is tested only
when asked for; their correction is Bonferroni's.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from distortion.corrections import Correction
from distortion.designs import CONDITION
from distortion.schema import CONTROL, FINETUNED

Side = Literal["two-sided", "greater", "less"]
Factor = Literal["ratio", "model", "dataset", "method", "arm"]
Kind = Literal["difference", "equivalence", "non-inferiority"]
Samples = Literal["cells", "trends", "classes", "mixed model", "latent", "equal"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One family of tests.

    Attributes
    ----------
    family : its name
    question : what it asks, for readers
    measure : the column tested; a difference of two of them where `factor` is set
    null : value under the null hypothesis
    words : verdicts above and below the null
    side : the alternative, of the estimate against the null
    expected : the direction that the paper expects
    factor : whose levels are compared; None for one sample against the null
    paired : whether compared cells share their dense network (paired t) or not (independent t)
    column : tests that agree on these fields are corrected together
    correction : of p-values within a column
    arm : rows that the estimate is about; None: whichever arm `findings` is asked for
    samples : what is tested: values of cells, trends of networks over log2 ratio, classes, terms
        of a mixed model, parameters of the structural model, methods at equal accuracy or ratio
    kind : what is to be shown: a difference from the null, that there is none beyond a margin
        (two one-sided tests, Schuirmann 1987), or no loss beyond a margin
    """

    family: str
    question: str
    measure: str
    null: float
    words: tuple[str, str]
    side: Side = "two-sided"
    expected: Side = "two-sided"
    factor: Factor | None = None
    paired: bool = True
    column: tuple[str, ...] = ()
    correction: Correction = "holm"
    arm: str | None = None
    samples: Samples = "cells"
    kind: Kind = "difference"


def _without(*fields: str) -> tuple[str, ...]:
    return tuple(c for c in CONDITION if c not in fields)


SLOPE: Final = ("intensifies", "slope below 1")
LARGER: Final = ("larger slope", "smaller slope")
WIDER: Final = ("wider gaps", "narrower gaps")
RISES: Final = ("rises with ratio", "falls with ratio")

CELL: Final = Hypothesis(
    "cell",
    "Is the slope α of a model, method and ratio different from 1?",
    "alpha",
    1.0,
    SLOPE,
    column=_without("ratio"),
)
CONTROL_CELL: Final = replace(
    CELL,
    family="control",
    question="Is the slope α of the control arm (fine-tuned, nothing removed) different from 1?",
    arm=CONTROL,
)
VERSUS_CONTROL: Final = Hypothesis(
    "versus control",
    "Is the slope of the compressed network different from its own control's?",
    "alpha",
    0.0,
    LARGER,
    factor="arm",
    column=_without("ratio"),
    arm=FINETUNED,
)
SPREAD: Final = Hypothesis(
    "spread",
    "Do the classes lie farther apart than before, relative to accuracy, in whatever order?",
    "log_kappa",
    0.0,
    WIDER,
    column=_without("ratio"),
)
SPREAD_VERSUS_CONTROL: Final = replace(
    VERSUS_CONTROL,
    family="spread versus control",
    question="Is the spread of the compressed network different from its own control's?",
    measure="log_kappa",
    words=WIDER,
)
RATIO: Final = Hypothesis(
    "ratio",
    "Is the slope larger at the next larger ratio?",
    "alpha",
    0.0,
    LARGER,
    expected="greater",
    factor="ratio",
    column=_without("ratio"),
)
TREND: Final = Hypothesis(
    "trend",
    "Does the slope α rise with every doubling of the ratio?",
    "alpha",
    0.0,
    RISES,
    column=_without("method", "ratio"),
    samples="trends",
)
SPREAD_TREND: Final = replace(
    TREND,
    family="spread trend",
    question="Does the spread log κ rise with every doubling of the ratio?",
    measure="log_kappa",
)
COVARIATES: Final = Hypothesis(
    "covariates",
    "How does the slope α depend on ratio, difficulty and complexity together?",
    "alpha",
    0.0,
    ("raises the slope", "lowers the slope"),
    column=_without("ratio"),
    samples="mixed model",
)
SPREAD_COVARIATES: Final = replace(
    COVARIATES,
    family="spread covariates",
    question="How does the spread log κ depend on ratio, difficulty and complexity together?",
    measure="log_kappa",
    words=("widens gaps", "narrows gaps"),
)
MODEL: Final = Hypothesis(
    "model",
    "Is the slope larger for the next smaller model?",
    "alpha",
    0.0,
    LARGER,
    expected="greater",
    factor="model",
    paired=False,
    column=_without("model"),
)
DATASET: Final = Hypothesis(
    "dataset",
    "Is the slope larger on the harder data set?",
    "alpha",
    0.0,
    LARGER,
    expected="greater",
    factor="dataset",
    paired=False,
    column=_without("dataset"),
)
METHOD: Final = Hypothesis(
    "method",
    "Do two methods differ in slope at the same ratio?",
    "alpha",
    0.0,
    LARGER,
    factor="method",
    column=_without("method"),
)
EQUIVALENCE: Final = replace(
    VERSUS_CONTROL,
    family="equivalence",
    question="Is the slope that of its own control, up to a margin?",
    kind="equivalence",
)
MODEL_EQUIVALENCE: Final = replace(
    MODEL,
    family="model equivalence",
    question="Do neighbouring models have the same slope, up to a margin?",
    expected="two-sided",
    kind="equivalence",
)
METHOD_EQUIVALENCE: Final = replace(
    METHOD,
    family="method equivalence",
    question="Do two methods have the same slope, up to a margin?",
    kind="equivalence",
)
CLASS: Final = Hypothesis(
    "class",
    "Does the recall of a class change?",
    "recall_change",
    0.0,
    ("gains", "loses"),
    column=CONDITION,
    correction="benjamini-hochberg",
    samples="classes",
)
CLASS_MARGIN: Final = replace(
    CLASS,
    family="class margin",
    question="Does a class lose no more recall than a margin?",
    expected="greater",
    correction="holm",
    kind="non-inferiority",
)

# `cell`, `ratio`, `model`, `dataset` and `method` are Good et al. (2022), section 6.
CATALOGUE: Final = (
    CELL,
    CONTROL_CELL,
    VERSUS_CONTROL,
    SPREAD,
    SPREAD_VERSUS_CONTROL,
    RATIO,
    TREND,
    SPREAD_TREND,
    COVARIATES,
    SPREAD_COVARIATES,
    MODEL,
    DATASET,
    METHOD,
    EQUIVALENCE,
    MODEL_EQUIVALENCE,
    METHOD_EQUIVALENCE,
    CLASS,
    CLASS_MARGIN,
)


def unordered(hypothesis: Hypothesis) -> Hypothesis:
    """A comparison of models without parameter counts: no smaller one, no direction to expect."""
    question = hypothesis.question
    if hypothesis.family == MODEL.family:
        question = "Do two models differ in slope?"
    return replace(hypothesis, question=question, side="two-sided", expected="two-sided")
