"""Options of an engine: KEY=VALUE on the command line, values as in TOML."""

import tomllib
from collections.abc import Iterable

from distortion.errors import StudyError

Value = str | int | float | bool | list


def read_options(texts: Iterable[str]) -> dict[str, Value]:
    """Return options by name; a value that is no number, truth value or list is a string.

    Raises StudyError for a text without a key and an equals sign, or a key given twice.
    """
    options: dict[str, Value] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        key = key.strip()
        if not key or not sign:
            raise StudyError(f"Engine option {text!r}: write KEY=VALUE, for example gpus=0.5.")
        if key in options:
            raise StudyError(f"Engine option {key!r} is given twice. Give it once.")
        options[key] = _value(value.strip())
    return options


def _value(text: str) -> Value:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, Value) else text  # 2:00:00 is a time in TOML
