"""Stopping in good order: the first signal ends the sweep, further ones do not disturb that."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The program was asked to stop. `code` is the exit code by which shells know the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the block at the first of SIGNALS; from then on all are ignored.

    Signals that whoever started the program had it ignore stay ignored.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stopped = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        if not stopped:  # else the program is about to end
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def postponed() -> Iterator[None]:
    """Let the block end before a signal is heeded: what it does must not be left half done.

    Only the main thread heeds signals; elsewhere there is nothing to do.
    """
    arrived: list[int] = []
    heard = SIGNALS if current_thread() is main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in heard}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for heard_number in arrived:
            signal.raise_signal(heard_number)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the parent ends them. Here it only waits."""
    with postponed():  # blocked here is not blocked in the other threads of this process
        resource_tracker.ensure_running()  # its first start would unblock what is blocked here
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def program() -> list[str]:
    """Return the words by which this program was started."""
    as_module = Path(sys.argv[0]).stem == "__main__"
    return [sys.executable, "-m", "runners"] if as_module else ["distortion-run"]
