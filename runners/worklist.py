"""The groups of a sweep that wait, less what other sweeps on the folder do or have done."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from distortion.log import is_complete
from runners.claims import Claims
from runners.groups import Group
from runners.study import NetworkSpec
from runners.worker import Found


class Worklist:
    """Groups to compute. What another sweep has claimed goes to the end, and is asked for again."""

    def __init__(self, groups: Iterable[Group], out: Path, claims: Claims) -> None:
        self._groups = deque(groups)
        self._out = out
        self._claims = claims

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def networks(self) -> list[NetworkSpec]:
        """The networks that wait."""
        return [network for group in self._groups for network in group.networks]

    def take(self) -> tuple[list[NetworkSpec], Group | None]:
        """Claim the next networks; return those found done, and a group if one can be computed."""
        found: list[NetworkSpec] = []
        for _ in range(len(self._groups)):
            group = self._groups.popleft()
            ours: list[NetworkSpec] = []
            theirs: list[NetworkSpec] = []
            for network in group.networks:
                claimed = self._claims.take(network)
                # only now, because the one who had the claim may have finished just before
                if is_complete(network.folder(self._out), network.run_id):
                    self._claims.release(network)
                    found.append(network)
                else:
                    (ours if claimed else theirs).append(network)
            if theirs:
                self._groups.append(replace(group, networks=tuple(theirs)))
            if ours:
                return found, replace(group, networks=tuple(ours))
        return found, None

    def again(self, group: Group) -> None:
        """Put a group of claimed networks at the end."""
        self._groups.append(group)

    def release(self, network: NetworkSpec) -> None:
        """Give up the claim on a network that has ended, however it did."""
        self._claims.release(network)


def found(waiting: deque[Group], out: Path) -> Iterator[tuple[NetworkSpec, Found]]:
    """Take away the networks of the next groups that another sweep has computed meanwhile."""
    while waiting:
        group = waiting.popleft()
        missing = []
        for network in group.networks:
            if is_complete(network.folder(out), network.run_id):
                yield network, Found()
            else:
                missing.append(network)
        if missing:
            waiting.appendleft(replace(group, networks=tuple(missing)))
            return
