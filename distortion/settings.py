"""How the catalogue is asked: one set of options for findings, report and commands."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from distortion.catalogue import CATALOGUE
from distortion.corrections import CORRECTIONS, Correction
from distortion.errors import DesignError, did_you_mean
from distortion.fits.results.arguments import Seed, generator
from distortion.hypotheses import Hypothesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of `distortion.findings`.

    Attributes
    ----------
    arm : "finetuned" or "pruned"; default: finetuned where the log has it
    split : images counted
    level : family-wise confidence, between 0 and 1; intervals are Bonferroni-adjusted within a
        column, so 0.95 and five ratios give 99 % intervals, as in Good et al. (2022), section 6.1
    correction : of the p-values within a column; by default each family's own: Holm's, for
        screens of classes Benjamini and Hochberg's. The paper's is "bonferroni"
    one_sided : test the directions that the paper expects (larger slopes at larger ratios, of
        smaller models, on harder data sets) one-sided, as it does
    equal_variances : Student's pooled variance instead of Welch's in independent t-tests
    reference_models : by data set, the model that represents it when data sets are compared
    margin : difference of slopes α that still counts as equivalent
    class_margin : loss of recall (share) that a class may have and still count as kept
    rng : seed or generator of permutations, where they are too many to enumerate

    Raises
    ------
    DesignError
        If a value is out of its range.
    """

    arm: str | None = None
    split: str = "test"
    level: float = 0.95
    correction: Correction | None = None
    one_sided: bool = False
    equal_variances: bool = False
    reference_models: Mapping[str, str] | None = None
    margin: float = 0.1
    class_margin: float = 0.01
    rng: Seed = 0

    def __post_init__(self) -> None:
        if not isinstance(self.level, float) or not 0 < self.level < 1:
            raise DesignError(
                f"level is a confidence between 0 and 1, such as 0.95, not {self.level!r}."
            )
        if self.correction is not None and self.correction not in CORRECTIONS:
            raise DesignError(
                f"Unknown correction {self.correction!r}. "
                f"{did_you_mean(self.correction, CORRECTIONS)}"
            )
        for name in ("margin", "class_margin"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise DesignError(f"{name} is a positive difference, such as 0.1, not {value!r}.")
        generator(self.rng)

    def catalogue(self) -> tuple[Hypothesis, ...]:
        """The hypotheses with the sides and corrections asked for."""
        found = []
        for hypothesis in CATALOGUE:
            side = hypothesis.expected if self.one_sided else hypothesis.side
            correction = self.correction or hypothesis.correction
            column = hypothesis.column
            if correction == "bonferroni" and hypothesis.paper_column is not None:
                column = hypothesis.paper_column
            found.append(replace(hypothesis, side=side, correction=correction, column=column))
        return tuple(found)

    def record(self) -> dict[str, Any]:
        """The options as they stand in a report's provenance; a generator by its class."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["reference_models"] = dict(self.reference_models) if self.reference_models else None
        values["rng"] = self.rng if isinstance(self.rng, int) else type(self.rng).__name__
        return values


def chosen(options: Mapping[str, Any]) -> Settings:
    """Settings from options by name; an unknown one is refused with the nearest that exists."""
    known = {field.name for field in fields(Settings)}
    for name in options:
        if name not in known:
            raise DesignError(f"There is no option {name!r}. {did_you_mean(name, known)}")
    return Settings(**options)
