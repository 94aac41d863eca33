"""How far a study is, read from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from distortion.log import is_complete
from distortion.schema import DENSE
from runners.shards import Record, damaged, failed_cells, read_failure
from runners.study import NetworkSpec, Study


@dataclass(frozen=True, slots=True)
class Status:
    """Networks of one data set and model: how many there are, and what is wrong with which."""

    dataset: str
    model: str
    done: int
    missing: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed cells of a study, the networks that have some, and whose dense cell failed, why."""

    cells: int
    networks: int
    dense: tuple[str, ...]


def status(study: Study, out: Path) -> list[Status]:
    """Return the status of every data set and model of a study."""

    def pair(network: NetworkSpec) -> tuple[str, str]:
        return network.dataset.label, network.model.label

    grouped = groupby(sorted(study.networks, key=pair), key=pair)
    return [_status(*labels, list(networks), out) for labels, networks in grouped]


def failures(study: Study, out: Path) -> Failures:
    """Count the failed cells of the finished networks of a study, whenever they were computed."""
    cells, networks, dense = 0, 0, []
    for network in study.networks:
        failed = failed_cells(network, out)
        cells += len(failed)
        networks += bool(failed)
        reasons = [cell.get("reason") for cell in failed if cell.get("arm") == DENSE]
        dense += [f"{network} ({reason})" for reason in reasons[:1]]
    return Failures(cells, networks, tuple(dense))


def _status(dataset: str, model: str, networks: Sequence[NetworkSpec], out: Path) -> Status:
    problems, done = [], 0
    for network in networks:
        damage = damaged(network, out)
        if damage:
            problems.append(f"{network}: {damage} The next run computes it again.")
        elif is_complete(network.folder(out), network.run_id):
            done += 1
            problems += [_cell(network, cell) for cell in failed_cells(network, out)]
        elif failure := read_failure(network, out):
            problems.append(f"{network}: not computed, {failure.get('reason')}{_when(failure)}")
    return Status(dataset, model, done, len(networks) - done, tuple(problems))


def _cell(network: NetworkSpec, cell: Record) -> str:
    name = " ".join(str(cell.get(key, "?")) for key in ("arm", "method", "ratio"))
    return f"{network}: {name.removesuffix('.0')} failed: {cell.get('reason')}"


def _when(failure: Record) -> str:
    if "attempts" not in failure:
        return ""
    return f" (attempt {failure['attempts']}, {failure.get('finished')})"
