from typing import Literal

import pytest

from distortion.errors import StudyError
from runners.options import convert, function_fields, read_table


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        ("a", str, "a"),
        (True, bool, True),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([], tuple[int, ...], ()),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ([[1, 2]], tuple[tuple[int, float], ...], ((1, 2.0),)),
        ("all", Literal["all"] | int, "all"),
        (4, Literal["all"] | int, 4),
        (None, int | None, None),
    ],
)
def test_values_that_fit(value, hint, expected):
    converted = convert(value, hint, "key")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        ("3", int, "key must be a whole number, not '3'"),
        (True, int, "key must be a whole number, not True"),
        (1, bool, "key must be true or false, not 1"),
        (3.5, int, "key must be a whole number, not 3.5"),
        ("0.1", float, "key must be a number, not '0.1'"),
        ([1, "2"], tuple[int, ...], "key must be a list, each item a whole number"),
        (5, tuple[int, ...], "key must be a list"),
        ([1], tuple[int, float], r"key must be a list of 2 \(a whole number, a number\)"),
        ("al", Literal["all"] | int, "key must be 'all' or a whole number.*Did you mean 'all'"),
        ("evall", Literal["eval", "train"], "key must be 'eval' or 'train'.*Did you mean 'eval'"),
    ],
)
def test_values_that_do_not_fit(value, hint, message):
    with pytest.raises(StudyError, match=message):
        convert(value, hint, "key")


class Anything:
    """A type that study files know nothing of."""


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        ([1, "a"], list[int], True),  # known as a list, its items are not looked at
        (3, list[int], False),
        ({"a": 1}, dict[str, int], True),
        (3, Anything, True),
        (True, object, True),
    ],
)
def test_other_hints_of_users(value, hint, fits):
    if fits:
        assert convert(value, hint, "key") == value
    else:
        with pytest.raises(StudyError, match="key must be a list, not 3"):
            convert(value, hint, "key")


def function(root, shape, *, path: str, size: tuple[int, int] | None = None, anything=1):
    """Something with options."""


def test_the_options_of_a_function_are_its_keyword_only_parameters():
    fields = function_fields(function)
    assert list(fields) == ["path", "size", "anything"]
    values = read_table({"path": "x", "anything": {"free": 1}}, fields, "here")
    assert values == {"path": "x", "size": None, "anything": {"free": 1}}
    with pytest.raises(StudyError, match="here: the key 'path' is missing; it must be a string"):
        read_table({}, fields, "here")
    with pytest.raises(StudyError, match=r"here: unknown key 'pth'. Did you mean 'path'"):
        read_table({"pth": "x"}, fields, "here")
    with pytest.raises(StudyError, match=r"unknown key 'a'. It takes no options"):
        read_table({"a": 1}, {}, "here")
