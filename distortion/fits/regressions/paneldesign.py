"""What of a panel's columns is left to estimate once its effects are taken out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.regressions.leastsquares import (
    Arrays,
    dependent_columns,
    dropped_notes,
    shortened,
)
from distortion.fits.regressions.panelindex import (
    Panel,
    count_effects,
    refuse_absorbed,
    refuse_constant,
)
from distortion.fits.regressions.standard import Standard, standardised
from distortion.fits.regressions.within import absorbed_columns, demeaned

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PanelDesign:
    """Response and columns to regress.

    Attributes
    ----------
    data : without effects where they are fixed, in the units of `made`
    made : response and all columns but the intercept that effects stand in for, standardised
    kept : columns of `made` that `data` has; `names` theirs
    notes : what was left out
    """

    data: Arrays
    made: Standard
    kept: list[int]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def panel_design(frame: "ModelFrame", arrays: Arrays, panel: Panel) -> PanelDesign:
    """Take the effects out of `arrays`, and leave out columns that nothing is left of.

    Raises
    ------
    FitError
        No column is left, or the effects absorb one that varies.
    """
    names = frame.fixed_names
    fixed = panel.effects != "random"
    columns = [j for j, name in enumerate(names) if not (fixed and name == "Intercept")]
    shown = [names[j] for j in columns]
    if not shown:
        raise FitError("Nothing but an intercept is left, and the effects stand in for it.")
    n, weights = frame.n_obs, arrays.weights
    count_effects(panel, n, 0)
    response = frame.formula.response
    made = standardised(arrays.y, arrays.X[:, columns], weights, shown, response, centred=fixed)
    y, X, notes = made.y, made.X, [*frame.notes]
    usable = np.ones(len(shown), dtype=bool)
    if fixed:
        y, X, usable = _within(made, shown, panel, weights)
        if constant := [name for name, use in zip(shown, usable, strict=True) if not use]:
            notes.append(
                f"{shortened(constant)}: left out, because a constant is absorbed by the effects."
            )
    left = np.flatnonzero(usable)
    total = n if weights is None else float(weights.sum())
    noise = made.noise[left] * np.sqrt(total)
    plain = Arrays(y, X[:, left], weights).weighted().X
    raw = plain if fixed else Arrays(y, arrays.X[:, columns], weights).weighted().X[:, left]
    dependent = dependent_columns(plain, [shown[i] for i in left], noise, raw)
    kept = [int(i) for i in left if shown[i] not in dependent]
    notes += dropped_notes(dependent)
    data = Arrays(y, X[:, kept], weights)
    return PanelDesign(data, made, kept, tuple(shown[i] for i in kept), tuple(notes))


def _within(
    made: Standard, names: list[str], panel: Panel, weights: Values | None
) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Response (n,) and columns (n, p) without effects; which columns vary (p,)."""
    varying = ~made.constant
    if not varying.any():
        refuse_constant(names, panel)
    X = np.zeros_like(made.X)
    X[:, varying] = demeaned(made.X[:, varying], panel.groupings, weights)
    nothing = absorbed_columns(made.X, X, made.noise) & varying
    if nothing.any():
        refuse_absorbed([n for n, no in zip(names, nothing, strict=True) if no], names, panel)
    y = demeaned(made.y[:, None], panel.groupings, weights)[:, 0]
    return y, X, varying
