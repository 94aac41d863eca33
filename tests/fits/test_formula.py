"""lme4's formula language: what is understood, and where a typo is shown."""

import contextlib
import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion.errors import FitError
from distortion.fits.formulas.expressions import FUNCTIONS
from distortion.fits.formulas.formula import Formula, RandomTerm, parse
from distortion.fits.formulas.terms import check_sum, spelled, terms
from distortion.fits.formulas.tokens import tokenize


def random(text: str) -> list[str]:
    return [str(term) for term in parse(f"y ~ {text}").random]


def caret(text: str) -> tuple[str, str]:
    """Return the message about `text`, and what stands above the caret."""
    with pytest.raises(FitError) as caught:
        parse(text)
    message, shown, below = str(caught.value).split("\n")
    return message, shown[below.index("^") :]


def test_every_part_is_found() -> None:
    text = " correct / n ~ 0 + log( x ) * z + offset(log(e) + 1) - w + (0 + x | run) + (1 | c) "
    assert parse(text) == Formula(
        text=text.strip(),
        response="correct",
        trials="n",
        fixed="0 + log( x ) * z - w",
        offsets=("log(e) + 1",),
        random=(RandomTerm("0 + x", ("run",)), RandomTerm("1", ("c",))),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(1 | g)", ["(1 | g)"]),
        ("(x | g)", ["(1 + x | g)"]),
        ("(1 + x | g)", ["(1 + x | g)"]),
        ("(0 + x | g)", ["(0 + x | g)"]),
        ("(x - 1 | g)", ["(x - 1 | g)"]),
        ("((1 | g))", ["(1 | g)"]),
        ("(1 | a:b)", ["(1 | a:b)"]),
        ("(1 | a/b)", ["(1 | a)", "(1 | a:b)"]),
        ("(1 | a/b/c)", ["(1 | a)", "(1 | a:b)", "(1 | a:b:c)"]),
        ("(1 | a:b/c)", ["(1 | a:b)", "(1 | a:b:c)"]),
        ("(x | a/b)", ["(1 + x | a)", "(1 + x | a:b)"]),
        ("(1 + x || g)", ["(1 | g)", "(0 + x | g)"]),
        ("(x || g)", ["(1 | g)", "(0 + x | g)"]),
        ("(0 + x + z || g)", ["(0 + x | g)", "(0 + z | g)"]),
        ("(x * z || g)", ["(1 | g)", "(0 + x | g)", "(0 + z | g)", "(0 + x:z | g)"]),
        ("(x || a/b)", ["(1 | a)", "(0 + x | a)", "(1 | a:b)", "(0 + x | a:b)"]),
        ("(1 | `my run`)", ["(1 | `my run`)"]),
        ("(`my x` || g)", ["(1 | g)", "(0 + `my x` | g)"]),
        ("(log(x) | g) + x + (1 | class)", ["(1 + log(x) | g)", "(1 | class)"]),
    ],
)
def test_random_terms_are_written_out(text: str, expected: list[str]) -> None:
    assert random(text) == expected


def test_double_bars_mark_their_terms_uncorrelated() -> None:
    assert [term.correlated for term in parse("y ~ (x || g) + (x | h)").random] == [
        False,
        False,
        True,
    ]


def test_without_predictors_the_intercept_remains() -> None:
    assert parse("y ~ (1 | g)").fixed == "1"
    assert parse("y ~ offset(x)").fixed == "1"
    assert parse("y ~ (1 | g) + 0").fixed == "0"
    assert parse("y ~ (1 | g) - 1").fixed == "- 1"


@pytest.mark.parametrize(
    ("response", "trials"),
    [("log(y)", None), ("`my y`", None), ("I(y - x)", None), ("`k`/`n n`", "n n"), ("a.b", None)],
)
def test_responses(response: str, trials: str | None) -> None:
    found = parse(f"{response} ~ x")
    assert found.trials == trials
    assert found.response == response.split("/")[0]


@pytest.mark.parametrize(
    ("rhs", "expected"),
    [
        ("a * (b + c)", ["Intercept", "a", "b", "c", "a:b", "a:c"]),
        ("0 + a:b + a", ["a", "a:b"]),
        ("(a + b)^2 - a:b", ["Intercept", "a", "b"]),
        ("a / b", ["Intercept", "a", "a:b"]),
        ("log( x )*I(x**2+y)", ["Intercept", "log(x)", "I(x ** 2 + y)", "log(x):I(x ** 2 + y)"]),
        ('C(g,Treatment("b")) - 1', ["C(g, Treatment('b'))"]),
        ("log(`my x`+1) + `my x`", ["Intercept", "log(`my x` + 1)", "my x"]),
        ("class + x.y", ["Intercept", "class", "x.y"]),
        ("x\n + z", ["Intercept", "x", "z"]),
    ],
)
def test_terms_have_formulaics_names(rhs: str, expected: list[str]) -> None:
    assert [spelled(term) for term in terms(rhs)] == expected


