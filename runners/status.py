"""How far a study is, read from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from distortion.log import is_complete, read_provenance
from runners.shards import damaged
from runners.study import NetworkSpec, Study


@dataclass(frozen=True, slots=True)
class Status:
    """Networks of one data set and model: how many there are, and what is wrong with which."""

    dataset: str
    model: str
    done: int
    missing: int
    problems: tuple[str, ...]


def status(study: Study, out: Path) -> list[Status]:
    """Return the status of every data set and model of a study."""

    def pair(network: NetworkSpec) -> tuple[str, str]:
        return network.dataset.label, network.model.label

    grouped = groupby(sorted(study.networks, key=pair), key=pair)
    return [_status(*labels, list(networks), out) for labels, networks in grouped]


def _status(dataset: str, model: str, networks: Sequence[NetworkSpec], out: Path) -> Status:
    problems, done = [], 0
    for network in networks:
        damage = damaged(network, out)
        if damage:
            problems.append(f"{network}: {damage} The next run computes it again.")
        elif is_complete(network.folder(out), network.run_id):
            done += 1
            problems += _failures(network, out)
    return Status(dataset, model, done, len(networks) - done, tuple(problems))


def _failures(network: NetworkSpec, out: Path) -> list[str]:
    records = read_provenance(network.folder(out))
    failed = next(r["failed"] for r in records if r["run_id"] == network.run_id)
    return [
        f"{network}: {cell['arm']} {cell['method']} {cell['ratio']:g} failed: {cell['reason']}"
        for cell in failed
    ]
