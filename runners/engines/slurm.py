"""SLURM through submitit: a job per group, in arrays; jobs write their shards themselves.

The folder of the log must be shared by all nodes. Jobs go on when this process is stopped; the
same command finds them again and follows them.
"""

import json
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError

from distortion.errors import StudyError
from distortion.log import is_complete
from distortion.places import put
from runners.backends import LOOP, Backend
from runners.datasets import Dataset
from runners.engines.engine import Messages
from runners.engines.letters import Letterbox
from runners.engines.options import Value
from runners.engines.orders import Errand, Order
from runners.engines.tries import Tries
from runners.groups import Group
from runners.study import NetworkSpec
from runners.tuning import Notes
from runners.worker import Again, Found, Message, Setup, Step
from runners.worklist import found

JOBS = 8  # at once, where --jobs does not say
MOST = 500  # jobs of an array; SLURM's own limit is 1001 unless the site changed it
MINUTES = 240  # of a job, where no option says
FOLDER = ".jobs"  # within that of the study


@dataclass(frozen=True)
class Followed:
    """A job in the queue or running, its letters, and who of its group is not done, by run id."""

    job: Any
    box: Letterbox
    backend: Backend
    missing: dict[str, NetworkSpec]
    slip: Path


class Submitit:
    """Jobs of SLURM, or with cluster=local processes of submitit on this machine.

    Of the options, `cluster` and `poll` (seconds between two looks at the jobs) are meant for this
    class; submitit takes all others: timeout_min, mem_gb, cpus_per_task, gpus_per_node,
    slurm_partition, slurm_account, slurm_max_num_timeout, ...
    """

    def __init__(self, options: Mapping[str, Value], note: Callable[[str], None]) -> None:
        self.parameters: dict[str, Any] = dict(options)
        self.cluster = self.parameters.pop("cluster", "slurm")
        self.poll = self.parameters.pop("poll", 5.0)
        self.note = note
        if self.cluster not in ("slurm", "local") or not isinstance(self.poll, int | float):
            raise StudyError('--engine submitit: cluster is "slurm" or "local"; poll is a number.')

    def settle(self, device: str, jobs: int | None) -> tuple[str, int]:
        """Choose GPUs if the options ask for some; by default, `JOBS` jobs at once."""
        asks = [key for key in self.parameters if "gpu" in key or "gres" in key]
        if device == "auto":
            device = "cuda" if asks else "cpu"
        if device == "cuda" and not asks:
            self.parameters["gpus_per_node"] = 1
        return device, jobs or JOBS

    def choose(
        self, wanted: str, network: NetworkSpec, data: Dataset, setup: Setup, jobs: int
    ) -> tuple[Backend, Notes]:
        """Measure in a job of its own, unless there is nothing to choose."""
        if wanted == LOOP.name:
            return LOOP, ()
        executor = self._executor(_folder(network, setup), jobs)
        job = executor.submit(Errand(wanted, network, shared(setup)))
        self.note(f"Job {job.job_id} measures how to train {network.model.label}; waiting for it.")
        try:
            return job.result()
        except (FailedJobError, UncompletedJobError) as error:
            raise StudyError(
                f"Job {job.job_id} could not choose how to train {network.model.label} "
                f"({_last_line(str(error))}). Its logs are in {executor.folder}."
            ) from error

    def compute(
        self, groups: Sequence[Group], jobs: int, setup: Setup, datasets: Mapping[str, Dataset]
    ) -> Messages:
        """Submit groups, follow jobs by what they write; those of an earlier call as well."""
        if not groups:
            return
        setup = shared(setup)
        folder = _folder(groups[0].networks[0], setup)
        executor = self._executor(folder, jobs)
        followed, waiting = self._adopt(folder, groups)
        most, step = (jobs, 1) if self.cluster == "local" else (2 * MOST, MOST)
        tries = Tries()
        yield from found(waiting, setup.out)
        while waiting or followed:
            room = most - len(followed)
            if room >= min(step, len(waiting)) > 0:
                orders = [waiting.popleft() for _ in range(min(room, step, len(waiting)))]
                followed += self._submit(executor, orders, setup)
            time.sleep(self.poll)
            for item in list(followed):
                over = _is_over(item.job)  # before the last look at what it has written
                yield from _read(item)
                if over:
                    for network, message, again in _afterwards(item, setup.out, tries):
                        yield network, message
                        waiting += [again] if again else []
                if over or not item.missing:
                    followed.remove(item)
                    _put_away(item)

    def _submit(self, executor: Any, groups: Sequence[Group], setup: Setup) -> list[Followed]:
        """Submit groups as an array; leave a slip of each job, to find it again."""
        folder = Path(executor.folder)
        names = [uuid.uuid4().hex for _ in groups]
        orders = [
            Order(setup, group, folder / f"{name}.letters")
            for group, name in zip(groups, names, strict=True)
        ]
        with executor.batch():
            jobs = [executor.submit(order) for order in orders]
        followed = []
        for job, order, name in zip(jobs, orders, names, strict=True):
            missing = {network.run_id: network for network in order.group.networks}
            slip = folder / f"{name}.job"
            put(slip, json.dumps({"job": job.job_id, "networks": list(missing)}).encode())
            box = Letterbox(order.letters)
            followed.append(Followed(job, box, order.group.backend, missing, slip))
        self.note(
            f"Submitted {len(jobs)} job(s), the first {jobs[0].job_id}. They go on if this command "
            "is stopped, and the same command follows them again."
        )
        return followed

    def _adopt(self, folder: Path, groups: Sequence[Group]) -> tuple[list[Followed], deque[Group]]:
        """Return jobs of an earlier call that still run, and the groups without their networks."""
        backends = {n.run_id: (n, group.backend) for group in groups for n in group.networks}
        kind: Any = submitit.LocalJob if self.cluster == "local" else submitit.SlurmJob
        followed, taken = [], set[str]()
        for slip in sorted(folder.glob("*.job")):
            box = Letterbox(slip.with_suffix(".letters"))
            try:
                record = json.loads(slip.read_bytes())
                job, theirs = kind(folder, record["job"]), record["networks"]
            except (ValueError, KeyError, TypeError):  # damaged
                job, theirs = None, []
            mine = [r for r in theirs if r in backends and r not in taken]
            if not mine or _is_over(job):
                slip.unlink()
                box.path.unlink(missing_ok=True)
                continue
            missing = {run_id: backends[run_id][0] for run_id in mine}
            followed.append(Followed(job, box, backends[mine[0]][1], missing, slip))
            taken |= missing.keys()
        if followed:
            self.note(f"Following {len(followed)} job(s) submitted before.")
        left = deque[Group]()
        for group in groups:
            networks = tuple(n for n in group.networks if n.run_id not in taken)
            if networks:
                left.append(replace(group, networks=networks))
        return followed, left

    def _executor(self, folder: Path, jobs: int) -> Any:
        """Return submitit's executor with the options."""
        parameters = {"name": "distortion", **self.parameters}
        if not {"timeout_min", "slurm_time"} & parameters.keys():
            parameters["timeout_min"] = MINUTES
        if self.cluster == "slurm":
            parameters.setdefault("slurm_array_parallelism", jobs)
        most = {k: parameters.pop(k) for k in list(parameters) if k.endswith("max_num_timeout")}
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster, **most)
            executor.update_parameters(**parameters)
        except (RuntimeError, NameError, ValueError, TypeError, AssertionError) as error:
            raise StudyError(f"--engine submitit: {error}") from None
        return executor


