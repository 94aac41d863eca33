"""What a formula may compute from a column: a fixed list of functions, and nothing else.

An expression is checked node by node against this list and becomes a polars expression; no text
of a formula is ever evaluated as Python.

    log log2 log10 log1p exp sqrt abs logit     of one expression
    center(x)  scale(x)                         x − mean, (x − mean) / SD with n − 1
    I(x**2 + y)                                 arithmetic: + − * / **
    C(g)  C(g, Sum)  C(g, Helmert)  C(g, Treatment("b"))  C(g, levels=["b", "a"])

Means and SDs are of the rows that a model was fitted to, also when new rows are predicted.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from distortion.errors import FitError, did_you_mean
from distortion.fits.formulas.tokens import Token, mistake

FUNCTIONS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "log": lambda x: x.log(),
    "log2": lambda x: x.log(2),
    "log10": lambda x: x.log10(),
    "log1p": lambda x: x.log1p(),
    "exp": lambda x: x.exp(),
    "sqrt": lambda x: x.sqrt(),
    "abs": lambda x: x.abs(),
    "logit": lambda x: (x / (1 - x)).log(),
    "I": lambda x: x,
}
# Levels of the syntax tree of one expression, as in a sum of so many columns inside I(...).
MAX_DEPTH = 100
STATEFUL = ("center", "scale")
CONTRASTS = ("Treatment", "Sum", "Helmert")
_KNOWN = (*FUNCTIONS, *STATEFUL, *CONTRASTS, "C")
_OPERATORS: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
# (mean, SD) of the argument of each center() and scale(), by the text of the call.
State = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Atom:
    """One factor of a formula's terms: a column, or a function of columns.

    Attributes
    ----------
    text : in formulaic's spelling, which names the coefficients
    kind : "column", as it is; "number", computed; "factor", coded by C(...)
    columns : what it reads
    levels : declared in C(..., levels=[...])
    contrast : "Treatment", "Sum" or "Helmert", and the reference level if one is given
    """

    text: str
    kind: Literal["column", "number", "factor"]
    columns: tuple[str, ...]
    levels: tuple[Any, ...] | None = None
    contrast: tuple[str, Any] = ("Treatment", None)
    tree: ast.expr | None = None

    def stateful(self) -> dict[str, pl.Expr]:
        """Arguments of each center() and scale(), by the text of the call."""
        calls = [n for n in ast.walk(self.tree) if _calls(n, *STATEFUL)] if self.tree else []
        return {ast.unparse(n): _number(n.args[0], {}) for n in calls}  # type: ignore[attr-defined]

    def number(self, state: State) -> pl.Expr:
        """Value of a numeric atom: float64, one per row."""
        tree = self.tree or ast.Name(quoted(self.text))
        return _number(tree, state).cast(pl.Float64)


def quoted(column: str) -> str:
    """Return a column's name as formulas write it, in backquotes if need be."""
    plain = column.replace(".", "_")
    return column if plain.isidentifier() and column[0] != "_" else f"`{column}`"


def read_atom(source: str, tokens: tuple[Token, ...], *, arithmetic: bool = False) -> Atom:
    """Return the atom that `tokens` of the formula `source` spell.

    With `arithmetic`, as inside offset(), it may also be bare arithmetic.

    Raises
    ------
    FitError
        If it does anything but call the listed functions on columns, or is too long.
    """
    if len(tokens) == 1 and tokens[0].kind == "name":
        name = tokens[0].column
        return Atom(name, "column", (name,))
    code, columns, places = _python(source, tokens)

    def place(offset: int) -> int:
        return next((old for new, old in reversed(places) if new <= offset), tokens[0].start)

    try:
        # Each level takes at least one token, and most others as well.
        tree = ast.parse(code, mode="eval").body if len(tokens) <= 10 * MAX_DEPTH else None
    except SyntaxError as error:
        raise mistake(
            source, place((error.offset or 1) - 1), "This expression cannot be read."
        ) from None

    if tree is None or _depth(tree) > MAX_DEPTH:
        raise mistake(
            source,
            tokens[0].start,
            f"This expression chains more than {MAX_DEPTH} operations: compute the column first, "
            "as with pl.sum_horizontal.",
        )

    def refuse(node: ast.AST, message: str) -> FitError:
        return mistake(source, place(getattr(node, "col_offset", 0)), message)

    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in columns:
            node.id = columns[node.id]
    if _calls(tree, "C"):
        return _factor(tree, refuse)  # type: ignore[arg-type]
    if not arithmetic and not isinstance(tree, ast.Call):
        raise refuse(tree, "Arithmetic goes inside I(...).")
    _check_number(tree, refuse)
    used = _columns(tree)
    if not used:
        raise refuse(tree, f"{ast.unparse(tree)} uses no column.")
    return Atom(ast.unparse(tree), "number", used, tree=tree)