@pytest.mark.parametrize(
    ("text", "message", "above"),
    [
        ("y x", "needs a '~'", ""),
        ("y ~ x ~ z", "only one '~'", "~ z"),
        ("~ x", "response is missing", "~ x"),
        ("y ~", "Nothing follows", ""),
        ("y ~ x + (1 | g", "never closed", "(1 | g"),
        ("y ~ x) + z", "closes nothing", ") + z"),
        ("y ~ x + ", "missing after this sign", "+ "),
        ("y ~ x + + z", "missing after this sign", "+ + z"),
        ("y ~ x * ", "missing after this '*'", "* "),
        ("y ~ x + * z", "missing before this '*'", "* z"),
        ("y ~ x z", "operator .* missing before 'z'", "z"),
        ("y ~ x + ()", "parentheses are empty", "()"),
        ("y ~ x + (z + )", "missing after this sign", "+ )"),
        ("y ~ 2 * x", "number in a formula is 0 or 1", "2 * x"),
        ("y ~ x ** z", "power of terms", "z"),
        ("y ~ (x + z) ^ 99", "power of terms", "99"),
        ("y ~ x + 'a'", "column is missing", "'a'"),
        ("y ~ x + 'a", "never closed", "'a"),
        ("y ~ .", "Write the columns out", "."),
        ("y ~ x %in% g", "a:b", "%in% g"),
        ("y ~ x > 3", "Compute such a column first", "> 3"),
        ("y + 1 ~ x", "response is a column", "+ 1 ~ x"),
        ("a / b / c ~ x", "response is a column", "/ b / c ~ x"),
        ("C(y) ~ x", "must be a number", "C(y) ~ x"),
        ("y ~ x | g", "stand in parentheses", "| g"),
        ("y ~ x || g", "stand in parentheses", "|| g"),
        ("y ~ x * (1 | g)", "can only be added", "| g)"),
        ("y ~ (x + (1 | g))", "can only be added", "| g))"),
        ("y ~ log(1 | g)", "can only be added", "| g)"),
        ("y ~ x - (1 | g)", "cannot be subtracted", "- (1 | g)"),
        ("y ~ x - offset(z)", "cannot be subtracted", "- offset(z)"),
        ("y ~ (1 | g | h)", "has one bar", "| h)"),
        ("y ~ (1 ||| g)", "has one bar", "| g)"),
        ("y ~ (| g)", "what varies by group", "| g)"),
        ("y ~ (0 | g)", "Nothing varies", "0 | g)"),
        ("y ~ (1 | )", "column that groups", "| )"),
        ("y ~ (1 | a + b)", r"two terms, \(1 \| a\) \+ \(1 \| b\)", "+ b)"),
        ("y ~ (1 | a * b)", "two terms", "* b)"),
        ("y ~ (1 | log(a))", "combined as in a:b", "(a))"),
        ("y ~ (1 | a:)", "missing after this", ":)"),
        ("y ~ (1 | 3)", "name of a column", "3)"),
        ("y ~ (1 | a:a)", "named twice", "a)"),
        ("y ~ offset()", "needs an expression", "offset()"),
        ("y ~ offset(C(x))", "offset must be a number", "C(x))"),
        ("y ~ x + I(x^2)", r"Write \*\*", "x^2)"),
        ("y ~ I(2)", "uses no column", "I(2)"),
        ("y ~ log(x, 2)", "exactly one expression", "log(x, 2)"),
        ("y ~ log()", "exactly one expression", "log()"),
        ("y ~ log(C(g))", "not a number", "C(g))"),
        ("y ~ z + center(1 + scale(x))", "cannot stand inside", "scale(x))"),
        ("y ~ logg(x)", "Did you mean 'log'", "logg(x)"),
        ("y ~ C()", "takes one column", "C()"),
        ("y ~ C(x + 1)", "takes one column", "C(x + 1)"),
        ("y ~ C(g, Foo)", "not a contrast", "Foo)"),
        ("y ~ C(g, levels=['a', b])", "not a level", "b])"),
        ("y ~ C(g, levels=['a', 'a'])", "listed twice", "['a', 'a'])"),
        ("y ~ C(g, order=['a'])", "knows the options", "['a'])"),
    ],
)
def test_a_typo_is_shown_where_it_is(text: str, message: str, above: str) -> None:
    said, found = caret(text)
    assert found == above
    assert re.search(message, said), said


