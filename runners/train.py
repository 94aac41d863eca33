"""Training, the one door to it: dense and fine-tuned networks, one by one or stacked.

Each network brings its own random streams, so what trains beside it changes nothing about it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from runners.backends import Backend
from runners.datasets import Dataset
from runners.halving import in_stacks
from runners.loop import train_alone
from runners.recipe import Recipe, Schedule
from runners.replicas import Outcome, Training
from runners.stacked import train_stack


def silent(training: Training, epochs: int) -> None:
    """Report nothing."""


def train(
    trainings: Iterable[Training],
    data: Dataset,
    backend: Backend,
    on_epoch: Callable[[Training, int], None] = silent,
) -> Iterator[tuple[Training, Outcome]]:
    """Train networks of one architecture in place; yield each with its outcome.

    Those of the same recipe and schedule are stacked, in their order, and taken as stacks fill.
    `on_epoch` gets a training and how many epochs it has gone on; the number is negative where a
    stack failed and its networks start again.
    """

    def work(stack: Sequence[Training]) -> list[Outcome]:
        done: Counter[int] = Counter()
        recipe, schedule = _way(stack[0])
        replicas = [training.replica for training in stack]
        start = time.perf_counter()

        def report(positions: Iterable[int]) -> None:
            for position in positions:
                done[position] += 1
                on_epoch(stack[position], 1)

        try:
            if backend.name == "loop":
                [replica] = replicas
                outcomes = [train_alone(replica, data, recipe, schedule, lambda: report([0]))]
            else:
                outcomes = train_stack(replicas, data, recipe, schedule, backend, report)
        except Exception:
            for position, epochs in done.items():
                on_epoch(stack[position], -epochs)
            raise
        share = (time.perf_counter() - start) / len(stack)
        return [replace(outcome, seconds=share) for outcome in outcomes]

    for training, result in in_stacks(trainings, backend.size, work, _way):
        yield training, Outcome(None, error=result) if isinstance(result, Exception) else result


def _way(training: Training) -> tuple[Recipe, Schedule]:
    return training.recipe, training.schedule
