"""Progress on stderr: bars on a terminal, one line per finished network elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from runners.stopping import postponed
from runners.study import NetworkSpec
from runners.worker import Again, Awaited, Finished, Found, Message, Raised, Step


class Tally:
    """How much of a sweep is done.

    Work is counted in epochs, of which a dense network has more than a fine-tuned one; cells are
    what the log will hold.
    """

    def __init__(self, waiting: Sequence[NetworkSpec], n_networks: int) -> None:
        self.n_networks = n_networks
        self.networks = n_networks - len(waiting)
        self.n_cells = sum(network.n_cells for network in waiting)
        self.n_epochs = sum(network.n_epochs for network in waiting)
        self.running: dict[str, tuple[int, int]] = {}
        self.cells = self.epochs = 0
        self.start = time.monotonic()

    def add(self, network: NetworkSpec, message: Message) -> None:
        """Take a message into account; a network that ends counts in full."""
        cells, epochs = self.running.get(str(network), (0, 0))
        if isinstance(message, Step):
            new_cells, new_epochs = message.cells, message.epochs
            self.running[str(network)] = (cells + new_cells, epochs + new_epochs)
        elif isinstance(message, Awaited):
            new_cells = new_epochs = 0
        elif isinstance(message, Again):
            new_cells, new_epochs = -cells, -epochs
            self.running.pop(str(network), None)
        elif isinstance(message, Found):  # less to do, rather than done in no time
            new_cells = new_epochs = 0
            self.n_cells -= network.n_cells
            self.n_epochs -= network.n_epochs
            self.networks += 1
        else:
            new_cells, new_epochs = network.n_cells - cells, network.n_epochs - epochs
            self.running.pop(str(network), None)
            self.networks += 1
        self.cells += new_cells
        self.epochs += new_epochs

    def times(self) -> str:
        """Return the time spent and the time left, in words."""
        spent = time.monotonic() - self.start
        if not self.epochs:
            return f"{_clock(spent)} elapsed"
        left = spent * (self.n_epochs - self.epochs) / self.epochs
        return f"{_clock(spent)} elapsed, {_clock(left)} left"


class Display:
    """One plain line per finished network; `quiet` leaves notes and failures."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet

    def note(self, text: str) -> None:
        """Print a line, as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def shown(self, waiting: Sequence[NetworkSpec], n_networks: int) -> Iterator[None]:
        """Show the sweep while the block runs."""
        self.tally = Tally(waiting, n_networks)
        if not self.quiet:
            done = f"{self.tally.networks} of {n_networks} networks are done"
            self.note(f"{done}, {self.tally.n_cells} cells are to be computed.")
        yield

    def update(self, network: NetworkSpec, message: Message) -> None:
        """Take a message of a worker and show what it changes."""
        self.tally.add(network, message)
        if isinstance(message, Raised):
            self.note(f"{self._count()} {network}: NOT COMPUTED, {message.reason}")
        elif isinstance(message, Found) and not self.quiet:
            self.note(f"{self._count()} {network}: done by another sweep")
        elif isinstance(message, Awaited) and not self.quiet:
            self.note(f"{self._count()} {network}: another sweep computes it; waiting for that")
        elif isinstance(message, Again) and not self.quiet:
            self.note(f"{self._count()} {network}: {message.note}")
        elif isinstance(message, Finished) and (message.failed or not self.quiet):
            self.note(f"{self._count()} {network}: {_result(message)}; {self.tally.times()}")

    def _count(self) -> str:
        width = len(str(self.tally.n_networks))
        return f"[{self.tally.networks:>{width}}/{self.tally.n_networks}]"


class Bars(Display):
    """One bar for the sweep and one per running network, below the lines of finished ones."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self.tasks: dict[str, TaskID] = {}

    @contextmanager
    def shown(self, waiting: Sequence[NetworkSpec], n_networks: int) -> Iterator[None]:
        """Show the sweep while the block runs."""
        with super().shown(waiting, n_networks):
            try:
                with postponed():
                    self.bars.start()
                self.total = self.bars.add_task("all", total=self.tally.n_epochs, note="starting")
                yield
            finally:
                with postponed():
                    self.bars.stop()

    def update(self, network: NetworkSpec, message: Message) -> None:
        """Take a message of a worker and show what it changes."""
        super().update(network, message)
        name, tally = str(network), self.tally
        if isinstance(message, Step):
            if name not in self.tasks:
                self.tasks[name] = self.bars.add_task(escape(name), total=network.n_epochs, note="")
            self.bars.update(self.tasks[name], advance=message.epochs, note=escape(message.cell))
        elif name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))
        note = f"{tally.cells} of {tally.n_cells} cells, {tally.times()}"
        self.bars.update(self.total, completed=tally.epochs, total=tally.n_epochs, note=note)


def make_display(console: Console, quiet: bool) -> Display:
    """Return bars on a terminal, plain lines elsewhere or where `quiet` asks for silence."""
    return Bars(console) if console.is_terminal and not quiet else Display(console, quiet)


def _result(message: Finished) -> str:
    accuracy = "dense network failed"
    if message.accuracy is not None:
        accuracy = f"dense accuracy {message.accuracy:.3f}"
    failed = ""
    if message.failed:
        reason = f" (first: {message.reason})" if message.reason else ""
        failed = f", {message.failed} failed cell(s){reason}"
    return f"{accuracy}{failed}, {message.seconds:.1f} s"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
