"""Which grouping factors become columns of Z, and which one is an effect of every row."""

from dataclasses import dataclass

import numpy as np

from distortion.fits.laplace.design import Design


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """Which grouping factors of the frame are columns of Z, and which is one effect per row.

    kept    positions of those in Z, in the order of the problem
    row     position of the one with a level for each row, where another one stands beside it
    codes   (n,) its levels
    """

    kept: tuple[int, ...]
    row: int | None
    codes: np.ndarray | None

    @classmethod
    def of(cls, design: Design) -> "Structure":
        """Find the grouping factor with a level for each row, if there is one to spare."""
        everything = tuple(range(len(design.shapes)))
        single = [
            k
            for k in everything
            if design.shapes[k] == (design.n, 1) and design.covariates[k][0] is None
        ]
        if not single or len(everything) == 1:
            return cls(everything, None, None)
        row = single[0]
        return cls(tuple(k for k in everything if k != row), row, design.codes[row])
