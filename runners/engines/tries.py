"""How often a network may end its process or lose its machine before it is given up."""

from collections import Counter
from collections.abc import Iterator, Sequence

from runners.backends import Backend
from runners.groups import Group
from runners.study import NetworkSpec
from runners.worker import Again, Message, Raised

MOST_DEATHS = 2  # of the process: in a stack any of its networks may be to blame
MOST_LOSSES = 5  # of the machine, which is seldom to do with the network


class Tries:
    """Counts what happened to networks; returns what becomes of them."""

    def __init__(self) -> None:
        self.deaths: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()

    def after_death(
        self, networks: Sequence[NetworkSpec], backend: Backend, reason: str
    ) -> Iterator[tuple[NetworkSpec, Message, Group | None]]:
        """Yield each network of a process that ended, with the group to compute next, if any."""
        for network in networks:
            self.deaths[network.run_id] += 1
            if self.deaths[network.run_id] < MOST_DEATHS:
                yield network, Again(), Group((network,), backend)
            else:
                yield network, Raised(f"{reason}, {MOST_DEATHS} times"), None

    def after_loss(
        self, networks: Sequence[NetworkSpec], backend: Backend, reason: str
    ) -> Iterator[tuple[NetworkSpec, Message, Group | None]]:
        """Yield each network of a machine that was lost; those that go on stay together."""
        self.losses.update(network.run_id for network in networks)
        going_on = [n for n in networks if self.losses[n.run_id] < MOST_LOSSES]
        group = Group(tuple(going_on), backend) if going_on else None
        for network in networks:
            if network in going_on:
                note = f"{reason}; computed again later"
                yield network, Again(note), group if network is going_on[0] else None
            else:
                yield network, Raised(f"{reason}, {MOST_LOSSES} times"), None
