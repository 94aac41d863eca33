"""What is asked of a table about a log, checked before anything is computed."""

from typing import Any

from distortion.errors import DesignError


def check_split(split: Any) -> None:
    """Refuse a split that is not text, which no log can have."""
    if not isinstance(split, str):
        raise DesignError(f"split is {split!r}: name a split of the log, such as 'test'.")
