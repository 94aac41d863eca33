"""Formulas of mixed models, in the language of lme4; reading one needs no data.

    y ~ x * (z + w) + (1 + x | g) + (1 | a/b) + offset(log(e))

    (1 | g)       random intercept            (1 + x || g)    uncorrelated: (1 | g) + (0 + x | g)
    (x | g)       the same as (1 + x | g)     (1 | a/b)       nested: (1 | a) + (1 | a:b)
    (0 + x | g)   random slope alone          correct/n ~ …   successes out of n trials

Bates, Mächler, Bolker, Walker (2015), J. Stat. Softw. 67(1), section 2. Fixed parts and the left
sides of bars are sums of products of columns and of the expressions in
`distortion.fits.formulas.expressions`.
"""

from dataclasses import dataclass
from functools import lru_cache

from distortion.errors import FitError
from distortion.fits.formulas.expressions import Atom, quoted, read_atom
from distortion.fits.formulas.terms import Term, check_sum, spelled, terms
from distortion.fits.formulas.tokens import Token, enclosed, mistake, split, tokenize


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term, `(covariates | group)`.

    Attributes
    ----------
    covariates : right-hand side whose columns get a random coefficient each, "1 + x"
    group : columns whose combinations are the levels of the grouping factor
    correlated : whether its columns are correlated with those of other terms on the same group;
        False where it comes from `||`
    """

    covariates: str
    group: tuple[str, ...]
    correlated: bool = True

    def __str__(self) -> str:
        return f"({self.covariates} | {':'.join(map(quoted, self.group))})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula without data.

    Attributes
    ----------
    text : as written
    response : expression left of `~`; of correct/n, "correct"
    trials : of correct/n, the column "n"
    fixed : right-hand side without random terms and offsets, "x * z", "0 + x"
    offsets : expressions inside offset()
    random : random terms, with a/b and || written out
    """

    text: str
    response: str
    trials: str | None
    fixed: str
    offsets: tuple[str, ...]
    random: tuple[RandomTerm, ...]


def parse(text: str) -> Formula:
    """Read a formula.

    Parameters
    ----------
    text : such as "balance ~ balance_dense * log2_ratio + (0 + balance_dense | network)"

    Raises
    ------
    FitError
        If it is not a formula; the message shows it with a caret below the place.
    """
    if not isinstance(text, str):
        tokenize(text)
    return _parsed(text)


@lru_cache(256)
def _parsed(text: str) -> Formula:
    tokens = tokenize(text)
    sides = split(tokens, "~")
    if len(sides) == 1:
        raise mistake(text, len(text.rstrip()), "A formula needs a '~': response ~ predictors.")
    if len(sides) > 2:
        raise mistake(text, sides[2][0].start, "A formula has only one '~'.")
    left, right = sides[0], sides[1][1:]
    if not left:
        raise mistake(text, sides[1][0].start, "The response is missing before '~'.")
    if not right:
        raise mistake(text, len(text.rstrip()), "Nothing follows '~'; write 1 for an intercept.")
    response, trials = _response(text, left)
    fixed: list[str] = []
    offsets: list[str] = []
    random: list[RandomTerm] = []
    for i, piece in enumerate(split(right, "+", "-")):
        sign, summand = (piece[0], piece[1:]) if i else (None, piece)
        if not summand and i == 0:
            continue
        if not summand:
            raise mistake(text, piece[0].start, "Something is missing after this sign.")
        if summand[0].is_operator("["):
            raise mistake(text, summand[0].start, "'[ … ~ … ]' belongs to fit_iv.")
        bars = [token for token in summand if token.is_operator("|", "||")]
        offset = summand[0].text == "offset" and enclosed(summand[1:])
        if sign is not None and sign.text == "-" and (bars or offset):
            raise mistake(text, sign.start, "Random terms and offsets cannot be subtracted.")
        if bars:
            random += _random(text, summand, bars)
        elif offset:
            offsets.append(_offset(text, summand))
        else:
            check_sum(text, summand)
            fixed.append(("- " if sign and sign.text == "-" else "+ ") + _text(text, summand))
    rhs = " ".join(fixed).removeprefix("+ ") or "1"
    _refuse_duplicates(random)
    return Formula(text.strip(), response, trials, rhs, tuple(offsets), tuple(random))


def _text(source: str, tokens: tuple[Token, ...]) -> str:
    return " ".join(source[tokens[0].start : tokens[-1].stop].split())


def _response(source: str, tokens: tuple[Token, ...]) -> tuple[str, str | None]:
    names = [token for token in tokens if token.kind == "name"]
    if len(tokens) == 3 and tokens[1].is_operator("/") and len(names) == 2:
        return names[0].text, names[1].column
    calls = len(tokens) > 1 and tokens[0].kind == "name" and enclosed(tokens[1:])
    if len(tokens) == 1 and names:
        return tokens[0].text, None
    if not calls:
        raise mistake(
            source,
            tokens[min(1, len(tokens) - 1)].start,
            "The response is a column, a function of one such as log(y) or I(y - x), or counts "
            "such as correct/n.",
        )
    if read_atom(source, tokens).kind == "factor":
        raise mistake(source, tokens[0].start, "The response must be a number, not C(...).")
    return _text(source, tokens), None


