"""Linear hypotheses of the coefficients: text, mappings and matrices made into rows of L β = c.

    2 x + `x:g[T.b]` - (Intercept)/2 = 1        several equations are separated by commas

A coefficient is written as its name stands in the table of estimates. Where names overlap, the
longest one that fits is meant; backticks leave no doubt.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError, did_you_mean

Values = NDArray[np.float64]
Row = str | Mapping[str, float]
Spec = Row | Sequence[Row] | Mapping[str, Row] | Values
NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
WORD = re.compile(r"\w")
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """k linear combinations of p coefficients and their null values.

    Attributes
    ----------
    labels : (k,) names for readers
    L : (k, p) coefficients of the combinations
    null : (k,) values under the hypothesis
    """

    labels: tuple[str, ...]
    L: Values
    null: Values


def hypotheses(spec: Spec, names: Sequence[str], null: float | Sequence[float] = 0.0) -> Hypotheses:
    """Make `spec` (see `Fit.contrast`) into matrix form; `null` is added to what text states."""
    if isinstance(spec, np.ndarray):
        L = np.atleast_2d(np.asarray(spec, dtype=np.float64))
        if L.shape[1] != len(names):
            raise FitError(
                f"A matrix of contrasts has one column per coefficient: {len(names)} "
                f"({', '.join(names)}), not {L.shape[1]}."
            )
        labels, values = [_label(row, names) for row in L], np.zeros(len(L))
    else:
        rows = [made for label, row in _rows(spec) for made in _row(label, row, names)]
        if not rows:
            raise FitError('Name at least one combination, for example "x = 0".')
        labels = [label for label, _, _ in rows]
        L, values = np.array([row for _, row, _ in rows]), np.array([c for _, _, c in rows])
    if not np.isfinite(L).all():
        raise FitError("The weights of a contrast are finite numbers.")
    added = np.asarray(null, dtype=np.float64)
    if added.shape not in ((), (len(L),)):
        raise FitError(f"{len(L)} combinations need one null value, or {len(L)} of them.")
    return Hypotheses(tuple(labels), L, values + added)


def _rows(spec: Row | Sequence[Row] | Mapping[str, Row]) -> list[tuple[str | None, Row]]:
    if isinstance(spec, str):
        return [(None, spec)]
    if isinstance(spec, Mapping):
        labelled = {label: row for label, row in spec.items() if isinstance(row, str | Mapping)}
        if labelled and len(labelled) == len(spec):
            return list(labelled.items())
        return [(None, spec)]  # type: ignore[list-item]
    return [(None, row) for row in spec]


def _row(label: str | None, row: Row, names: Sequence[str]) -> list[tuple[str, list[float], float]]:
    if isinstance(row, str):
        made = Reader(row, names).equations()
        if len(made) == 1:
            return [(label or _label(made[0][0], names), *made[0])]
        prefix = f"{label}: " if label else ""
        return [(f"{prefix}{_label(weights, names)}", weights, c) for weights, c in made]
    weights = [0.0] * len(names)
    for name, weight in row.items():
        if name not in names:
            raise FitError(f"No coefficient is called {name!r}. {did_you_mean(name, names)}")
        weights[list(names).index(name)] += float(weight)
    return [(label or _label(weights, names), weights, 0.0)]


def _label(weights: Sequence[float] | Values, names: Sequence[str]) -> str:
    """The combination as text: `x − 0.5 z`; beyond six coefficients how many there are."""
    used = [(w, name) for w, name in zip(weights, names, strict=True) if w]
    text = ""
    for weight, name in used[:SHOWN]:
        sign = ("−" if weight < 0 else "") if not text else (" − " if weight < 0 else " + ")
        text += sign + ("" if abs(weight) == 1 else f"{abs(weight):.4g} ") + name
    return (text or "0") + (f" + {len(used) - SHOWN} more" if len(used) > SHOWN else "")


class Reader:
    """A recursive-descent reader of linear equations.

    An expression is (weights, constant), meaning weights · β + constant.
    """

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text, self.names, self.at = text, names, 0
        self.by_length = sorted(range(len(names)), key=lambda i: -len(names[i]))

    def equations(self) -> list[tuple[list[float], float]]:
        """Weights and null value of each equation."""
        found = []
        while True:
            weights, constant = self._sum()
            if self._take("="):
                right, other = self._sum()
                weights, constant = weights - right, constant - other
            if not weights.any():
                self._fail("a combination of at least one coefficient")
            found.append((weights.tolist(), -constant))
            if not self._take(","):
                break
        if self.at < len(self.text):
            self._fail("the end, a sign, = or a comma")
        return found

    def _sum(self) -> tuple[Values, float]:
        sign = -1.0 if self._take("-", "−") else 1.0
        if sign > 0:
            self._take("+")
        weights, constant = self._product()
        weights, constant = sign * weights, sign * constant
        while True:
            sign = 1.0 if self._take("+") else -1.0 if self._take("-", "−") else 0.0
            if not sign:
                return weights, constant
            more, other = self._product()
            weights, constant = weights + sign * more, constant + sign * other

    def _product(self) -> tuple[Values, float]:
        weights, constant = self._atom()
        while True:
            start = self.at
            if self._take("/"):
                other, divisor = self._atom()
                if other.any() or divisor == 0:
                    self.at = start
                    self._fail("a number other than zero to divide by")
                weights, constant = weights / divisor, constant / divisor
            elif self._take("*", "·") or (not weights.any() and self._starts_atom()):
                other, factor = self._atom()
                if weights.any() and other.any():
                    self.at = start
                    self._fail("a combination that is linear in the coefficients")
                weights, constant = weights * factor + other * constant, constant * factor
            else:
                return weights, constant

    def _atom(self) -> tuple[Values, float]:
        self._skip()
        name = self._name()
        if name is not None:
            weights = np.zeros(len(self.names))
            weights[name] = 1.0
            return weights, 0.0
        if number := NUMBER.match(self.text, self.at):
            self.at = number.end()
            return np.zeros(len(self.names)), float(number[0])
        if self._take("("):
            inner = self._sum()
            if not self._take(")"):
                self._fail("a closing parenthesis")
            return inner
        self._fail("a coefficient or a number")

    def _name(self) -> int | None:
        """Move past the longest name that stands here and return its index."""
        for i in self.by_length:
            for shown in (f"`{self.names[i]}`", self.names[i]):
                end = self.at + len(shown)
                cut = self.text[end : end + 1]
                inside = WORD.match(shown[-1:]) and (WORD.match(cut) or cut in ("[", "(", ":"))
                if self.text.startswith(shown, self.at) and not (cut and inside):
                    self.at = end
                    return i
        return None

    def _starts_atom(self) -> bool:
        self._skip()
        start, self.at = self.at, self.at
        found = self._name() is not None or self.text[start : start + 1] == "("
        self.at = start
        return found

    def _take(self, *signs: str) -> bool:
        self._skip()
        for sign in signs:
            if self.text.startswith(sign, self.at):
                self.at += len(sign)
                return True
        return False

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _fail(self, expected: str) -> NoReturn:
        word = re.match(r"[^\s+*/=,−-]*", self.text[self.at :])
        near = f" {did_you_mean(word[0], self.names)}" if word and word[0] else ""
        raise FitError(
            f"Expected {expected} here:\n    {self.text}\n    {' ' * self.at}^\n"
            f'A hypothesis is written like "x + 2 z = 0".{near}'
        )
