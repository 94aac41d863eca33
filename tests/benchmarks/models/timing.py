"""What every Python runner shares: arguments, the clock, peak memory, one line of JSON.

A runner is `python -m tests.benchmarks.models.run_PEER PARQUET WORKLOAD MODE BUDGET`, started in
the repository's root. MODE is `reml`, `ml`, `df` (REML and Satterthwaite degrees of freedom) or
`bootstrap` (refits to simulated responses; the fit itself is not timed). The first fit is timed,
then more until BUDGET seconds. Nothing but `workloads` is imported from here: a runner works in the
peers' own environment.
"""

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.models.workloads import Workload, workload

MOST = 50  # fits of one table in one process
REFITS = 1000  # of the parametric bootstrap


def arguments() -> tuple[str, Workload, str, float]:
    """Path of the table, workload, mode, budget in seconds."""
    path, name, mode, budget = sys.argv[1:5]
    return path, workload(name), mode, float(budget)


def measure(fit: Callable[[], dict[str, Any]], version: str, budget: float, **more: Any) -> None:
    """Time `fit` again and again; print seconds, memory and what it returns."""
    before = _reset_peak()
    seconds: list[float] = []
    said: dict[str, Any] = {}
    while not seconds or (sum(seconds) < budget and len(seconds) < MOST):
        start = time.perf_counter()
        said = fit()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            peak = _peak()
    line = {"version": version, "seconds": seconds, "data_mib": before, "peak_mib": peak}
    print(json.dumps(line | said | more))


def refuse(reason: str) -> None:
    """Say that this peer cannot do it, and stop."""
    print(json.dumps({"skipped": reason}))
    raise SystemExit(0)


def _reset_peak() -> float:
    """Forget memory used while loading, where the system allows it; present use in MiB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
