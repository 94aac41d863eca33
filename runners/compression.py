"""From a dense network to its compressed copies: all methods and ratios of its study."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import torch

from runners.halving import is_device_lost
from runners.methods import METHODS
from runners.methods.method import Compressed, MethodSpec, Parent
from runners.replicas import Training


@dataclass(frozen=True, slots=True)
class Unmade:
    """The ratios at which a method made no network, and why."""

    ratios: tuple[float, ...]
    error: Exception


Made = tuple[MethodSpec, Compressed | Unmade]
Step = Training | Made


def compress(parent: Parent, methods: Sequence[MethodSpec]) -> Generator[Step, None, None]:
    """Yield the compressed copies of a network, method by method, those that match others last.

    In between come trainings that a method needs on the way: whoever iterates does them in place,
    and throws into the generator what went wrong. A method that raises ends with an `Unmade`,
    and the others go on.

    Raises
    ------
    Exception
        What the last method raised, if no method made anything; that the device is lost.
    """
    reached: dict[str, dict[float, int]] = {}
    matched_last = sorted(methods, key=lambda spec: spec.match is not None)
    for spec in matched_last:
        method, made = METHODS[spec.name], reached.setdefault(spec.label, {})
        matching = parent if spec.match is None else replace(parent, reached=reached[spec.match])
        unmade = None
        try:
            for step in method.compress(matching, spec):
                if isinstance(step, Training):
                    yield step
                else:
                    made[step.ratio] = step.n_remaining
                    yield spec, step
        except Exception as error:  # whatever it is, the other methods go on
            nothing_made = spec is matched_last[-1] and not any(reached.values())
            if nothing_made or is_device_lost(error):
                raise
            ratios = method.ratios(spec, parent.ratios)
            unmade = Unmade(tuple(ratio for ratio in ratios if ratio not in made), error)
        if unmade is not None:
            torch.cuda.empty_cache()  # in case memory ran out; without a GPU nothing happens
            yield spec, unmade
