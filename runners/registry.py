"""Named things that a study file can ask for: data sets, networks, methods."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from distortion.errors import StudyError, did_you_mean

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Entries by name, in the order of registration.

    `kind` and `plural` word the errors ("unknown network 'lenett'").
    """

    def __init__(self, kind: str, plural: str) -> None:
        self.kind = kind
        self.plural = plural
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> None:
        """Register `entry`; the last one under a name wins, so that scripts can be rerun."""
        if not name:
            raise StudyError(f"A {self.kind} needs a name that is not empty.")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise StudyError(
                f"Unknown {self.kind} {name!r}. {did_you_mean(name, self._entries)} "
                f"`distortion-run list` shows all {self.plural}; "
                f"your own need `plugins` in the study file, or --plugin."
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(self._entries.items())
