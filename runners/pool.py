"""A small pool of worker processes in which one that dies takes only its own network with it."""

import signal
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pickle import UnpicklingError

from runners.claims import Claims
from runners.groups import Group
from runners.shards import remove_parts
from runners.stopping import interrupts_blocked
from runners.study import NetworkSpec
from runners.worker import Again, Awaited, Found, Message, Raised, Setup, Step, serve
from runners.worklist import Worklist

SPAWN = get_context("spawn")  # forked processes cannot use CUDA
GRACE = 5.0  # seconds for a process to end after its pipe has
POLL = 1.0  # seconds between two looks at what other sweeps have claimed


@dataclass(frozen=True, slots=True)
class Member:
    """A worker process, the pipe to it, the group it computes and who of it is not done.

    `number` is the least that no other worker has; it says which GPU the worker takes.
    """

    process: BaseProcess
    pipe: Connection
    group: Group
    missing: set[int]
    number: int = 0


def compute(
    groups: Sequence[Group], jobs: int, setup: Setup
) -> Generator[tuple[NetworkSpec, Message], None, None]:
    """Compute groups in up to `jobs` processes; yield the messages of networks as they come.

    Every network ends with exactly one `Finished`, `Found` or `Raised`. What another sweep has
    claimed is left to it as long as it is alive. When the generator is closed, by Ctrl-C for
    example, the processes are ended; shards appear whole or not at all.
    """
    with Claims(setup.out) as claims:
        work = Worklist(groups, setup.out, claims)
        members: list[Member] = []
        told = False
        try:
            while work or members:
                while len(members) < jobs:
                    found, group = work.take()
                    yield from ((network, Found()) for network in found)
                    if group is None:
                        break
                    number = min(set(range(jobs)) - {member.number for member in members})
                    members.append(_start(group, setup, number))
                if not members:
                    if work and not told:
                        yield from ((network, Awaited()) for network in work.networks)
                        told = True
                    time.sleep(POLL if work else 0)
                    continue
                timeout = POLL if work and len(members) < jobs else None
                for pipe in wait([member.pipe for member in members], timeout):
                    member = next(m for m in members if m.pipe is pipe)
                    yield from _messages(member, work)
                    if member.missing:
                        continue
                    members.remove(member)
                    found, group = work.take()
                    yield from ((network, Found()) for network in found)
                    if group is None:
                        _tell(member, None)
                        _end(member.process)
                    else:
                        members.append(_continue(member, group, setup))
        finally:
            _end_all(members, setup)


def _messages(member: Member, work: Worklist) -> Generator[tuple[NetworkSpec, Message], None, None]:
    """Yield the next message of a worker, and note which of its networks have ended."""
    for position, message in _receive(member):
        network = member.group.networks[position]
        yield network, message
        if isinstance(message, Step):
            continue
        member.missing.discard(position)
        if isinstance(message, Again):
            work.again(replace(member.group, networks=(network,)))
        else:
            work.release(network)


def _end_all(members: Sequence[Member], setup: Setup) -> None:
    """End workers that are not done, and remove what they have half written."""
    for member in members:
        member.process.terminate()
    for member in members:
        _end(member.process)
        for position in member.missing:
            remove_parts(member.group.networks[position], setup.out)


def _start(group: Group, setup: Setup, number: int) -> Member:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=(theirs, setup, number), daemon=True)
    with interrupts_blocked():
        process.start()
    theirs.close()  # so that the pipe ends when the process does
    member = Member(process, ours, group, set(range(len(group.networks))), number)
    _tell(member, group)
    return member


def _receive(member: Member) -> list[tuple[int, Message]]:
    """Return the next message, or what becomes of the networks whose process has ended."""
    try:
        position, message = member.pipe.recv()
        if position is not None:
            return [(position, message)]
        _end(member.process)
    except (EOFError, OSError, UnpicklingError):  # also in the middle of a message
        message = Raised(_end(member.process))
    if len(member.missing) == 1:
        return [(position, message) for position in member.missing]
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
    return _start(group, setup, member.number)


def _tell(member: Member, group: Group | None) -> bool:
    """Send a group, or None to end the worker; return whether the worker is there."""
    try:
        member.pipe.send(group)
    except OSError:
        return False
    return True
