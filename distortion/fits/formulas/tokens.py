"""The words of a formula, each with its place in the text, so that an error can point at it."""

import re
from dataclasses import dataclass
from typing import Literal

from distortion.errors import FitError

Kind = Literal["name", "number", "string", "operator"]

_PATTERN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<name>[^\W\d][\w.]*|`[^`]+`)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<operator>\*\*|\|\||[-~+*/:^()\[\],=|])"
)
# Brackets inside brackets; whatever reads formulas calls itself once for each.
MAX_DEPTH = 50
# Characters of a long formula that an error shows before and after the place.
AROUND = 60
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word: `text` as written, from character `start` of the formula."""

    kind: Kind
    text: str
    start: int

    @property
    def stop(self) -> int:
        """The character after the last one."""
        return self.start + len(self.text)

    @property
    def column(self) -> str:
        """A name without its backquotes."""
        return self.text.strip("`")

    def is_operator(self, *texts: str) -> bool:
        """Return whether this is one of the operators `texts`."""
        return self.kind == "operator" and self.text in texts


def mistake(source: str, start: int, message: str) -> FitError:
    """Return the error that shows `source` with a caret below character `start`."""
    line = re.sub(r"\s", " ", source)
    if len(line) > 2 * AROUND:
        first = max(0, start - AROUND)
        cut = "…" if first else ""
        rest = "…" if start + AROUND < len(line) else ""
        line, start = f"{cut}{line[first : start + AROUND]}{rest}", start - first + len(cut)
    return FitError(f"{message}\n    {line}\n    {' ' * start}^")


def tokenize(source: str) -> tuple[Token, ...]:
    """Return the words of `source`.

    Raises
    ------
    FitError
        If it is not a text, a character has no meaning in a formula, a bracket has no partner or
        brackets are nested too deeply.
    """
    if not isinstance(source, str):
        raise FitError(
            f"The formula is a text such as 'y ~ x', not {type(source).__name__}: it is the first "
            "argument, the table the second."
        )
    tokens = []
    place = 0
    while place < len(source):
        match = _PATTERN.match(source, place)
        if match is None:
            raise mistake(source, place, _unknown(source[place]))
        if match.lastgroup == "name" and "._" in match[0] and match[0][0] != "`":
            raise mistake(
                source, place, f"{match[0]} looks like an attribute. A column goes in backquotes."
            )
        if match.lastgroup != "space":
            tokens.append(Token(match.lastgroup, match[0], place))  # type: ignore[arg-type]
        place = match.end()
    _check_brackets(source, tokens)
    return tuple(tokens)


def _unknown(character: str) -> str:
    if character in "\"'`":
        return f"The quotation mark {character} is never closed."
    hints = {
        ".": " Write the columns out instead of '.'.",
        "%": " Write a:b for an interaction.",
        "<": " Compute such a column first.",
        ">": " Compute such a column first.",
    }
    return (
        f"The character {character!r} means nothing in a formula.{hints.get(character, '')} "
        "A column whose name holds it goes in backquotes."
    )


def _check_brackets(source: str, tokens: list[Token]) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.is_operator("(", "["):
            opened.append(token)
            if len(opened) > MAX_DEPTH:
                raise mistake(
                    source,
                    token.start,
                    f"Brackets are nested more than {MAX_DEPTH} deep: remove some, or compute "
                    "the column first.",
                )
        closes = token.is_operator(")", "]")
        if closes and (not opened or _CLOSING[opened.pop().text] != token.text):
            raise mistake(source, token.start, f"This {token.text!r} closes nothing.")
    if opened:
        raise mistake(source, opened[-1].start, f"This {opened[-1].text!r} is never closed.")


def split(tokens: tuple[Token, ...], *separators: str) -> list[tuple[Token, ...]]:
    """Return what stands between the `separators` that are outside all brackets.

    The separators themselves stand at the start of the piece that they open.
    """
    pieces: list[tuple[Token, ...]] = []
    depth = start = 0
    for i, token in enumerate(tokens):
        depth += token.is_operator("(", "[") - token.is_operator(")", "]")
        if depth == 0 and token.is_operator(*separators):
            pieces.append(tokens[start:i])
            start = i
    return [*pieces, tokens[start:]]


def enclosed(tokens: tuple[Token, ...]) -> bool:
    """Return whether one pair of parentheses encloses all `tokens`."""
    if len(tokens) < 2 or not tokens[0].is_operator("("):
        return False
    depth = 0
    for i, token in enumerate(tokens):
        depth += token.is_operator("(", "[") - token.is_operator(")", "]")
        if depth == 0:
            return i == len(tokens) - 1
    return False
