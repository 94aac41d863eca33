"""Training, the one door to it: dense and fine-tuned networks, one by one or stacked.

Each replica brings its own random streams, so what trains beside it changes nothing about it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from runners.backends import Backend
from runners.datasets import Dataset
from runners.halving import in_stacks
from runners.loop import train_alone
from runners.recipe import Recipe, Schedule
from runners.replicas import Outcome, Replica
from runners.stacked import train_stack

AnyReplica = TypeVar("AnyReplica", bound=Replica)


def silent(replica: Replica, epochs: int) -> None:
    """Report nothing."""


def train(
    replicas: Iterable[AnyReplica],
    data: Dataset,
    recipe: Recipe,
    schedule: Schedule,
    backend: Backend,
    on_epoch: Callable[[AnyReplica, int], None] = silent,
) -> Iterator[tuple[AnyReplica, Outcome]]:
    """Train replicas of one architecture in place; yield each with its outcome, in order.

    They are taken when their stack begins. `on_epoch` gets a replica and how many epochs it has
    gone on; the number is negative where a stack failed and its networks start again.
    """

    def work(stack: Sequence[AnyReplica]) -> list[Outcome]:
        done: Counter[int] = Counter()
        start = time.perf_counter()

        def report(positions: Iterable[int]) -> None:
            for position in positions:
                done[position] += 1
                on_epoch(stack[position], 1)

        try:
            if backend.name == "loop":
                [replica] = stack
                outcomes = [train_alone(replica, data, recipe, schedule, lambda: report([0]))]
            else:
                outcomes = train_stack(stack, data, recipe, schedule, backend.name, report)
        except Exception:
            for position, epochs in done.items():
                on_epoch(stack[position], -epochs)
            raise
        share = (time.perf_counter() - start) / len(stack)
        return [replace(outcome, seconds=share) for outcome in outcomes]

    for replica, result in in_stacks(replicas, backend.size, work):
        yield replica, Outcome(None, error=result) if isinstance(result, Exception) else result
