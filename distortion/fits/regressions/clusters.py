"""Clusters of rows whose errors are dependent: their codes, checks, and what rests on few of them.

Cluster-robust standard errors are consistent in the number of clusters G, not of rows; with few
clusters, or with one that decides a coefficient, they are too small (MacKinnon, Nielsen & Webb
2023, J. Econometrics 232(2)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.labels import listed

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
Cluster = str | Sequence[str] | None
FEW: Final = 10
# A coefficient rests on one cluster that has this share of its partial leverage.
DOMINANT: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """One way to cluster n rows.

    Attributes
    ----------
    name : "network", or "network:class_id" for combinations of columns
    columns : of the table
    codes : (n,) from 0 to size − 1
    size : number of clusters G
    """

    name: str
    columns: tuple[str, ...]
    codes: Codes
    size: int


def cluster_columns(cluster: Cluster, known: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Name and columns of each way to cluster: `"a"`, `"a:b"` for combinations, `["a", "b"]`.

    Raises
    ------
    FitError
        More than two ways are asked for.
    """
    asked = [cluster] if isinstance(cluster, str) else list(cluster or ())
    if len(asked) > 2:
        raise FitError(
            f"Errors can be clustered in one or two ways, not in {len(asked)}. For clusters that "
            f'are combinations of columns write "{":".join(asked)}".'
        )
    return [(name, (name,) if name in known else tuple(name.split(":"))) for name in asked]


def clusterings(
    frame: "ModelFrame", ways: Sequence[tuple[str, tuple[str, ...]]]
) -> tuple[Clustering, ...]:
    """Code the clusters of the rows used.

    Raises
    ------
    FitError
        There are fewer than two clusters.
    """
    found = []
    for name, columns in ways:
        codes, size = combined_codes(frame.columns(*columns))
        if size < 2:
            raise FitError(
                f"All {frame.n_obs:,} rows are in one cluster of {name}. Clustered errors need at "
                "least two, in practice ten; cluster by a finer column, or not at all."
            )
        found.append(Clustering(name, columns, codes, size))
    return tuple(found)


def combined_codes(table: pl.DataFrame) -> tuple[Codes, int]:
    """Number (n,) the distinct rows of a table in their order; their number."""
    columns = [f"column_{i}" for i in range(table.width)]
    plain = table.rename(dict(zip(table.columns, columns, strict=True)))
    levels = plain.unique(maintain_order=True).with_row_index("code")
    codes = plain.join(levels, on=columns, how="left", maintain_order="left", nulls_equal=True)
    return codes["code"].to_numpy().astype(np.intp), levels.height


def count_notes(ways: Sequence[Clustering], hint: str = "") -> list[str]:
    """What few or unequal clusters mean for the tests; `hint` is what to do about few."""
    notes = []
    for way in ways:
        sizes = np.bincount(way.codes)
        if way.size < FEW:
            few = f"Only {way.size} clusters of {way.name}: standard errors tend to be too small."
            notes.append(f"{few} {hint}".rstrip())
        elif sizes.max() > DOMINANT * len(way.codes):
            notes.append(
                f"One cluster of {way.name} has {sizes.max():,} of {len(way.codes):,} rows: "
                "standard errors tend to be too small."
            )
    return notes


def leverage_by_cluster(X: Values, A: Values, way: Clustering) -> Values:
    """Share (G, p) of each cluster in the partial leverage of each coefficient.

    The part of column j that the others do not explain is X A e_j / A_jj; A = (X'X)⁻¹.
    """
    shares = np.empty((way.size, len(A)))
    for j, direction in enumerate(A.T):
        squares = np.bincount(way.codes, (X @ direction) ** 2, way.size)
        shares[:, j] = squares / squares.sum()
    return shares


def leverage_notes(
    X: Values, A: Values, ways: Sequence[Clustering], names: Sequence[str]
) -> list[str]:
    """Name the coefficients that rest mainly on one cluster."""
    notes = []
    for way in ways:
        largest = leverage_by_cluster(X, A, way).max(axis=0)
        if resting := [n for n, share in zip(names, largest, strict=True) if share > DOMINANT]:
            notes.append(
                f"More than half of what is known about {listed(resting)} comes from one cluster "
                f"of {way.name}: do not rely on the standard error."
            )
    return notes
