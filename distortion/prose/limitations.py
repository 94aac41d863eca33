"""Limitations: each one a sentence that appears exactly when the facts call for it."""

from collections.abc import Callable
from typing import Final

from distortion.labels import counted, listed
from distortion.schema import FINETUNED
from distortion.scope import Scope
from distortion.tables import numbers

FEW: Final = 5
MODERATE: Final = 10
FEW_CLASSES: Final = 10
RATIO_TOLERANCE: Final = 0.02
ACCURACY_TOLERANCE: Final = 0.02

Limitation = Callable[[Scope], str | None]


def no_control(scope: Scope) -> str | None:
    """S5: without a control arm, pruning and further training are one treatment."""
    if scope.has_control:
        return None
    more = " and from the further training that follows" if scope.arm == FINETUNED else ""
    return (
        "No control arm: no network was fine-tuned with nothing removed. What is reported is the "
        f"difference between dense and {scope.treated} networks; how much of it comes from the "
        f"removal of weights{more}, these data cannot tell."
    )


def part_control(scope: Scope) -> str | None:
    """S5: a control arm for some conditions only."""
    if not scope.has_control or not scope.uncontrolled:
        return None
    return (
        f"{scope.uncontrolled} of {counted(scope.conditions, 'condition')} without a control arm: "
        "there, what the removal of weights does cannot be told from what further training does, "
        "and comparisons with the control are about the others only."
    )


def few_networks(scope: Scope) -> str | None:
    """Section 3.4: what so few networks can resolve."""
    fewest, most = scope.fewest, scope.most
    if fewest >= MODERATE:
        return None
    networks = f"{counted(fewest, 'network')} per condition"
    if most > fewest:
        networks = f"{fewest} to {counted(most, 'network')} per condition"
    if most == 1:
        return (
            "One network per condition: nothing can be tested, and another seed may give other "
            "numbers."
        )
    if fewest < FEW:
        return (
            f"Only {networks}: even how much networks vary is poorly known, only large effects can "
            "be detected, and an undecided test says little."
        )
    return f"{networks}: small effects go undetected, and an undecided test says little."


def one_dataset(scope: Scope) -> str | None:
    """S6: the scope of the claims."""
    names = [d.name for d in scope.datasets]
    if len(names) == 1:
        return (
            f"One data set: conclusions are about the classes of {listed(names)}, not about "
            "compression in general."
        )
    return (
        f"{len(names)} data sets stand for themselves: they are too few, and were not drawn at "
        "random, to speak for data sets in general."
    )


def one_model(scope: Scope) -> str | None:
    """S6: the scope of the claims."""
    if len(scope.models) > 1:
        return None
    return (
        f"One model: whether other architectures than {listed(scope.models)} behave alike is open."
    )


def few_classes(scope: Scope) -> str | None:
    """Section 3.3: a slope is a line through as many points as there are classes."""
    few = [d for d in scope.datasets if d.classes <= FEW_CLASSES]
    if not few:
        return None
    sizes = sorted({d.classes for d in few})
    number = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return (
        f"Few classes: a slope of {listed(d.name for d in few)} is a line through {number} points, "
        "and a single class can carry it; the diagnostics say how far one does."
    )


def unbalanced(scope: Scope) -> str | None:
    """S8: the line through the origin."""
    names = [d.name for d in scope.datasets if not d.balanced]
    if not names:
        return None
    return (
        f"Classes of unequal size in the test images of {listed(names)}: balances then do not sum "
        "to zero over classes, and a slope through the origin is only approximate."
    )


def dilution(scope: Scope) -> str | None:
    """S3: noise in the dense balances."""
    remedy = (
        " The control arm is diluted alike, so that comparisons with it are fairer."
        if scope.has_control
        else ""
    )
    return (
        "Regression dilution: the dense recalls carry noise (seed, finite test set), which pulls α "
        "below 1 even where nothing changes. A slope below 1 is therefore weak evidence; the "
        f"spread κ decides what it is called.{remedy}"
    )


def falling_accuracy(scope: Scope) -> str | None:
    """S2: gaps widen by themselves when accuracy falls."""
    if scope.accuracy_lost < ACCURACY_TOLERANCE:
        return None
    return (
        f"Accuracy falls by up to {numbers.fixed(100 * scope.accuracy_lost, 1)} points. Gaps "
        "between classes widen by themselves as accuracy falls, so a slope above 1 at lower "
        "accuracy need not mean that weak classes were singled out. Compare methods at equal "
        "accuracy, not only at equal ratio."
    )


def achieved_ratio(scope: Scope) -> str | None:
    """S12: asked against achieved."""
    if scope.ratio_error is None:
        return (
            "The achieved ratios are unknown (no column n_remaining): methods are compared at the "
            "ratio asked for, which some of them may not reach."
        )
    if scope.ratio_error <= RATIO_TOLERANCE:
        return None
    return (
        "Achieved ratios differ from those asked for by up to "
        f"{numbers.percent(scope.ratio_error)}: methods at one nominal ratio do not remove "
        "equally much."
    )


def undefined_slopes(scope: Scope) -> str | None:
    """Cells without a slope."""
    if not scope.undefined:
        return None
    dead = f"; {counted(scope.dead, 'cell')} in the log have accuracy 0" if scope.dead else ""
    return (
        f"{counted(scope.undefined, 'undefined slope')} left out: a dense network whose recalls "
        f"are all equal has no pattern to compare with, one of accuracy 0 no balance{dead}."
    )


def incomplete(scope: Scope) -> str | None:
    """Cells that other networks have."""
    if not scope.missing and not scope.failed:
        return None
    return (
        f"{counted(scope.missing, 'cell')} missing, {counted(scope.failed, 'cell')} recorded as "
        "failed: if networks fail where recall is most distorted, the rest look better than they "
        "are."
    )


def noted(scope: Scope) -> str | None:
    """What reading the log already warned about."""
    return " ".join(scope.notes) or None


def one_test_set(scope: Scope) -> str | None:
    """S4: the target of the intervals."""
    return (
        "All networks are judged on the same test images: intervals show the variation between "
        "networks (seeds) on these very images, and what is peculiar to them does not average out "
        "over seeds. Other images of the same classes would add to it."
    )


def untested_images(scope: Scope) -> str | None:
    """S13: the images that may have chosen the checkpoint."""
    if scope.provenance:
        return None
    return (
        "No provenance came with the log: whether the images counted also chose checkpoints or "
        "settings, as in some published code, is unknown."
    )


def uncorrected(scope: Scope) -> str | None:
    """S10: the families of tests."""
    if scope.settings.correction == "none":
        return "p-values are not corrected for the number of tests: some will be small by chance."
    return (
        "p-values are corrected within a column of a family of tests, as in the paper, not over "
        "the whole report; the multiplicity section counts them."
    )


def own_definition(scope: Scope) -> str | None:
    """Appendix F was not at hand."""
    return (
        "The variance of recall balance divides by the number of classes, which is our reading of "
        "the paper's appendix F."
    )


LIMITATIONS: Final[tuple[Limitation, ...]] = (
    no_control,
    part_control,
    few_networks,
    one_dataset,
    one_model,
    few_classes,
    unbalanced,
    dilution,
    falling_accuracy,
    achieved_ratio,
    undefined_slopes,
    incomplete,
    noted,
    one_test_set,
    untested_images,
    uncorrected,
    own_definition,
)


def limitations(scope: Scope) -> list[str]:
    """The limitations that hold, most serious first."""
    return [text for limitation in LIMITATIONS if (text := limitation(scope))]
