"""Pilots and a request become the table of a plan and its power curve."""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, ndtri

from distortion.designs import CONDITION
from distortion.planning.assumptions import Assumptions
from distortion.planning.pilot import Pilot
from distortion.planning.power import FEWEST_SEEDS, MOST_SEEDS, TTest
from distortion.planning.request import Request
from distortion.planning.simulation import drawn, resampled, shown

Values = NDArray[np.float64]
Row = tuple[Pilot, float, int]
TEST: Final = {
    **{c: pl.Float64() if c == "ratio" else pl.String() for c in CONDITION},
    "class_id": pl.Int64(),
    "class_name": pl.String(),
    "question": pl.String(),
    "comparison": pl.String(),
    "measure": pl.String(),
    "kind": pl.String(),
    "effect": pl.Float64(),
    "margin": pl.Float64(),
    "conf_level": pl.Float64(),
    "n_tests": pl.Int64(),
}
# Points of a power curve, how far beyond the seeds needed it goes, and at least.
POINTS: Final = 60
BEYOND: Final = 1.5
SHORTEST: Final = 30


def table(rows: list[Row], request: Request) -> pl.DataFrame:
    """One row for each (pilot, effect, seeds), with the columns of `plan`."""
    planned = _tests(rows, request)
    effect, sd, parts = _effects(rows, request), _sds(rows), _parts(rows)
    seeds = np.array([n for *_, n in rows], dtype=np.float64)
    target = request.power
    known = np.array([p.known for p, *_ in rows])
    images = np.array([p.images for p, *_ in rows])
    sd_high = sd * _inflation(known, request.caution)
    needed = planned.seeds(effect, sd, target)
    cautious = planned.seeds(effect, sd_high, target)
    fewest = planned.seeds(effect, np.maximum(parts["seeds"], 1e-12 * sd), target)
    within = planned.tolerable_sd(effect, seeds, target) ** 2 - parts["seeds"] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        more = np.where(within > 0, np.ceil(images * parts["images"] ** 2 / within), np.nan)
    found = {
        "sd": sd,
        "sd_high": sd_high,
        "sd_images": parts["images"],
        "sd_seeds": parts["seeds"],
        "seeds": np.where(seeds > 0, seeds, np.nan),
        "power": planned.power(effect, sd, seeds),
        "detectable": request.unscaled(planned.detectable(effect, sd, seeds, target)),
        "seeds_needed": needed,
        "seeds_needed_cautious": cautious,
        "seeds_needed_all_images": fewest,
        "images": images,
        "images_needed": more,
        "images_one_pair": _one_pair(rows, request),
    }
    whole = ("seeds", "seeds_needed", "seeds_needed_cautious", "seeds_needed_all_images")
    caveats = [
        "; ".join([*p.notes, *([f"more than {MOST_SEEDS:,} seeds needed"] if np.isinf(n) else [])])
        for (p, *_), n in zip(rows, needed, strict=True)
    ]
    return _named(rows, request).with_columns(
        *(
            pl.Series(name, np.where(np.isfinite(v), v, np.nan), nan_to_null=True).cast(
                pl.Int64 if name in whole else pl.Float64
            )
            for name, v in found.items()
        ),
        caveat=pl.Series(caveats, dtype=pl.String),
    )


def curve(rows: list[Row], request: Request, needed: pl.Series) -> pl.DataFrame:
    """Power by seeds of every (pilot, effect): what names the test, `seeds` and `power`."""
    first = list({(id(p), e): (p, e, n) for p, e, n in rows}.values())
    most = max(SHORTEST, BEYOND * float(np.max(needed.drop_nulls().to_numpy(), initial=0)))
    grid = np.geomspace(FEWEST_SEEDS, min(most, MOST_SEEDS), POINTS)
    designs = [n for *_, n in rows if n >= FEWEST_SEEDS]
    seeds = np.union1d(np.rint(grid).astype(np.int64), designs).astype(np.int64)
    repeated = [row for row in first for _ in seeds]
    at = np.tile(seeds, len(first))
    power = _tests(repeated, request).power(_effects(repeated, request), _sds(repeated), at)
    return _named(repeated, request).with_columns(
        seeds=pl.Series(at), power=pl.Series(power, nan_to_null=True)
    )


