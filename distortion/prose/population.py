"""Who was looked at: data sets, models, networks, methods, ratios."""

from typing import Final

from distortion.labels import clean, counted, listed
from distortion.prose.words import joined
from distortion.scope import Dataset, Scope
from distortion.tables import numbers

PLURALS: Final = {"dataset": "data set", "model": "model", "method": "method"}


def population(scope: Scope) -> str:
    """What was tested, in a sentence, and what the log has that could not be."""
    same = scope.fewest == scope.most == scope.networks
    per = "" if same else f", {networks_per_condition(scope)}"
    ratios = listed(numbers.ratio(t) for t in scope.ratios)
    done = scope.treated.split(",")[0].split(" and ")[0]
    ending = scope.treated.removeprefix(done).replace(" and ", ", then ").strip()
    joint = "" if not ending else (ending if ending.startswith(",") else f" {ending}")
    crossed = len(scope.pairs) * len(scope.methods) * len(scope.ratios)
    some = " (not every combination of these)" if scope.conditions < crossed else ""
    sentences = [
        f"This is about {counted(scope.networks, 'network')}{per}: {_trained(scope)}; {done} by "
        f"{listed(scope.methods)} to {'ratio' if len(scope.ratios) == 1 else 'ratios'} "
        f"{ratios}{joint}{some}."
    ]
    if scope.untested:
        rest = [
            f"{PLURALS[factor]}{'s' if len(names) > 1 else ''} {listed(names)}"
            for factor, names in scope.untested
        ]
        sentences.append(
            f"The log has nothing on the arm {scope.arm} and the split “{clean(scope.split)}” for "
            f"{joined(rest)}: what follows is not about them."
        )
    return " ".join(sentences)


def networks_per_condition(scope: Scope) -> str:
    """`10 per condition`, `3 to 10 per condition`."""
    each = f"{scope.fewest}" if scope.fewest == scope.most else f"{scope.fewest} to {scope.most}"
    return f"{each} per condition"


def _trained(scope: Scope) -> str:
    """Which models were trained on which data sets; each by itself where they are not crossed."""
    sizes = {d.name: _size(d, scope.split) for d in scope.datasets}
    alike = len(sizes) > 1 and len(set(sizes.values())) == 1
    each = f" ({next(iter(sizes.values()))} each)" if alike else ""
    named = {d: clean(d) if alike else f"{clean(d)} ({size})" for d, size in sizes.items()}
    if len(scope.pairs) == len(scope.datasets) * len(scope.models):
        noun = "model" if len(scope.models) == 1 else "models"
        return f"{noun} {listed(scope.models)}, trained on {joined(list(named.values()))}{each}"
    parts = [
        f"{listed(m for d, m in scope.pairs if d == name)} on {shown}"
        for name, shown in named.items()
    ]
    return f"{joined(parts)}{each}"


def _size(dataset: Dataset, split: str) -> str:
    images = counted(dataset.images, f"{split} image")
    return f"{counted(dataset.classes, 'class', 'classes')}, {images}"
