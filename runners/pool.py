"""A small pool of worker processes in which one that dies takes only its own network with it."""

import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from pickle import UnpicklingError
from threading import current_thread, main_thread

from distortion.log import is_complete
from runners.groups import Group
from runners.study import NetworkSpec
from runners.worker import Again, Found, Message, Raised, Setup, Step, serve

SPAWN = get_context("spawn")  # forked processes cannot use CUDA
GRACE = 5.0  # seconds for a process to end after its pipe has


@dataclass(frozen=True, slots=True)
class Member:
    """A worker process, the pipe to it, the group it computes and who of it is not done."""

    process: BaseProcess
    pipe: Connection
    group: Group
    missing: set[int]


def compute(
    groups: Sequence[Group], jobs: int, setup: Setup
) -> Generator[tuple[NetworkSpec, Message], None, None]:
    """Compute groups in up to `jobs` processes; yield the messages of networks as they come.

    Every network ends with exactly one `Finished`, `Found` or `Raised`. When the generator is
    closed, by Ctrl-C for example, the processes are ended; shards appear whole or not at all.
    """
    waiting = deque(groups)
    members: list[Member] = []
    try:
        while len(members) < jobs:
            yield from found(waiting, setup.out)
            if not waiting:
                break
            members.append(_start(waiting.popleft(), setup))
        while members:
            for pipe in wait([member.pipe for member in members]):
                member = next(m for m in members if m.pipe is pipe)
                for position, message in _receive(member):
                    yield member.group.networks[position], message
                    if isinstance(message, Again):
                        alone = (member.group.networks[position],)
                        waiting.append(replace(member.group, networks=alone))
                    if not isinstance(message, Step):
                        member.missing.discard(position)
                if member.missing:
                    continue
                members.remove(member)
                yield from found(waiting, setup.out)
                if waiting:
                    members.append(_continue(member, waiting.popleft(), setup))
                else:
                    _tell(member, None)
                    member.process.join()
    finally:
        for member in members:
            member.process.terminate()
            member.process.join()


def found(waiting: deque[Group], out: Path) -> Generator[tuple[NetworkSpec, Message], None, None]:
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


def _start(group: Group, setup: Setup) -> Member:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=(theirs, setup), daemon=True)
    with _interrupts_ignored():
        process.start()
    theirs.close()  # so that the pipe ends when the process does
    member = Member(process, ours, group, set(range(len(group.networks))))
    _tell(member, group)
    return member


def _receive(member: Member) -> list[tuple[int, Message]]:
    """Return the next message, or what becomes of the networks whose process has ended."""
    try:
        return [member.pipe.recv()]
    except (EOFError, OSError, UnpicklingError):  # also in the middle of a message
        reason = _end(member.process)
    if len(member.missing) == 1:
        return [(position, Raised(reason)) for position in member.missing]
    return [(position, Again()) for position in sorted(member.missing)]  # one of them is to blame


def _end(process: BaseProcess) -> str:
    """Wait for a process that has closed its pipe; return how it ended."""
    process.join(GRACE)
    if process.is_alive():
        process.kill()
        process.join()
    code = process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", often for lack of memory" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with exit code {code}"


def _continue(member: Member, group: Group, setup: Setup) -> Member:
    """Give a worker its next group; start another where it has died meanwhile."""
    if _tell(member, group):
        return replace(member, group=group, missing=set(range(len(group.networks))))
    return _start(group, setup)


def _tell(member: Member, group: Group | None) -> bool:
    """Send a group, or None to end the worker; return whether the worker is there."""
    try:
        member.pipe.send(group)
    except OSError:
        return False
    return True


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start processes that ignore Ctrl-C: it reaches the whole group, and the parent ends them."""
    if current_thread() is not main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