def simulated_power(
    rows: list[Row], request: Request, assumptions: Assumptions | None, rng: np.random.Generator
) -> pl.Series:
    """The share of 2,000 studies of each row that show it; null where the design has no test."""
    error = np.asarray(_tests(rows, request).error)
    margin = np.nan if request.margin is None else float(request.scaled(request.margin))
    effects = _effects(rows, request)
    if request.kind == "non-inferiority":
        effects = -effects
    found: list[float | None] = []
    for (pilot, _, seeds), effect, e in zip(rows, effects, error, strict=True):
        if seeds < FEWEST_SEEDS or not pilot.variance > 0:
            found.append(None)
            continue
        if assumptions is None:
            studies = resampled(pilot.groups, effect, seeds, rng)
        else:
            asked = request.question, request.measure
            studies = drawn(assumptions, *asked, effect, seeds, rng)
        found.append(shown(studies, request.kind, e, request.sides, margin))
    return pl.Series("power_simulated", found, dtype=pl.Float64)


def _tests(rows: list[Row], request: Request) -> TTest:
    sizes = [p.tests if request.family is None else request.family for p, *_ in rows]
    margin = np.nan if request.margin is None else request.scaled(request.margin)
    freedom = np.array([p.freedom for p, *_ in rows])
    return TTest(
        request.kind,
        error=(1 - request.level) / np.array(sizes),
        sides=1 if request.one_sided else 2,
        margin=margin,
        groups=np.where(np.isfinite(freedom), freedom, 1.0),
    )


def _named(rows: list[Row], request: Request) -> pl.DataFrame:
    """The columns that name a test and say how it is done."""
    error = np.asarray(_tests(rows, request).error)
    values: list[dict[str, Any]] = [
        {
            **{c: p.condition.get(c) for c in CONDITION},
            "class_id": p.class_id,
            "class_name": p.class_name,
            "question": request.question,
            "comparison": p.comparison,
            "measure": "recall" if request.question == "class" else request.measure,
            "kind": request.kind,
            "effect": effect,
            "margin": request.margin,
            "conf_level": 1 - e,
            "n_tests": p.tests if request.family is None else request.family,
        }
        for (p, effect, _), e in zip(rows, error, strict=True)
    ]
    return pl.DataFrame(values, schema=pl.Schema(TEST))


def _effects(rows: list[Row], request: Request) -> Values:
    return request.scaled(np.array([effect for _, effect, _ in rows]))


def _sds(rows: list[Row]) -> Values:
    return np.asarray(np.sqrt([p.variance for p, *_ in rows]))


def _parts(rows: list[Row]) -> dict[str, Values]:
    """SDs that the images make, at most, and the seeds."""
    variance = np.array([p.variance for p, *_ in rows])
    images = np.minimum(np.array([p.sampling for p, *_ in rows]), variance)
    return {"images": np.sqrt(images), "seeds": np.sqrt(variance - images)}


def _inflation(known: Values, caution: float) -> Values:
    """Upper confidence bound of an SD over the SD itself, √(ν / χ²_ν)."""
    df = np.where(np.isfinite(known) & (known > 0), known, 1.0)
    factor = np.sqrt(df / chdtri(df, caution))
    return np.asarray(np.where(np.isinf(known), 1.0, np.where(known > 0, factor, np.nan)))


def _one_pair(rows: list[Row], request: Request) -> Values:
    """Images of a class that decide about one pair of networks (Connor 1987).

    (z_error √(ψ − d_0²) + z_power √(ψ − d_1²))² / (d_1 − d_0)², ψ the share of discordant images,
    d_0 and d_1 the differences under the null hypothesis and in truth.
    """
    psi = np.array([np.nan if p.discordance is None else p.discordance for p, *_ in rows])
    true = _effects(rows, request)
    null = 0.0 if request.margin is None else request.margin
    planned = _tests(rows, request)
    sides = planned.sides if request.kind == "difference" else 1
    z = -ndtri(np.asarray(planned.error) / sides)
    with np.errstate(invalid="ignore"):
        spread = z * _discordant_sd(psi, null) + ndtri(request.power) * _discordant_sd(psi, true)
        return np.asarray(np.ceil(spread**2 / (true - null) ** 2))


def _discordant_sd(psi: Values, difference: ArrayLike) -> Values:
    """SD of one image's change of answer, if that share changes, but at least the difference."""
    return np.asarray(np.sqrt(np.maximum(psi, difference) - np.square(difference)))
