"""The within transformation: what is left of columns when effects of groups are taken out.

x̃ = x − mean of x in its group;  with two groupings, alternately until nothing changes
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
# Of a column's variation: what remains of it after demeaning is rounding error.
ABSORBED: Final = 1e-7
CONVERGED: Final = 1e-12
MOST_ROUNDS: Final = 10_000


def demeaned(columns: Values, groupings: Sequence[Codes], weights: Values | None) -> Values:
    """Columns (n, p) without the effects of each grouping's codes (n,).

    Raises
    ------
    FitError
        Two groupings are so weakly connected that alternating does not settle.
    """
    total = np.ones(len(columns)) if weights is None else weights
    sums = [np.bincount(codes, total).astype(np.float64) for codes in groupings]
    out = np.array(columns, dtype=np.float64, order="F")
    for j in range(out.shape[1]):
        out[:, j] = _settled(out[:, j], groupings, total, sums)
    return out


def _settled(
    x: Values, groupings: Sequence[Codes], weights: Values, sums: Sequence[Values]
) -> Values:
    x = x - weights @ x / weights.sum()
    scale = np.sqrt(weights @ x**2)
    for _ in range(MOST_ROUNDS):
        step = 0.0
        for codes, total in zip(groupings, sums, strict=True):
            means = np.bincount(codes, weights * x) / total
            step += float(total @ means**2)
            x = x - means[codes]
        if len(groupings) == 1 or np.sqrt(step) <= CONVERGED * scale:
            return x
    raise FitError(
        f"The two effects did not separate in {MOST_ROUNDS:,} rounds: entities and times are "
        "hardly connected. Use one of them."
    )


def absorbed_columns(X: Values, within: Values, noise: Values) -> NDArray[np.bool_]:
    """Columns (p,) of X (n, p) of which the transformation leaves nothing but rounding.

    `noise` (p,) is what rounding leaves in an entry of X, whose columns have mean zero.
    """
    spread, left = (np.sqrt((part**2).mean(axis=0)) for part in (X, within))
    return np.asarray(left <= np.maximum(ABSORBED * spread, noise))


def n_effects(groupings: Sequence[Codes]) -> int:
    """Free parameters of the effects: levels of one grouping; of two, less one per component.

    Levels are connected if a row has both; each connected component loses one parameter.
    """
    sizes = [int(codes.max()) + 1 for codes in groupings]
    if len(groupings) == 1:
        return sizes[0]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = groupings
    joined = coo_array((np.ones(len(a)), (a, sizes[0] + b)), shape=(sum(sizes),) * 2)
    return sum(sizes) - int(connected_components(joined, directed=False)[0])