def shared(setup: Setup) -> Setup:
    """Return a setup with paths that hold in a job; raise StudyError if the log is no folder."""
    if not isinstance(setup.out, Path):
        raise StudyError(
            f"--engine submitit: {setup.out} is no folder. Jobs write to one that all nodes share; "
            "choose it with -o."
        )
    return replace(setup, out=setup.out.absolute(), data_root=setup.data_root.absolute())


def _folder(network: NetworkSpec, setup: Setup) -> Path:
    folder = network.folder(shared(setup).out).parents[1] / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read(item: Followed) -> Iterator[tuple[NetworkSpec, Message]]:
    """Yield what a job has written since the last time."""
    for run_id, message in item.box.empty():
        network = item.missing.get(run_id)
        if network is None:
            continue
        if not isinstance(message, Step | Again):
            del item.missing[run_id]
        yield network, message


def _afterwards(
    item: Followed, out: Path, tries: Tries
) -> Iterator[tuple[NetworkSpec, Message, Group | None]]:
    """Yield what becomes of the networks that a job which is over has not reported as done."""
    dead = []
    for network in item.missing.values():
        if is_complete(network.folder(out), network.run_id):
            yield network, Found(), None
        else:
            dead.append(network)
    if dead:
        said = _last_line(item.job.stderr() or "") or item.job.state
        reason = f"its job {item.job.job_id} ended early ({said})"
        yield from tries.after_death(dead, item.backend, reason)


def _put_away(item: Followed) -> None:
    """Delete what served to follow a job."""
    item.slip.unlink(missing_ok=True)
    item.box.path.unlink(missing_ok=True)
    if isinstance(item.job, submitit.LocalJob):
        item.job.wait()  # its process is our child


def _is_over(job: Any) -> bool:
    """Whether a job has ended, which SLURM's accounting says after a while if it was killed."""
    over = job.done()
    if isinstance(job, submitit.LocalJob):  # perhaps one of an earlier process
        with suppress(ProcessLookupError):
            os.kill(int(job.job_id), 0)
            return False
        return True
    return over


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
