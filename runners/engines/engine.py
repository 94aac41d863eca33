"""What the sweep asks of an engine."""

from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

from runners.backends import Backend
from runners.datasets import Dataset
from runners.groups import Group
from runners.study import NetworkSpec
from runners.tuning import Notes
from runners.worker import Message, Setup

Messages = Generator[tuple[NetworkSpec, Message], None, None]


class Engine(Protocol):
    """Where networks are computed."""

    def settle(self, device: str, jobs: int | None) -> tuple[str, int]:
        """Return the device, "cpu" or "cuda" also for "auto", and how many groups run at once."""

    def choose(
        self, wanted: str, network: NetworkSpec, data: Dataset, setup: Setup, jobs: int
    ) -> tuple[Backend, Notes]:
        """Return the back-end for networks like this one, as `tuning.choose` does, found there."""

    def compute(
        self, groups: Sequence[Group], jobs: int, setup: Setup, datasets: Mapping[str, Dataset]
    ) -> Messages:
        """Compute groups, write their shards, yield the messages of networks as they come.

        Every network ends with exactly one `Finished`, `Found` or `Raised`. `datasets` are those
        of the study by label, on the CPU.
        """
