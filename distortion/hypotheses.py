"""The questions as data: what is compared, against which null value, in which direction.

The null value and the side travel inside the hypothesis, so no test can be read against the wrong
one. A *column* is what Good et al. (2022, section 6) correct over: the rows of one column of one
of their tables, here all tests of a family that agree on the `column` fields.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from distortion.designs import CONDITION
from distortion.schema import CONTROL, FINETUNED

Side = Literal["two-sided", "greater", "less"]
Factor = Literal["ratio", "model", "dataset", "method", "arm"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One family of tests.

    Attributes
    ----------
    family : its name
    question : what it asks, for readers
    measure : the column tested; a difference of two of them where `factor` is set
    null : value under the null hypothesis
    side : the alternative, of the estimate against the null
    factor : whose levels are compared; None for one sample against the null
    paired : whether compared cells share their dense network (paired t) or not (independent t)
    column : tests that agree on these fields are corrected together
    arm : rows that the estimate is about; None: whichever arm `findings` is asked for
    """

    family: str
    question: str
    measure: str
    null: float
    side: Side
    factor: Factor | None = None
    paired: bool = True
    column: tuple[str, ...] = ()
    arm: str | None = None


def _without(*fields: str) -> tuple[str, ...]:
    return tuple(c for c in CONDITION if c not in fields)


CELL: Final = Hypothesis(
    "cell",
    "Is the slope α of a model, method and ratio different from 1?",
    "alpha",
    1.0,
    "two-sided",
    column=_without("ratio"),
)
CONTROL_CELL: Final = Hypothesis(
    "control",
    "Is the slope α of the control arm (fine-tuned, nothing removed) different from 1?",
    "alpha",
    1.0,
    "two-sided",
    column=_without("ratio"),
    arm=CONTROL,
)
VERSUS_CONTROL: Final = Hypothesis(
    "versus control",
    "Is the slope of the compressed network different from its own control's?",
    "alpha",
    0.0,
    "two-sided",
    factor="arm",
    column=_without("ratio"),
    arm=FINETUNED,
)
RATIO: Final = Hypothesis(
    "ratio",
    "Is the slope larger at the next larger ratio?",
    "alpha",
    0.0,
    "greater",
    factor="ratio",
    column=_without("ratio"),
)
MODEL: Final = Hypothesis(
    "model",
    "Is the slope larger for the next smaller model?",
    "alpha",
    0.0,
    "greater",
    factor="model",
    paired=False,
    column=_without("model"),
)
DATASET: Final = Hypothesis(
    "dataset",
    "Is the slope larger on the harder data set?",
    "alpha",
    0.0,
    "greater",
    factor="dataset",
    paired=False,
    column=_without("dataset"),
)
METHOD: Final = Hypothesis(
    "method",
    "Do two methods differ in slope?",
    "alpha",
    0.0,
    "two-sided",
    factor="method",
    column=_without("method"),
)
CLASS: Final = Hypothesis(
    "class",
    "Does the recall of a class change?",
    "recall_change",
    0.0,
    "two-sided",
    column=CONDITION,
)

# Without parameter counts there is no smaller model, hence no direction to expect.
MODEL_UNORDERED: Final = replace(MODEL, question="Do two models differ in slope?", side="two-sided")

# The four comparisons and the cells are Good et al. (2022), section 6; the two control families
# and the classes are not.
CATALOGUE: Final = (CELL, CONTROL_CELL, VERSUS_CONTROL, RATIO, MODEL, DATASET, METHOD, CLASS)
