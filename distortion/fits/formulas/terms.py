"""Terms of a linear predictor: `a * (b + c)` becomes 1, a, b, c, a:b, a:c.

formulaic multiplies out and orders the terms, but sees only v0, v1, … in place of the columns and
expressions, which are read by `distortion.fits.formulas.expressions`.
"""

from functools import lru_cache
from math import comb

from distortion.errors import FitError
from distortion.fits.formulas.expressions import Atom, read_atom
from distortion.fits.formulas.tokens import Token, mistake, split, tokenize

# Products multiply: 10 columns joined by * are 1,023 terms.
MAX_TERMS = 1000
Term = tuple[Atom, ...]  # the empty one is the intercept


def operand(tokens: tuple[Token, ...], start: int) -> int:
    """Return where the operand that begins at `start` ends: a name, a call, or parentheses."""
    i = start + (tokens[start].kind == "name")
    if i < len(tokens) and tokens[i].is_operator("("):
        depth = 0
        for stop in range(i, len(tokens)):
            depth += tokens[stop].is_operator("(", "[") - tokens[stop].is_operator(")", "]")
            if depth == 0:
                return stop + 1
    return max(i, start + 1)


def check_sum(source: str, tokens: tuple[Token, ...], *, intercept: bool = True) -> int:
    """Refuse what is not a sum of products of columns and expressions.

    `intercept` allows the summands 0 and 1. Returns the number of terms that it is multiplied out
    to, counting equal ones each time.

    Raises
    ------
    FitError
        With a caret below the first token that cannot stand where it does, or if there are too
        many terms.
    """
    count = 0
    for i, piece in enumerate(split(tokens, "+", "-")):
        summand = piece[1:] if i else piece
        if not summand:
            if i == 0 and len(piece) < len(tokens):
                continue
            at = piece[0].start if piece else (tokens[0].start if tokens else len(source))
            raise mistake(source, at, "Something is missing after this sign.")
        if intercept and len(summand) == 1 and summand[0].text in ("0", "1"):
            continue
        count += _check_product(source, summand)
        if count > MAX_TERMS:
            raise mistake(
                source,
                summand[0].start,
                f"Multiplied out, the formula has more than {MAX_TERMS:,} terms: name the "
                "interactions that matter, as in a + b + a:b, or bound their order, as in "
                "(a + b + c)^2.",
            )
    return count


def _check_product(source: str, tokens: tuple[Token, ...]) -> int:
    place = 0
    done, interaction, joined = 0, 1, "*"
    while True:
        count = _check_operand(source, tokens, place)
        place = operand(tokens, place)
        while place < len(tokens) and tokens[place].is_operator("**", "^"):
            power = tokens[place + 1] if place + 1 < len(tokens) else tokens[place]
            if power.text not in ("1", "2", "3", "4"):
                raise mistake(source, power.start, "A power of terms is 1, 2, 3 or 4, as in ^2.")
            # Products of up to so many different terms.
            count = sum(comb(count, chosen) for chosen in range(1, int(power.text) + 1))
            place += 2
        interaction *= count  # ":" binds more tightly than "*" and "/"
        if place == len(tokens) or not tokens[place].is_operator(":"):
            # a * b is a + b + a:b, and a / b is a + a:b.
            done += interaction + (done * interaction if joined == "*" else 0)
            interaction = 1
        if place == len(tokens):
            return done
        if not tokens[place].is_operator("*", ":", "/"):
            raise mistake(
                source,
                tokens[place].start,
                f"An operator (+ - * : /) is missing before {tokens[place].text!r}.",
            )
        if tokens[place].text != ":":
            joined = tokens[place].text
        place += 1
        if place == len(tokens):
            last = tokens[-1]
            raise mistake(source, last.start, f"Something is missing after this {last.text!r}.")


def _check_operand(source: str, tokens: tuple[Token, ...], place: int) -> int:
    token = tokens[place]
    stop = operand(tokens, place)
    if token.kind == "name":
        read_atom(source, tokens[place:stop])
        return 1
    if token.is_operator("("):
        if stop == place + 2:
            raise mistake(source, token.start, "These parentheses are empty.")
        return check_sum(source, tokens[place + 1 : stop - 1], intercept=False)
    if token.kind == "number":
        raise mistake(
            source,
            token.start,
            "A number in a formula is 0 or 1, added by itself for the intercept. Arithmetic goes "
            "inside I(...).",
        )
    raise mistake(source, token.start, f"A column is missing before this {token.text!r}.")


@lru_cache(1024)
def terms(rhs: str) -> tuple[Term, ...]:
    """Return the terms of the right-hand side `rhs`, main effects before interactions.

    Raises
    ------
    FitError
        If `rhs` is not a sum of products of columns and expressions, or of too many.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    tokens = tokenize(rhs)
    check_sum(rhs, tokens)
    atoms: dict[str, Atom] = {}
    names: dict[str, str] = {}
    words: list[str] = []
    place = 0
    while place < len(tokens):
        stop = place + 1
        if tokens[place].kind == "name":
            stop = operand(tokens, place)
            found = read_atom(rhs, tokens[place:stop])
            name = names.setdefault(f"{found.kind} {found.text}", f"v{len(names)}")
            atoms.setdefault(name, found)
            words.append(name)
        else:
            words.append(tokens[place].text)
        place = stop
    try:
        parsed = Formula(" ".join(words))
    except (FormulaicError, TypeError) as error:
        # TypeError: formulaic 1.2 cannot nest in nothing, as in (x - x) / z.
        raise FitError(f"The terms of {rhs!r} cannot be multiplied out: {error}.") from None
    return tuple(
        tuple(atoms[factor.expr] for factor in term.factors if factor.expr in atoms)
        for term in parsed
    )


def spelled(term: Term) -> str:
    """Return a term as coefficients are named: "Intercept", "a", "a:b"."""
    return ":".join(factor.text for factor in term) or "Intercept"
