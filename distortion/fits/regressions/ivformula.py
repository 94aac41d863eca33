"""Formulas with instruments: `y ~ exogenous + [endogenous ~ instruments]`."""

from dataclasses import dataclass

from distortion.errors import FitError
from distortion.fits.formulas.formula import Formula, parse
from distortion.fits.formulas.terms import spelled, terms
from distortion.fits.formulas.tokens import Token, mistake, tokenize


@dataclass(frozen=True, slots=True)
class IvFormula:
    """A formula in three parts.

    Attributes
    ----------
    text : as written
    joint : with all columns side by side, `y ~ exogenous + endogenous + instruments`
    endogenous, instruments : names of their terms, as in the terms of `joint`
    """

    text: str
    joint: Formula
    endogenous: tuple[str, ...]
    instruments: tuple[str, ...]


def parse_iv(text: str) -> IvFormula:
    """Read a formula with instruments.

    Raises
    ------
    FitError
        It has no bracket or several, nothing on a side of the inner `~`, or a term twice.
    """
    tokens = tokenize(text)
    start, stop = _bracket(text, tokens)
    inside = tokens[start + 1 : stop]
    tildes = [i for i, token in enumerate(inside) if token.is_operator("~")]
    if len(tildes) != 1:
        place = inside[tildes[1]].start if tildes else tokens[stop].start
        raise mistake(text, place, "The bracket holds one '~': [endogenous ~ instruments].")
    left, right = inside[: tildes[0]], inside[tildes[0] + 1 :]
    if not left or not right:
        place = inside[tildes[0]].start
        raise mistake(text, place, "The bracket needs columns on both sides of its '~'.")
    endogenous, instruments = _text(text, left), _text(text, right)
    before, after = text[: tokens[start].start], text[tokens[stop].stop :]
    joint = parse(f"{before}{endogenous} + {instruments}{after}")
    parts = [_names(part) for part in (endogenous, instruments)]
    written = [*parts[0], *parts[1], *_names(parse(_without(before, after)).fixed)]
    if twice := sorted({name for name in written if written.count(name) > 1}):
        raise FitError(
            f"{', '.join(twice)} stands in two parts of {text!r}. A column is exogenous (outside "
            "the bracket), endogenous (left of its ~) or an instrument (right of it)."
        )
    return IvFormula(text.strip(), joint, parts[0], parts[1])


def _bracket(text: str, tokens: tuple[Token, ...]) -> tuple[int, int]:
    """Indices of the one bracket outside all parentheses, which is a summand by itself."""
    depth = 0
    opened: list[int] = []
    closed: list[int] = []
    for i, token in enumerate(tokens):
        depth -= token.is_operator(")", "]")
        if depth == 0 and token.is_operator("[", "]"):
            (opened if token.text == "[" else closed).append(i)
        depth += token.is_operator("(", "[")
    if not opened:
        raise FitError(
            f"{text!r} names no instruments. Write y ~ exogenous + [endogenous ~ instruments], or "
            "use fit_ols."
        )
    if len(opened) > 1:
        raise mistake(text, tokens[opened[1]].start, "Put all endogenous columns in one bracket.")
    start, stop = opened[0], closed[0]
    if start == 0 or not tokens[start - 1].is_operator("~", "+"):
        raise mistake(text, tokens[start].start, "The bracket is added: y ~ x + [e ~ z].")
    if stop + 1 < len(tokens) and not tokens[stop + 1].is_operator("+", "-"):
        raise mistake(text, tokens[stop + 1].start, "The bracket is added: y ~ [e ~ z] + x.")
    return start, stop


def _without(before: str, after: str) -> str:
    """The formula without its bracket."""
    left, right = before.rstrip().removesuffix("+").rstrip(), after.strip()
    if not left.endswith("~"):
        return f"{left} {right}"
    return f"{left} {right.removeprefix('+')}" if right else f"{left} 1"


def _text(source: str, tokens: tuple[Token, ...]) -> str:
    return source[tokens[0].start : tokens[-1].stop]


def _names(rhs: str) -> tuple[str, ...]:
    return tuple(name for name in map(spelled, terms(rhs)) if name != "Intercept")
