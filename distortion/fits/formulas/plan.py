"""What a formula asks of a table: which columns, as what, and what must hold of their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from distortion.errors import FitError
from distortion.fits.formulas.expressions import Atom, State, read_atom
from distortion.fits.formulas.formula import Formula
from distortion.fits.formulas.levels import declared_levels
from distortion.fits.formulas.screening import (
    RESPONSE,
    TRIALS,
    WEIGHT,
    Screening,
    categorical,
    check_category,
    check_columns,
    check_number,
    collect,
    rows_where,
)
from distortion.fits.formulas.terms import terms
from distortion.fits.formulas.tokens import tokenize
from distortion.fits.formulas.variables import Variables
from distortion.frames import Table


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a formula asks of a table, before its rows are looked at.

    Attributes
    ----------
    atoms : of the fixed part and the random terms
    outcome : atoms of "y", "weights", "trials"; `offsets` those inside offset()
    declared : order of the levels of columns
    coded : texts of the categorical atoms
    """

    atoms: tuple[Atom, ...]
    outcome: Mapping[str, Atom]
    offsets: tuple[Atom, ...]
    declared: Mapping[str, Sequence[Any]]
    coded: frozenset[str]

    @property
    def numeric(self) -> tuple[Atom, ...]:
        """Atoms that are numbers."""
        predictors = (a for a in self.atoms if a.text not in self.coded)
        return (*self.outcome.values(), *self.offsets, *predictors)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that are used as numbers."""
        return tuple(dict.fromkeys(c for a in self.numeric for c in a.columns))

    @property
    def categories(self) -> tuple[str, ...]:
        """Columns that are used as categories."""
        return tuple(dict.fromkeys(a.columns[0] for a in self.atoms if a.text in self.coded))

    def questions(self) -> dict[str, pl.Expr]:
        """What to ask of the rows used, in one value each."""
        asked: dict[str, pl.Expr] = {}
        calls = {t: e for a in self.numeric for t, e in a.stateful().items()}
        for text, argument in calls.items():
            asked[f"mean {text}"] = argument.mean()
            asked[f"sd {text}"] = argument.std()
        for found in self.numeric:
            if found.kind == "number" and not found.stateful():
                asked[f"finite {found.text}"] = found.number({}).is_finite().all()
        for name in ("y", "weights"):
            if name in self.outcome and not self.outcome[name].stateful():
                value = self.outcome[name].number({})
                asked |= {f"low {name}": value.min(), f"high {name}": value.max()}
        return asked

    def settled(self, table: Table, seen: Screening) -> Variables:
        """Return the variables, given what the rows used have shown.

        Raises
        ------
        FitError
            If there is one row only, an expression is infinite or undefined, the response
            constant, a weight not positive, or a category has one level, one for each row or
            undeclared ones.
        """
        if seen.n_obs == 1:
            raise FitError(" ".join(["1 row is not enough to fit a model: add rows.", *seen.notes]))
        answers = seen.answers
        state = {
            key.removeprefix("mean "): (answers[key], answers[f"sd {key.removeprefix('mean ')}"])
            for key in answers
            if key.startswith("mean ")
        }
        for text, (_, sd) in state.items():
            if text.startswith("scale(") and not sd:
                raise FitError(f"{text} divides by the SD of a constant: drop it from the formula.")
        self._check_finite(table, seen, state)
        if "low weights" in answers and answers["low weights"] <= 0:
            raise FitError(
                f"Column {self.outcome['weights'].text!r} holds weights that are not positive, the "
                f"smallest {answers['low weights']:g}. Leave out rows that have no weight."
            )
        if "trials" not in self.outcome and answers.get("low y", 0) == answers.get("high y", 1):
            raise FitError(
                f"The response {self.outcome['y'].text} is {answers['low y']:g} in all "
                f"{seen.n_obs} rows: there is nothing to explain."
            )
        outcome = {name: found.number(state) for name, found in self.outcome.items()}
        if self.offsets:
            outcome["offset"] = sum((a.number(state) for a in self.offsets), pl.lit(0.0))
        coded = {a.text: self._levels(a, seen) for a in self.atoms if a.text in self.coded}
        return Variables(outcome, coded, seen.means, state, self.offsets)

    def _check_finite(self, table: Table, seen: Screening, state: State) -> None:
        for found in self.numeric:
            if found.kind != "number":
                continue
            bad = ~found.number(state).is_finite()
            if seen.complete is not None:
                bad &= seen.complete
            if found.stateful():
                fine = not collect(table.lazy().select(bad.any()), table).item()
            else:
                fine = seen.answers[f"finite {found.text}"]
            if not fine:
                raise FitError(
                    f"{found.text} is infinite or undefined in {rows_where(table, bad)}. Leave "
                    "such rows out, or choose another expression."
                )

    def _levels(self, factor: Atom, seen: Screening) -> pl.Series:
        column = factor.columns[0]
        found = seen.levels[column]
        declared = factor.levels or self.declared.get(column)
        if declared is not None:
            occurring = found.to_list()
            if strangers := [level for level in occurring if level not in declared]:
                raise FitError(
                    f"Column {column!r} holds {strangers[0]!r}, which is not among its declared "
                    f"levels {list(declared)}. Declare it, or leave those rows out."
                )
            place = {level: i for i, level in enumerate(declared)}
            found = pl.Series(sorted(occurring, key=place.__getitem__), dtype=found.dtype)
        if len(found) >= seen.n_obs:
            what = "text" if isinstance(found.dtype, pl.String) else "a category"
            raise FitError(
                f"Column {column!r} is {what} with {len(found)} levels for {seen.n_obs} rows: cast "
                "it to a number, or use it as a grouping factor."
            )
        if len(found) < 2:
            raise FitError(
                f"The category {factor.text} has one level only ({found[0]}), so that nothing can "
                "be compared. Drop it from the formula."
            )
        return found


def plan(
    formula: Formula,
    table: Table,
    weights: str | None,
    levels: Mapping[str, Sequence[Any]] | None,
    need: Sequence[str],
) -> Plan:
    """Return what `formula` asks of `table`; the arguments are those of `model_frame`.

    Raises
    ------
    FitError
        If a column is unknown, or of a type that its place in the formula does not allow; or
        `weights` or `levels` is not what it should be.
    """
    if weights is not None and not isinstance(weights, str):
        raise FitError(
            f"weights names a column of the table, not {type(weights).__name__}: add it with "
            "with_columns, and give its name."
        )
    declared = declared_levels(levels)
    schema = table.collect_schema()
    atoms: dict[str, Atom] = {}
    for rhs in (formula.fixed, *(term.covariates for term in formula.random)):
        for found in (factor for term in terms(rhs) for factor in term):
            if atoms.setdefault(found.text, found).kind != found.kind:
                raise FitError(f"{found.text} is a column and an expression: rename the column.")
    outcome = {"y": _atom(formula.response)}
    if formula.trials is not None:
        outcome["trials"] = Atom(formula.trials, "column", (formula.trials,))
    if weights is not None:
        outcome["weights"] = Atom(weights, "column", (weights,))
    offsets = tuple(_atom(text) for text in formula.offsets)
    used = [*outcome.values(), *offsets, *atoms.values()]
    check_columns([c for a in used for c in a.columns], schema)
    grouped = [c for term in formula.random for c in term.group]
    check_columns([*grouped, *declared, *need], schema)
    coded = frozenset(
        a.text
        for a in atoms.values()
        if a.kind == "factor"
        or (a.kind == "column" and (a.text in declared or categorical(schema[a.text])))
    )
    found_plan = Plan(tuple(atoms.values()), outcome, offsets, declared, coded)
    uses = {"y": RESPONSE, "trials": TRIALS, "weights": WEIGHT}
    for name, found in outcome.items():
        for column in found.columns:
            check_number(column, schema[column], uses[name])
    for found in (*offsets, *(a for a in atoms.values() if a.text not in coded)):
        for column in found.columns:
            check_number(column, schema[column], found.text)
    for column in (*found_plan.categories, *grouped):
        check_category(column, schema[column])
    return found_plan


def _atom(text: str) -> Atom:
    return read_atom(text, tokenize(text), arithmetic=True)
