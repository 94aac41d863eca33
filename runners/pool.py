"""A small pool of worker processes in which one that dies takes only its own network with it."""

import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pickle import UnpicklingError
from threading import current_thread, main_thread

from distortion.log import is_complete
from runners.study import NetworkSpec
from runners.worker import Found, Message, Raised, Setup, Step, serve

SPAWN = get_context("spawn")  # forked processes cannot use CUDA
GRACE = 5.0  # seconds for a process to end after its pipe has


@dataclass(frozen=True, slots=True)
class Member:
    """A worker process, the pipe to it, and the network that it computes."""

    process: BaseProcess
    pipe: Connection
    network: NetworkSpec


def compute(
    networks: Sequence[NetworkSpec], jobs: int, setup: Setup
) -> Generator[tuple[NetworkSpec, Message], None, None]:
    """Compute networks in up to `jobs` processes; yield their messages as they come.

    Every network ends with exactly one `Finished`, `Found` or `Raised`. When the generator is
    closed, by Ctrl-C for example, the processes are ended; shards appear whole or not at all.
    """
    waiting = deque(networks)
    members: list[Member] = []
    try:
        while len(members) < jobs:
            yield from _found(waiting, setup)
            if not waiting:
                break
            members.append(_start(waiting.popleft(), setup))
        while members:
            for pipe in wait([member.pipe for member in members]):
                member = next(m for m in members if m.pipe is pipe)
                message = _receive(member)
                yield member.network, message
                if isinstance(message, Step):
                    continue
                members.remove(member)
                yield from _found(waiting, setup)
                if waiting:
                    members.append(_continue(member, waiting.popleft(), setup))
                else:
                    _tell(member, None)
                    member.process.join()
    finally:
        for member in members:
            member.process.terminate()
            member.process.join()


def _found(
    waiting: deque[NetworkSpec], setup: Setup
) -> Generator[tuple[NetworkSpec, Message], None, None]:
    """Take away the next networks that another sweep has computed meanwhile."""
    while waiting and is_complete(waiting[0].folder(setup.out), waiting[0].run_id):
        yield waiting.popleft(), Found()


def _start(network: NetworkSpec, setup: Setup) -> Member:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=(theirs, setup), daemon=True)
    with _interrupts_ignored():
        process.start()
    theirs.close()  # so that the pipe ends when the process does
    member = Member(process, ours, network)
    _tell(member, network)
    return member


def _receive(member: Member) -> Message:
    try:
        return member.pipe.recv()
    except (EOFError, OSError, UnpicklingError):  # also in the middle of a message
        member.process.join(GRACE)
        if member.process.is_alive():
            member.process.kill()
            member.process.join()
        code = member.process.exitcode or 0
        if code < 0:
            name = signal.Signals(-code).name
            hint = ", often for lack of memory" if -code == signal.SIGKILL else ""
            return Raised(f"its process was ended by {name}{hint}")
        return Raised(f"its process ended with exit code {code}")


def _continue(member: Member, network: NetworkSpec, setup: Setup) -> Member:
    """Give a worker its next network; start another where it has died meanwhile."""
    if _tell(member, network):
        return replace(member, network=network)
    return _start(network, setup)


def _tell(member: Member, network: NetworkSpec | None) -> bool:
    """Send a network, or None to end the worker; return whether the worker is there."""
    try:
        member.pipe.send(network)
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