def _offset(source: str, tokens: tuple[Token, ...]) -> str:
    inside = tokens[2:-1]
    if not inside:
        raise mistake(source, tokens[0].start, "offset() needs an expression.")
    if read_atom(source, inside, arithmetic=True).kind == "factor":
        raise mistake(source, inside[0].start, "An offset must be a number, not C(...).")
    return _text(source, inside)


def _random(source: str, tokens: tuple[Token, ...], bars: list[Token]) -> list[RandomTerm]:
    """Read one `(covariates | group)`, written out into simple terms."""
    while enclosed(tokens) and enclosed(tokens[1:-1]):
        tokens = tokens[1:-1]
    bar = bars[0]
    if bar in _bars(tokens):
        raise mistake(source, bar.start, "Random terms stand in parentheses: (1 | g).")
    if not enclosed(tokens) or bar not in _bars(tokens[1:-1]):
        raise mistake(
            source,
            bar.start,
            "A random term can only be added, as in x + (1 | g): not multiplied, nested or put "
            "into a function.",
        )
    if len(bars) > 1:
        raise mistake(source, bars[1].start, "A random term has one bar, '|' or '||'.")
    place = tokens.index(bar)
    left, right = tokens[1:place], tokens[place + 1 : -1]
    if not left:
        raise mistake(source, bar.start, "Before the bar goes what varies by group, such as 1.")
    check_sum(source, left)
    covariates = _text(source, left)
    parts = terms(covariates)
    if not parts:
        raise mistake(source, left[0].start, "Nothing varies by group here: write 1 or a column.")
    if not any(t.is_operator("+", "-") or t.text in ("0", "1") for t in left) and () in parts:
        covariates = f"1 + {covariates}"
    groups = _groups(source, bar, right)
    if bar.text == "|":
        return [RandomTerm(covariates, group) for group in groups]
    return [RandomTerm(_alone(part), group, False) for group in groups for part in parts]


def _bars(tokens: tuple[Token, ...]) -> list[Token]:
    """Bars of `tokens` outside all parentheses."""
    return [piece[0] for piece in split(tokens, "|", "||")[1:]]


def _alone(term: Term) -> str:
    return f"0 + {':'.join(map(_spelling, term))}" if term else "1"


def _spelling(factor: Atom) -> str:
    return quoted(factor.text) if factor.kind == "column" else factor.text


def _groups(source: str, bar: Token, tokens: tuple[Token, ...]) -> list[tuple[str, ...]]:
    """Return the grouping factors of `a`, `a:b`, `a/b`, `a/b/c`, …"""
    if not tokens:
        raise mistake(source, bar.start, "After the bar goes the column that groups the rows.")
    for i, token in enumerate(tokens):
        if i % 2 == 0 and token.kind != "name":
            raise mistake(source, token.start, "Here goes the name of a column that groups rows.")
        if i % 2 and not token.is_operator(":", "/"):
            raise mistake(
                source,
                token.start,
                "Groups are columns, combined as in a:b or nested as in a/b. Write crossed groups "
                "as two terms, (1 | a) + (1 | b).",
            )
    if len(tokens) % 2 == 0:
        raise mistake(source, tokens[-1].start, "A column is missing after this.")
    groups: list[tuple[str, ...]] = []
    current: tuple[str, ...] = ()
    for i in range(0, len(tokens), 2):
        if i and tokens[i - 1].text == "/":
            groups.append(current)
        if tokens[i].column in current:
            raise mistake(source, tokens[i].start, f"{tokens[i].text} is named twice in one group.")
        current = (*current, tokens[i].column)
    return [*groups, current]


def _refuse_duplicates(random: list[RandomTerm]) -> None:
    """Refuse two random coefficients for the same term and group: only their sum is determined."""
    seen: dict[tuple[frozenset[str], frozenset[str]], RandomTerm] = {}
    for term in random:
        for part in terms(term.covariates):
            key = (frozenset(term.group), frozenset(factor.text for factor in part))
            if (first := seen.setdefault(key, term)) is not term:
                raise FitError(_which_to_drop(first, term, spelled(part)))


def _which_to_drop(first: RandomTerm, second: RandomTerm, part: str) -> str:
    in_first, in_second = ({spelled(p) for p in terms(t.covariates)} for t in (first, second))
    what = "an intercept" if part == "Intercept" else f"a coefficient of {part}"
    advice = f"Drop {part} from one of them"
    if in_second <= in_first:
        advice = f"Drop {second}"
    elif in_first <= in_second:
        advice = f"Drop {first}"
    return (
        f"{first} and {second} both give {what} to each level of {':'.join(first.group)}, and no "
        f"data can tell the two apart. {advice}; for uncorrelated coefficients write (0 + x | g) "
        "or use '||'."
    )
