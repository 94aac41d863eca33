"""Messages of a job in a file that it appends to and another process reads: a JSON text a line."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from runners.bench import Result
from runners.worker import Again, Finished, Found, Message, Raised, Step

KINDS = {kind.__name__: kind for kind in (Step, Finished, Found, Again, Raised)}


def post(file: BinaryIO, run_id: str, message: Message | Result) -> None:
    """Append the message of a network to a file opened for appending."""
    assert not isinstance(message, Result)  # a job writes the shards of its networks itself
    letter = [run_id, type(message).__name__, asdict(message)]
    file.write(json.dumps(letter).encode() + b"\n")
    file.flush()


class Letterbox:
    """The file of a job, read from where it was left the last time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def empty(self) -> list[tuple[str, Message]]:
        """Return the new messages with the run ids of their networks, without broken lines."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read()
        except FileNotFoundError:  # the job has not begun
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.offset += len(whole)
        letters: list[tuple[str, Message]] = []
        for line in whole.splitlines():
            try:
                run_id, kind, values = json.loads(line)
                letters.append((run_id, KINDS[kind](**values)))
            except ValueError:  # the job was killed while it wrote
                continue
        return letters