@pytest.mark.parametrize(
    "expression",
    [
        "log(x.__class__)",
        "log(__import__('os').system('true'))",
        "os.system('true')",
        "eval('1')",
        "log((lambda: 1)())",
        "log([x for x in y])",
        "log(x[0])",
        "log(x if z else w)",
        "log(x and z)",
        "log(x < z)",
        "log(x := 3)",
        "log('x')",
        "log(*x)",
        "log(x=3)",
        "I(f(x))",
        "I(x @ z)",
        "I(x // z)",
        "I({x})",
        "`log`.real",
        "().__class__",
    ],
)
def test_nothing_but_the_listed_functions_is_computed(expression: str) -> None:
    caret(f"y ~ z + {expression}")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("(1 | g) + (x | g)", r"Drop \(1 \| g\);"),
        ("(x | g) + (0 + x | g)", r"Drop \(0 \+ x \| g\);"),
        ("(1 | g) + (1 | g)", r"Drop \(1 \| g\);"),
        ("(1 | a) + (1 | a/b)", r"level of a, .* Drop \(1 \| a\);"),
        ("(1 | a:b) + (1 | b:a)", r"Drop \(1 \| b:a\);"),
        ("(x || g) + (z | g)", r"Drop \(1 \| g\);"),
        ("(x + z | g) + (x + w | g)", "Drop Intercept from one"),
    ],
)
def test_two_coefficients_for_the_same_thing_are_refused(text: str, advice: str) -> None:
    with pytest.raises(FitError, match=advice):
        parse(f"y ~ {text}")


@given(st.text("yx1g~+-*/:|()[]^ .,='`C\"", max_size=25))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(FitError):
        terms(parse(text).fixed)


numbers = st.recursive(
    st.sampled_from(["x", "z", "`a b`", "2", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from([*FUNCTIONS]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        inner.map(lambda t: f"(-{t})"),
    ),
    max_leaves=6,
)


@given(numbers)
def test_reading_an_expression_twice_changes_nothing(expression: str) -> None:
    (_, (factor,)) = terms(f"I(x + {expression})")
    (_, (again,)) = terms(factor.text)
    assert again.text == factor.text
    assert again.columns == factor.columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"y ~ {'(' * 500}x{')' * 500}", "nested more than 50 deep"),
        (f"y ~ I({'-' * 5000}x)", "chains more than 100 operations"),
        (f"y ~ I({' + '.join(['x'] * 3000)})", "chains more than 100 operations"),
        (f"y ~ {'-' * 5000}x", "missing after this sign"),
        (f"y ~ {' * '.join(f'x{i}' for i in range(24))}", "more than 1,000 terms"),
        (f"y ~ ({' + '.join(f'x{i}' for i in range(200))})^4", "more than 1,000 terms"),
        ("y ~ (((a + b + c + d)^4 * (e + f + g)^3):(h + i)^2)^2", "more than 1,000 terms"),
    ],
)
def test_what_would_never_end_is_refused_at_once(text: str, message: str) -> None:
    said, _ = caret(text)
    assert re.search(message, said), said


@pytest.mark.parametrize("join", ["*", ":", "+", "/"])
def test_the_count_of_terms_is_the_number_of_terms(join: str) -> None:
    text = f" {join} ".join(["a", "(b + c)", "d", "(e + f + g)^2"])
    expected = len(terms(text)) - 1  # but for the intercept
    found = check_sum(text, tokenize(text))
    # a / (b + c) is a + a:b:c, where two terms are counted.
    assert found >= expected if join == "/" else found == expected


def test_a_long_formula_is_shown_around_the_place() -> None:
    said, above = caret(f"y ~ {' + '.join(f'long_name_{i}' for i in range(50))} + 3 * x + z")
    assert "number in a formula is 0 or 1" in said
    assert above == "3 * x + z"


@pytest.mark.parametrize("thing", [None, 3, {"y": [1]}])
def test_what_is_no_text_is_no_formula(thing: object) -> None:
    with pytest.raises(FitError, match="The formula is a text such as 'y ~ x', not"):
        parse(thing)  # type: ignore[arg-type]


def test_instruments_are_sent_to_their_function() -> None:
    assert "belongs to fit_iv" in caret("y ~ x + [e ~ z]")[0]


def test_formulas_pickle() -> None:
    found = parse("y ~ log(x) + (x || a/b)")
    assert pickle.loads(pickle.dumps(found)) == found


def test_importing_needs_neither_formulaic_nor_pandas() -> None:
    code = (
        "import sys, distortion.fits.formulas.modelframe\n"
        "heavy = {'formulaic', 'pandas', 'statsmodels', 'linearmodels'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
