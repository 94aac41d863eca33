import os
import signal
import subprocess
import sys
from threading import Thread

import pytest

pytest.importorskip("torch")
from rich.console import Console

from runners.pool import SPAWN
from runners.progress import Bars
from runners.stopping import SIGNALS, Stopped, interrupts_blocked, postponed, stoppable
from tests.runners.processes import ROOT


@pytest.fixture(autouse=True)
def handlers():
    """A stopped program ignores what follows; these tests go on."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(done):
    with stoppable():
        with postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)  # impatience
            done.append("whole")
        done.append("too much")


def test_a_signal_is_heeded_at_the_end_of_what_must_not_be_interrupted():
    done = []
    with pytest.raises(Stopped, match="SIGTERM"):
        interrupted(done)
    assert done == ["whole"]


def test_handlers_are_as_before(handlers):
    with postponed():
        pass
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def test_signals_that_are_ignored_stay_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with postponed():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_other_threads_may_postpone_as_well():
    done = []

    def work():
        with interrupts_blocked():
            done.append("whole")

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["whole"]


def test_a_process_is_started_whole():
    done = []

    def start():
        with stoppable(), interrupts_blocked():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("whole")

    with pytest.raises(Stopped):
        start()
    assert done == ["whole"]


def test_of_several_signals_none_is_lost():
    heard = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: heard.append(number))
    with postponed():
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not heard
    assert heard == [signal.SIGHUP, signal.SIGTERM]


def blocked(pipe):
    pipe.send(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def main():
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=blocked, args=(theirs,))
    with interrupts_blocked():
        process.start()
    print(signal.SIGINT in ours.recv(), blocked_here())
    process.join()


def blocked_here():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.slow
def test_processes_are_started_out_of_reach_of_ctrl_c():
    """In a new process, because the first start of all is the one that went wrong."""
    call = "from tests.runners import test_stopping; test_stopping.main()"
    done = subprocess.run(
        [sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("place", ["push_render_hook", "set_live", "show_cursor"])
def test_a_signal_within_the_start_of_the_bars(place, monkeypatch):
    """Rich's own `stop` undoes a whole start only."""
    with open(os.devnull, "w") as sink:
        console = Console(file=sink, force_terminal=True)
        original, calls = getattr(console, place), []

        def disturbed(*args):
            if not calls:
                os.kill(os.getpid(), signal.SIGTERM)
            calls.append(args)
            return original(*args)

        monkeypatch.setattr(console, place, disturbed)
        with pytest.raises(Stopped), stoppable(), Bars(console).shown([], 0):
            calls.append("not reached")
    assert calls
    assert "not reached" not in calls
    if place == "show_cursor":
        assert calls[-1] == (True,)


def test_a_signal_within_the_end_of_the_bars(monkeypatch):
    with open(os.devnull, "w") as sink:
        console, shown = Console(file=sink, force_terminal=True), []
        show_cursor, pop_render_hook = console.show_cursor, console.pop_render_hook

        def disturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            pop_render_hook()

        monkeypatch.setattr(console, "pop_render_hook", disturbed)
        monkeypatch.setattr(console, "show_cursor", lambda show: shown.append(show_cursor(show)))
        with pytest.raises(Stopped), stoppable(), Bars(console).shown([], 0):
            shown.clear()
    assert len(shown) == 1