def _python(
    source: str, tokens: tuple[Token, ...]
) -> tuple[str, dict[str, str], list[tuple[int, int]]]:
    """Spell `tokens` so that Python can read them: columns become plain identifiers.

    Returns the code, the column that each identifier stands for, and the place in `source` of
    each place in the code.
    """
    code = ""
    columns: dict[str, str] = {}
    places: list[tuple[int, int]] = []
    for token, after in zip(tokens, (*tokens[1:], tokens[-1]), strict=True):
        code += " " if code else ""
        places.append((len(code), token.start))
        if token.kind == "string":
            code += ascii(ast.literal_eval(token.text))
        elif token.kind != "name" or after.is_operator("="):
            code += token.text
        elif not after.is_operator("("):
            name = f"column{len(columns)}_"
            columns[name] = quoted(token.column)
            code += name
        elif token.text in _KNOWN:
            code += token.text
        else:
            raise mistake(
                source,
                token.start,
                f"{token.text!r} is not a function that a formula can use. "
                f"{did_you_mean(token.text, _KNOWN)} Compute other columns first.",
            )
    return code, columns, places


def _depth(tree: ast.expr) -> int:
    """Levels of `tree`, counted without recursion."""
    depth = 0
    level: list[ast.AST] = [tree]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _calls(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _columns(tree: ast.expr) -> tuple[str, ...]:
    """Columns in order of appearance; the names of functions are not among them."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in functions]
    return tuple(dict.fromkeys(name.id.strip("`") for name in names))


def _check_number(node: ast.expr, refuse: Callable[[ast.AST, str], FitError]) -> None:
    match node:
        case ast.Name():
            return
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return
        case ast.BinOp(op=ast.BitXor()):
            raise refuse(node, "Write ** for a power.")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check_number(left, refuse)
            _check_number(right, refuse)
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check_number(operand, refuse)
        case ast.Call(args=[argument], keywords=[]) if _calls(node, *FUNCTIONS, *STATEFUL):
            _check_number(argument, refuse)
            inner = [n for n in ast.walk(argument) if _calls(n, *STATEFUL)]
            if _calls(node, *STATEFUL) and inner:
                raise refuse(inner[0], f"{ast.unparse(inner[0])} cannot stand inside another one.")
        case ast.Call() if _calls(node, "C", *CONTRASTS):
            raise refuse(node, f"{ast.unparse(node)} is not a number, and cannot be computed with.")
        case ast.Call(func=ast.Name(id=name)):
            raise refuse(node, f"{name}() takes exactly one expression.")
        case _:
            raise refuse(node, f"{ast.unparse(node)} is not something that a formula can compute.")


def _factor(call: ast.Call, refuse: Callable[[ast.AST, str], FitError]) -> Atom:
    """Read C(column, contrast, levels=[...])."""
    if not call.args or not isinstance(call.args[0], ast.Name) or len(call.args) > 2:
        raise refuse(call, "C() takes one column, then a contrast and levels=[...] if wanted.")
    contrast: tuple[str, Any] = ("Treatment", None)
    levels: tuple[Any, ...] | None = None
    if len(call.args) == 2:
        contrast = _contrast(call.args[1], refuse)
    for option in call.keywords:
        match option:
            case ast.keyword(arg="levels", value=ast.List(elts=elements)) if elements:
                levels = tuple(_constant(element, refuse) for element in elements)
                if len(set(levels)) < len(levels):
                    raise refuse(option.value, "A level is listed twice.")
            case ast.keyword(arg="contrasts", value=value) if len(call.args) == 1:
                contrast = _contrast(value, refuse)
            case _:
                raise refuse(option.value, "C() knows the options levels=[...] and contrasts=.")
    column = call.args[0].id.strip("`")
    return Atom(ast.unparse(call), "factor", (column,), levels, contrast, call)


def _contrast(node: ast.expr, refuse: Callable[[ast.AST, str], FitError]) -> tuple[str, Any]:
    match node:
        case ast.Name(id=name) if name in CONTRASTS:
            return name, None
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name in CONTRASTS:
            return name, None
        case ast.Call(func=ast.Name(id="Treatment"), args=[base], keywords=[]):
            return "Treatment", _constant(base, refuse)
        case ast.Call(func=ast.Name(id="Treatment"), keywords=[ast.keyword("reference", base)]):
            return "Treatment", _constant(base, refuse)
    raise refuse(
        node,
        f'{ast.unparse(node)} is not a contrast. Known: Treatment, Treatment("b"), Sum, Helmert.',
    )


def _constant(node: ast.expr, refuse: Callable[[ast.AST, str], FitError]) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | bool()):
            return node.value
        case ast.Name(id="True" | "False" as name):
            return name == "True"
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    raise refuse(node, f"{ast.unparse(node)} is not a level: give a text in quotes or a number.")


def _number(node: ast.expr, state: State) -> pl.Expr:
    match node:
        case ast.Name():
            return pl.col(node.id.strip("`")).cast(pl.Float64)
        case ast.Constant():
            return pl.lit(float(node.value))  # type: ignore[arg-type]
        case ast.BinOp():
            combine = _OPERATORS[type(node.op)]
            return combine(_number(node.left, state), _number(node.right, state))
        case ast.UnaryOp():
            inner = _number(node.operand, state)
            return -inner if isinstance(node.op, ast.USub) else inner
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            inner = _number(argument, state)
            if name not in STATEFUL:
                return FUNCTIONS[name](inner)
            mean, sd = state[ast.unparse(node)]
            return (inner - mean) / sd if name == "scale" else inner - mean
    raise AssertionError(ast.dump(node))
