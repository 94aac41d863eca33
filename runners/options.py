"""Checked reading of a TOML table: known keys, right types, errors that name both.

The fields come from a dataclass, or from the keyword-only parameters of a function (the options
that a data set, a network or a method takes). Supported types: str, int, float, bool, Literal,
unions, and tuples such as tuple[int, ...] or tuple[int, float]. Lists and tables are only known as
such; any other hint, as a user's function may have, takes any value.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from distortion.errors import StudyError, did_you_mean

REQUIRED = inspect.Parameter.empty
PLAIN: dict[object, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table: its type hint, and its default or REQUIRED."""

    hint: object
    default: object


def dataclass_fields(kind: type) -> dict[str, Field]:
    """Return the fields of a dataclass, less those that start as an empty container."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: Field(
            hints[field.name],
            REQUIRED if field.default is dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(kind)
        if field.default_factory is dataclasses.MISSING
    }


def function_fields(function: Callable) -> dict[str, Field]:
    """Return the keyword-only parameters of a function; one without a hint takes any value."""
    return {
        name: Field(object if p.annotation is p.empty else p.annotation, p.default)
        for name, p in inspect.signature(function, eval_str=True).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }


def read_table(table: Mapping, fields: Mapping[str, Field], where: str) -> dict:
    """Return the values of all fields, defaults filled in, lists turned into tuples.

    Raises
    ------
    StudyError
        An unknown or missing key, or a value of the wrong type; `where` opens the message.
    """
    for key in table:
        if key not in fields:
            hint = did_you_mean(key, fields) if fields else "It takes no options."
            raise StudyError(f"{where}: unknown key {key!r}. {hint}")
    values = {}
    for key, field in fields.items():
        if key in table:
            values[key] = convert(table[key], field.hint, f"{where}: {key}")
        elif field.default is REQUIRED:
            raise StudyError(
                f"{where}: the key {key!r} is missing; it must be {words(field.hint)}."
            )
        else:
            values[key] = field.default
    return values


def convert(value: object, hint: object, where: str) -> object:
    """Return `value` as the type `hint`, or raise a StudyError that starts with `where`."""
    matched, converted = _match(value, hint)
    if not matched:
        near = _nearest(value, hint)
        raise StudyError(f"{where} must be {words(hint)}, not {value!r}.{near}")
    return converted


def _match(value: object, hint: object) -> tuple[bool, object]:
    """Return whether `value` fits `hint`, and the converted value."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return value in args, value
    if origin in (types.UnionType, typing.Union):
        matches = (_match(value, arg) for arg in args)
        return next((match for match in matches if match[0]), (False, value))
    if origin is tuple:
        return _match_tuple(value, args)
    if hint is type(None):
        return value is None, value
    kind = origin or hint
    if kind not in PLAIN:
        return True, value
    if isinstance(value, bool) or hint is bool:  # True is an int in Python, not in a study file
        return isinstance(value, bool) and hint is bool, value
    if hint is float and isinstance(value, int):
        return True, float(value)
    return isinstance(value, typing.cast(type, kind)), value


def _match_tuple(value: object, args: tuple) -> tuple[bool, object]:
    if not isinstance(value, list | tuple):
        return False, value
    items = (args[0],) * len(value) if args[-1] is ... else args
    if len(items) != len(value):
        return False, value
    matches = [_match(*pair) for pair in zip(value, items, strict=True)]
    return all(ok for ok, _ in matches), tuple(item for _, item in matches)


def words(hint: object) -> str:
    """Return a type hint in words for an error message."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(words(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        if args[-1] is ...:
            return f"a list, each item {words(args[0])}"
        return f"a list of {len(args)} ({', '.join(words(arg) for arg in args)})"
    return PLAIN.get(origin or hint, "given")


def _nearest(value: object, hint: object) -> str:
    names = _names(hint)
    return f" {did_you_mean(value, names)}" if names and isinstance(value, str) else ""


def _names(hint: object) -> list[str]:
    """Return the strings that a hint allows, within unions too."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return [arg for arg in args if isinstance(arg, str)]
    return [name for arg in args for name in _names(arg)]
