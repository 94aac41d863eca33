"""The catalogue of questions; their answers are `distortion.findings`.

`cell`, `ratio`, `model`, `dataset` and `method` are those of Good et al. (2022), section 6.
"""

from dataclasses import replace
from typing import Final

from distortion.designs import CONDITION
from distortion.hypotheses import Hypothesis
from distortion.schema import CONTROL, FINETUNED


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
ASSOCIATION: Final = Hypothesis(
    "association",
    "Are the same classes ahead and behind as before?",
    "rho",
    0.0,
    ("same classes lead", "other classes lead"),
    side="greater",
    expected="greater",
    column=_without("ratio"),
    samples="association",
)
BETWEEN: Final = Hypothesis(
    "between",
    "Is the slope of the class pattern that networks share, free of seed noise, different from 1?",
    "between",
    1.0,
    ("class pattern widens", "class pattern narrows"),
    column=_without("ratio"),
    samples="repaired",
)
EXCESS: Final = Hypothesis(
    "excess",
    "Do gaps widen more than a loss of accuracy that spares no class would make them?",
    "log_kappa_excess_corrected",
    0.0,
    ("wider than accuracy explains", "narrower than accuracy explains"),
    column=_without("ratio"),
    samples="null",
)
LATENT: Final = Hypothesis(
    "latent",
    "On the logit scale, do classes draw apart (γ above 1) or together?",
    "gamma",
    1.0,
    ("classes draw apart", "classes draw together"),
    column=_without("ratio"),
    samples="latent",
)
LATENT_VERSUS_CONTROL: Final = replace(
    LATENT,
    family="latent versus control",
    question="On the logit scale, do classes draw apart more than in the control?",
    measure="gamma_vs_control",
    null=0.0,
)
LATENT_TREND: Final = replace(
    LATENT,
    family="latent trend",
    question="On the logit scale, do classes draw apart with every doubling of the ratio?",
    measure="gamma_trend",
    null=0.0,
    words=RISES,
    column=_without("method", "ratio"),
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
    column=_without("model", "method", "ratio"),
    paper_column=_without("model"),
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
    column=_without("dataset", "model", "recipe", "study", "method", "ratio"),
    paper_column=_without("dataset"),
)
METHOD: Final = Hypothesis(
    "method",
    "Do two methods differ in slope at the same ratio?",
    "alpha",
    0.0,
    LARGER,
    factor="method",
    column=_without("method", "ratio"),
    paper_column=_without("method"),
)
EQUAL_RATIO: Final = replace(
    METHOD,
    family="method at equal achieved ratio",
    question="Do two methods differ in slope where they removed equally much?",
    samples="equal ratio",
)
EQUAL_ACCURACY: Final = replace(
    METHOD,
    family="method at equal accuracy",
    question="Do two methods differ in slope where they are equally accurate?",
    samples="equal accuracy",
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
EXCESS_EQUIVALENCE: Final = replace(
    EXCESS,
    family="excess equivalence",
    question="Do gaps widen as much as lost accuracy alone would make them, up to a margin?",
    kind="equivalence",
)
LATENT_EQUIVALENCE: Final = replace(
    LATENT,
    family="latent equivalence",
    question="On the logit scale, do gaps between classes stay what they were, up to a margin?",
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

CATALOGUE: Final = (
    CELL,
    CONTROL_CELL,
    VERSUS_CONTROL,
    SPREAD,
    SPREAD_VERSUS_CONTROL,
    ASSOCIATION,
    BETWEEN,
    EXCESS,
    LATENT,
    LATENT_VERSUS_CONTROL,
    RATIO,
    TREND,
    SPREAD_TREND,
    LATENT_TREND,
    COVARIATES,
    SPREAD_COVARIATES,
    MODEL,
    DATASET,
    METHOD,
    EQUAL_RATIO,
    EQUAL_ACCURACY,
    EQUIVALENCE,
    MODEL_EQUIVALENCE,
    METHOD_EQUIVALENCE,
    EXCESS_EQUIVALENCE,
    LATENT_EQUIVALENCE,
    CLASS,
    CLASS_MARGIN,
)


def unordered(hypothesis: Hypothesis) -> Hypothesis:
    """A comparison of models without parameter counts: no smaller one, no direction to expect."""
    question = hypothesis.question
    if hypothesis.family == MODEL.family:
        question = "Do two models differ in slope?"
    return replace(hypothesis, question=question, side="two-sided", expected="two-sided")
