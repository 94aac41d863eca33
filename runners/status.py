"""How far a study is, read from its folder."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distortion.log import is_complete
from distortion.schema import ARMS, CONTROL, DENSE
from runners.claims import is_claimed
from runners.groups import Shape, shape_of
from runners.methods import METHODS
from runners.shards import Record, damaged, failed_cells, finished_record, read_failure
from runners.study import NetworkSpec, Study
from runners.tables import clock

Place = tuple[str, str, float]  # arm, method and ratio of a cell


@dataclass(slots=True)
class Status:
    """Networks of one data set, model and recipe: how far they are, and what is wrong with which.

    missing     seeds of the networks that are not done
    running     networks that a sweep computes now
    expected    cells that the study asks for, by arm
    counted     those that have rows, by arm
    failed      cells that failed, by arm, method and ratio
    seconds     of one worker, for each network that is done
    """

    dataset: str
    model: str
    recipe: str
    done: int = 0
    missing: list[int] = field(default_factory=list)
    running: int = 0
    expected: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    failed: Counter[Place] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table of completeness."""
        cells = [f"{self.counted[arm]}/{self.expected[arm]}" for arm in ARMS]
        networks = f"{self.done}/{self.done + len(self.missing)}"
        failed, running = str(self.failed.total() or ""), str(self.running or "")
        seeds = ranges(self.missing)
        return (self.dataset, self.model, self.recipe, networks, *cells, failed, running, seeds)


HEAD = ("data set", "model", "recipe", "networks", *ARMS, "failed", "running", "missing seeds")


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed cells of a study, the networks that have some, and whose dense cell failed, why."""

    cells: int
    networks: int
    dense: tuple[str, ...]


def status(study: Study, out: Path) -> list[Status]:
    """Return the status of every data set, model and recipe of a study."""
    by_shape: dict[Shape, list[NetworkSpec]] = {}
    for network in study.networks:
        by_shape.setdefault(shape_of(network), []).append(network)
    return [_status(Status(*shape), networks, out) for shape, networks in by_shape.items()]


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


def failure_matrix(states: Iterable[Status]) -> list[tuple[str, ...]]:
    """Return how many cells failed by arm and method, and by ratio; empty if none did."""
    failed: Counter[Place] = sum((state.failed for state in states), Counter())
    ratios = sorted({ratio for _, _, ratio in failed})
    kinds = sorted({(ARMS.index(arm), arm, method) for arm, method, _ in failed})
    rows = [
        (arm, method, *(str(failed[arm, method, ratio] or "") for ratio in ratios))
        for _, arm, method in kinds
    ]
    return [("failed", "method", *(f"{ratio:g}" for ratio in ratios)), *rows] if rows else []


def time_left(study: Study, states: Sequence[Status], out: Path) -> str:
    """Return in words how long the missing networks will take, as far as finished ones tell."""
    missing = [state for state in states if state.missing]
    if not missing:
        return "complete"
    known = [state for state in missing if state.seconds]
    if not known:
        return "time left: unknown, because no network like the missing ones is done"
    left = sum(len(s.missing) * sum(s.seconds) / len(s.seconds) for s in known)
    records = [finished_record(network, out) for network in study.networks]
    latest = max(records, key=lambda record: str(record.get("finished", "")))
    workers = min(latest.get("workers", 1), sum(len(state.missing) for state in missing))
    least = "at least" if len(known) < len(missing) else "about"
    return (
        f"time left: {least} {clock(left / workers)} with {workers} worker(s), as in the last run"
    )


def ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers in short: 0-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _status(state: Status, networks: Sequence[NetworkSpec], out: Path) -> Status:
    for network in networks:
        state.expected += _expected(network)
        damage = damaged(network, out)
        if not damage and is_complete(network.folder(out), network.run_id):
            _add_finished(state, network, finished_record(network, out))
            continue
        state.missing.append(network.seed)
        state.running += is_claimed(network, out)
        if damage:
            state.problems.append(f"{network}: {damage} The next run computes it again.")
        elif failure := read_failure(network, out):
            reason = failure.get("reason")
            state.problems.append(f"{network}: not computed, {reason}{_when(failure)}")
    state.missing.sort()
    return state


def _expected(network: NetworkSpec) -> Counter[str]:
    """Return how many cells a network will have, by arm."""
    cells = Counter({DENSE: 1, CONTROL: 1})
    for spec in network.methods:
        method = METHODS[spec.name]
        cells += Counter(dict.fromkeys(method.arms, len(method.ratios(spec, network.ratios))))
    return cells


def _add_finished(state: Status, network: NetworkSpec, record: Record) -> None:
    state.done += 1
    state.seconds.append(sum(record.get("seconds", {}).values()))
    state.counted += Counter(str(cell.get("cell")).partition(" ")[0] for cell in record["cells"])
    reasons: dict[str, dict[Place, None]] = {}  # a cell fails in several splits at once
    for cell in record["failed"]:
        place = str(cell.get("arm")), str(cell.get("method")), float(cell.get("ratio", 1))
        reasons.setdefault(str(cell.get("reason")), {})[place] = None
    for reason, places in reasons.items():
        state.failed += Counter(places.keys())
        names = "; ".join(f"{arm} {method} {ratio:g}" for arm, method, ratio in places)
        state.problems.append(f"{network}: {len(places)} cell(s) failed ({names}): {reason}")


def _when(failure: Record) -> str:
    if "attempts" not in failure:
        return ""
    return f" (attempt {failure['attempts']}, {failure.get('finished')})"
