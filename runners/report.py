"""How a running network tells its surroundings how far it is."""

from typing import Protocol


class Report(Protocol):
    """Called when a cell begins, after every epoch, and when cells are done."""

    def __call__(self, cell: str = "", *, epochs: int = 0, cells: int = 0) -> None:
        """Take the name of the cell that begins, and epochs and cells done since the last call."""


def silent(cell: str = "", *, epochs: int = 0, cells: int = 0) -> None:
    """Report nothing."""
