"""Tables on stdout: framed on a terminal, plain columns elsewhere."""

from collections.abc import Sequence
from datetime import timedelta

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 1000  # columns where there is no terminal, so that nothing is folded


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first row is its head. Columns of numbers stand to the right."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    frame = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=frame, pad_edge=False, header_style="bold")
    head, *body = rows
    for name, column in zip(head, zip(*body, strict=True), strict=True):
        right = all(not item or item[0].isdigit() for item in column)
        table.add_column(Text(name), justify="right" if right else "left")
    for row in body:
        table.add_row(*map(Text, row))
    console.print(table)


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, and days if it is long; below 10 s in tenths."""
    return f"{seconds:.1f} s" if seconds < 10 else str(timedelta(seconds=round(seconds)))


def size(n_bytes: float) -> str:
    """Return a number of bytes in kB, MB or GB."""
    for unit in ("kB", "MB"):
        n_bytes /= 1000
        if n_bytes < 1000:
            return f"{n_bytes:.1f} {unit}"
    return f"{n_bytes / 1000:.1f} GB"
