"""Our runners: one network after the other, or stacks."""

import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import polars as pl

from runners import train
from runners.backends import Backend
from runners.datasets import Dataset
from runners.networkrun import run_networks
from runners.report import silent
from runners.study import NetworkSpec
from tests.benchmarks.training.work import Count, Done


def run(specs: Sequence[NetworkSpec], data: Dataset, backend: Backend) -> Done:
    """Compute networks of one shape."""
    seconds = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            start = time.perf_counter()
            returned = function(*given)
            seconds[0] += time.perf_counter() - start
            return returned

        return call

    counts: list[Count] = []
    with (
        patch.object(train, "train_stack", timed(train.train_stack)),
        patch.object(train, "train_alone", timed(train.train_alone)),
    ):
        for spec, result in run_networks(specs, data, backend, lambda _: silent):
            if isinstance(result, Exception):
                raise result
            counts += _counts(spec, result[0])
    return Done(counts, seconds[0])


def _counts(spec: NetworkSpec, table: pl.DataFrame) -> list[Count]:
    cells = table.group_by("arm", "ratio", maintain_order=True).agg("correct", pl.sum("n"))
    return [
        Count(spec.model.label, spec.seed, arm, ratio, tuple(correct), n)
        for arm, ratio, correct, n in cells.iter_rows()
    ]
