"""Networks of one shape from initial weights to counts: dense, control, pruned, fine-tuned arms.

Dense networks train together, then the control and compressed copies of all of them, in stacks of
the size that the back-end gives. Each network is handed over as soon as its last cell is counted.
"""

from collections.abc import Callable, Iterator, Sequence

from runners.arms import arms, dense
from runners.backends import Backend
from runners.bench import Bench, Result, settle
from runners.checkpoints import Keep, forget
from runners.datasets import Dataset
from runners.halving import is_device_lost
from runners.report import Report
from runners.study import NetworkSpec


def run_networks(
    specs: Sequence[NetworkSpec],
    data: Dataset,
    backend: Backend,
    report_of: Callable[[NetworkSpec], Report],
    keep: Keep = forget,
) -> Iterator[tuple[NetworkSpec, Result | Exception]]:
    """Train, compress, fine-tune and count networks that differ in their seeds only.

    Yields each network once, when it is done, with what it leaves, or with the error that ended
    it. A cell whose training diverges has no rows; `provenance["failed"]` names it with the
    reason. If that is the dense cell, the table is empty. `keep` gets the network of every cell
    that was counted. An error that says that the device is lost is raised: it ends all networks.
    """
    bench = Bench(data, backend, keep)
    runs, alive = [], []
    for spec in specs:
        try:
            runs.append(bench.begin(spec, report_of(spec)))
        except Exception as error:  # whatever it is, the other networks go on
            if is_device_lost(error):
                raise
            yield spec, error
    for candidate, outcome, evaluation in bench.train(map(dense, runs)):
        run = candidate.run
        try:
            counted = settle(candidate, outcome, evaluation)
        except Exception as error:
            if is_device_lost(error):
                raise
            yield run.spec, error
            continue
        if counted:
            alive.append(run)
        else:
            yield run.spec, run.result
    broken: list[tuple[NetworkSpec, Exception]] = []
    for candidate, outcome, evaluation in bench.train(arms(alive, bench, broken)):
        run = candidate.run
        settle(candidate, outcome, evaluation)
        run.missing -= 1
        if not run.missing:
            yield run.spec, run.result
    yield from broken
