"""The variance parameters of a mixed model, under one name wherever they are rows or columns.

`sd Intercept | network`, `correlation Intercept, x | network`, `sd Residual`: the rows of
`Fit.variances` in words, SDs of a grouping factor before its correlations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distortion.fits.formulas.grouping import Grouping

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An SD or correlation: of coefficient `i`, or `i` and `j`, of grouping factor `k`."""

    kind: Literal["sd", "correlation", "residual"]
    k: int
    i: int
    j: int
    name: str

    def value(self, covariances: Sequence[Values], sigma: Values) -> Values:
        """Return it, given each grouping factor's covariance (…, r, r) and the residual SD (…).

        NaN for a correlation with a coefficient that does not vary.
        """
        if self.kind == "residual":
            return sigma
        covariance = covariances[self.k]
        sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        if self.kind == "sd":
            return np.asarray(sd[..., self.i])
        product = sd[..., self.i] * sd[..., self.j]
        varies = product > 0
        crossed = covariance[..., self.i, self.j]
        return np.where(varies, crossed / np.where(varies, product, 1.0), np.nan)


def variance_parameters(groupings: Sequence[Grouping]) -> list[Parameter]:
    """Return every variance parameter of a linear mixed model, the residual SD last."""
    found = []
    for k, grouping in enumerate(groupings):
        names = grouping.covariates
        for i, name in enumerate(names):
            found.append(Parameter("sd", k, i, i, f"sd {name} | {grouping.name}"))
        for j, i in np.argwhere(np.tril(grouping.free, -1)):
            pair = f"correlation {names[i]}, {names[j]} | {grouping.name}"
            found.append(Parameter("correlation", k, int(i), int(j), pair))
    return [*found, Parameter("residual", -1, -1, -1, "sd Residual")]
