"""How the rows of a panel are indexed by entity and time, and what its effects leave."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from distortion.errors import FitError
from distortion.fits.regressions.clusters import Clustering
from distortion.fits.regressions.within import n_effects
from distortion.labels import listed

if TYPE_CHECKING:
    from distortion.fits.formulas.modelframe import ModelFrame

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
Effects = Literal["entity", "time", "both", "random"]
EFFECTS: Final = ("entity", "time", "both", "random")
PanelCovariance = Literal["nonrobust", "HC1"]
LINEARMODELS: Final = {"nonrobust": "unadjusted", "HC1": "robust"}


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """How rows are indexed, and what is done about it.

    Attributes
    ----------
    entity, time : names for readers; codes (n,) of each row; time is the place in the entity
        where no column gives it
    advice : on the clusters
    """

    effects: Effects
    entity: str
    time: str | None
    entity_codes: Codes
    time_codes: Codes
    covariance: PanelCovariance
    clusters: tuple[Clustering, ...]
    conf_level: float
    advice: tuple[str, ...] = ()

    @property
    def groupings(self) -> list[Codes]:
        """Codes whose effects are taken out."""
        taken = {"entity": [0], "time": [1], "both": [0, 1], "random": []}[self.effects]
        return [(self.entity_codes, self.time_codes)[i] for i in taken]

    @property
    def absorbing(self) -> str:
        """What takes variation out, in words."""
        names = {"entity": self.entity, "time": self.time, "both": f"{self.entity} and {self.time}"}
        return names.get(self.effects) or ""

    @property
    def sizes(self) -> dict[str, int]:
        """Number of entities, times and clusters."""
        found = {self.entity: int(self.entity_codes.max()) + 1}
        if self.time is not None:
            found[self.time] = int(self.time_codes.max()) + 1
        return found | {way.name: way.size for way in self.clusters}

    @property
    def small_sample(self) -> list[str]:
        """How clustered errors are corrected for few clusters."""
        if not self.clusters:
            return []
        smallest = min(way.size for way in self.clusters)
        return [
            "Clustered errors have the factor G/(G − 1) · (n − 1)/(n − p) for G clusters, where p "
            "counts the effects unless clusters contain them, and t tests with "
            f"{smallest - 1} degrees of freedom."
        ]


def time_codes(frame: "ModelFrame", entity: str, codes: Codes, time: str | None) -> Codes:
    """Rank of each row's time; where there is none, the row's place in its entity."""
    rows = pl.DataFrame({"entity": codes})
    if time is None:
        place = rows.select(pl.int_range(pl.len()).over("entity")).to_series()
        return place.to_numpy().astype(np.intp)
    column = frame.columns(time).to_series()
    if not (column.dtype.is_numeric() or column.dtype.is_temporal()):
        raise FitError(
            f"The time {time!r} holds {column.dtype}, for example {column[0]!r}, which has no "
            f"order in time. Make it a number first: pl.col({time!r}).cast(pl.Float64)."
        )
    rows = rows.with_columns(time=column.rank("dense") - 1)
    twice = rows.filter(rows.is_duplicated())
    if twice.height:
        where = int(np.flatnonzero(rows.is_duplicated().to_numpy())[0])
        raise FitError(
            f"{twice.height:,} rows share entity and time, the first with {time} = "
            f"{column[where]!r}: an entity of {entity} has each time once. Name more columns in "
            "entity=, or leave time= out."
        )
    return rows["time"].to_numpy().astype(np.intp)


def count_effects(panel: Panel, n: int, p: int) -> int:
    """Number of effects taken out, if n rows are enough for them and p coefficients."""
    effects = n_effects(panel.groupings) if panel.groupings else 0
    if n <= p + effects:
        raise FitError(
            f"{n:,} rows and {effects:,} effects of {panel.absorbing or panel.entity}: nothing is "
            f"left to estimate {p} coefficient(s) and the error from."
        )
    return effects


def coarser_clusters(frame: "ModelFrame", first: str, way: Clustering) -> tuple[str, ...]:
    """Advice on the default clusters where an entity is a combination of columns."""
    size = frame.columns(first)[first].n_unique()
    if size < 2:
        return ()
    return (
        f"Errors are clustered by {way.name} ({way.size:,} clusters), which takes entities of the "
        f"same {first} as independent. Where they are not, give cluster={first!r} "
        f"({size:,} clusters).",
    )


def refuse_constant(names: list[str], panel: Panel) -> NoReturn:
    """Raise FitError that names the columns, all of them constant."""
    raise FitError(
        f"Every column is absorbed: {listed(names)} {'are' if len(names) > 1 else 'is'} the same "
        f"in all rows, which the effects of {panel.absorbing} stand for. Add a column that varies "
        f"within {panel.absorbing}."
    )


def refuse_absorbed(absorbed: list[str], names: list[str], panel: Panel) -> NoReturn:
    """Raise FitError that names the columns and what of them is identified."""
    left = [name for name in names if name not in absorbed and set(name.split(":")) & set(absorbed)]
    identified = (
        f" Its interactions ({listed(left)}) are identified: keep those alone." if left else ""
    )
    raise FitError(
        f"{listed(absorbed)} {'do' if len(absorbed) > 1 else 'does'} not vary within "
        f"{panel.absorbing}, so that the effects absorb {'them' if len(absorbed) > 1 else 'it'}: "
        f"only interactions with what varies are identified.{identified} Write a:b without a, or "
        'use effects="random" or fit_lmm.'
    )
