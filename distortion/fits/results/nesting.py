"""Whether two fits have the same data, and whether one model is the other with restrictions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError

if TYPE_CHECKING:
    from distortion.fits.formulas.grouping import Grouping
    from distortion.fits.formulas.modelframe import ModelFrame
    from distortion.fits.results.result import Fit

Values = NDArray[np.float64]
# Of a squared column length that the larger model's columns leave unexplained: rounding error.
NEGLIGIBLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What a larger model has that the smaller one holds at zero.

    Attributes
    ----------
    fixed : number of fixed effects
    variances : number of variances, which zero bounds
    covariances : number of covariances between random effects of a level
    """

    fixed: int
    variances: int
    covariances: int

    @property
    def total(self) -> int:
        """The number of parameters restricted."""
        return self.fixed + self.variances + self.covariances


def check_same_data(small: "Fit", large: "Fit") -> None:
    """Raise FitError unless both fits have the same rows, response, weights and offset."""
    a, b = small.model.frame, large.model.frame
    if small.n_obs != large.n_obs:
        raise FitError(
            f"The fits have different rows: {small.n_obs:,} and {large.n_obs:,}. Rows with missing "
            "values in the columns of a formula are left out; drop them first and refit both."
        )
    for what in ("response", "trials"):
        one, other = getattr(a.formula, what), getattr(b.formula, what)
        if one != other:
            raise FitError(f"The fits have different responses: {one} and {other}.")
    for chunk, twin in zip(a.chunks(), b.chunks(), strict=True):
        for what in ("y", "trials", "weights", "offset"):
            one, other = getattr(chunk, what), getattr(twin, what)
            if (one is None) != (other is None) or (one is not None and (one != other).any()):
                name = {"y": "response"}.get(what, what)
                raise FitError(
                    f"The fits differ in their {name}, so their likelihoods are of different "
                    "data. Fit both models to the same table, in the same order of rows."
                )


def restrictions(small: "Fit", large: "Fit") -> Restrictions:
    """What distinguishes `large` from `small`.

    Raises
    ------
    FitError
        If `small` is not a special case of `large`.
    """
    a, b = small.model.frame, large.model.frame
    check_fixed(small, large)
    variances = covariances = 0
    others = {grouping.name: grouping for grouping in b.groupings}
    for grouping in a.groupings:
        other = others.pop(grouping.name, None)
        if other is None:
            raise FitError(
                f"The models are not nested: the smaller one has random effects of "
                f"{grouping.name}, the larger one has none. {_INSTEAD}"
            )
        added = _added(grouping, other)
        variances, covariances = variances + added[0], covariances + added[1]
    for grouping in others.values():
        variances += len(grouping.covariates)
        covariances += int(np.tril(grouping.free, -1).sum())
    fixed = len(large.names) - len(small.names)
    return Restrictions(fixed, variances, covariances)


def check_fixed(small: "Fit", large: "Fit") -> None:
    """Raise FitError unless the fixed columns of `small` are combinations of those of `large`."""
    a, b = small.model.frame, large.model.frame
    if set(small.names) <= set(large.names) and a.table is b.table:
        return
    outside = columns_outside(a, b)
    if outside:
        raise FitError(
            f"The models are not nested: {', '.join(outside)} of the smaller model "
            f"{'is' if len(outside) == 1 else 'are'} no combination of the larger model's fixed "
            f"effects. {_INSTEAD}"
        )


def same_fixed(one: "Fit", other: "Fit") -> bool:
    """Whether the fixed columns are the same ones, in any order and on the same scale."""
    if set(one.names) != set(other.names):
        return False
    a, b = one.model.frame, other.model.frame
    if a.table is b.table:
        return True
    order = [b.fixed_names.index(name) for name in one.names]
    kept = [a.fixed_names.index(name) for name in one.names]
    pairs = zip(a.chunks(), b.chunks(), strict=True)
    return all(np.array_equal(c.X[:, kept], d.X[:, order]) for c, d in pairs)


def columns_outside(small: "ModelFrame", large: "ModelFrame") -> list[str]:
    """Names of the fixed columns of `small` that those of `large` do not span."""
    p = len(small.fixed_names)
    joint = np.zeros((p + len(large.fixed_names),) * 2)
    for chunk, twin in zip(small.chunks(), large.chunks(), strict=True):
        both = np.hstack([chunk.X, twin.X])
        joint += both.T @ both
    scale = np.sqrt(np.diagonal(joint))
    joint /= np.outer(scale, scale)
    inside, cross = joint[p:, p:], joint[p:, :p]
    explained = np.einsum("ij,ij->j", cross, np.linalg.pinv(inside, hermitian=True) @ cross)
    left = 1.0 - explained
    return [name for name, rest in zip(small.fixed_names, left, strict=True) if rest > NEGLIGIBLE]


def _added(small: "Grouping", large: "Grouping") -> tuple[int, int]:
    """Variances and covariances that `large` has and `small` has not."""
    if missing := [name for name in small.covariates if name not in large.covariates]:
        raise FitError(
            f"The models are not nested: the smaller one has the random effect {missing[0]!r} of "
            f"{small.name}, the larger one has not. {_INSTEAD}"
        )
    place = [large.covariates.index(name) for name in small.covariates]
    free = large.free | large.free.T
    if ((small.free | small.free.T) & ~free[np.ix_(place, place)]).any():
        raise FitError(
            f"The models are not nested: random effects of {small.name} are correlated in the "
            f"smaller model and uncorrelated in the larger one. {_INSTEAD}"
        )
    variances = len(large.covariates) - len(small.covariates)
    covariances = int(np.tril(large.free, -1).sum() - np.tril(small.free, -1).sum())
    return variances, covariances


_INSTEAD: Final = "distortion.information_criteria compares models that are not nested."
