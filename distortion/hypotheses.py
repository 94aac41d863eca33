"""The questions as data: what is compared, against which null value, in which direction.

The null value and the side travel inside the hypothesis, so no test can be read against the wrong
one. Tests of a family that agree on the `column` fields are corrected together: all ratios of one
method on one model, all comparisons of models or data sets, all pairs of methods at all ratios.
Good et al. (2022, section 6) correct over the rows of one column of one of their tables instead
(`paper_column`), by Bonferroni's method, and test the directions that they expect (`expected`)
one-sided; both are done when asked for.
"""

from dataclasses import dataclass
from typing import Literal

from distortion.corrections import Correction

Side = Literal["two-sided", "greater", "less"]
Factor = Literal["ratio", "model", "dataset", "method", "arm"]
Kind = Literal["difference", "equivalence", "non-inferiority"]
Samples = Literal[
    "cells",
    "trends",
    "classes",
    "mixed model",
    "repaired",
    "association",
    "null",
    "latent",
    "equal accuracy",
    "equal ratio",
]


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
    column, paper_column : tests that agree on these fields are corrected together; by default and
        with the paper's correction, where that is another
    correction : of p-values within a column
    arm : rows that the estimate is about; None: whichever arm `findings` is asked for
    samples : what is tested: values of cells, trends of networks over log2 ratio, classes, terms
        of a mixed model, a repaired slope, an association, the excess over the accuracy-matched
        null, parameters of the structural model, methods at equal accuracy or achieved ratio
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
    paper_column: tuple[str, ...] | None = None
    correction: Correction = "holm"
    arm: str | None = None
    samples: Samples = "cells"
    kind: Kind = "difference"
