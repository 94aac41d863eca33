"""Arguments of what a fit is asked for, checked before anything is computed."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distortion.errors import FitError, did_you_mean

Seed = np.random.Generator | int


def generator(rng: Any) -> np.random.Generator:
    """Return the generator that `rng` is or seeds.

    Raises
    ------
    FitError
        It is neither; None is refused, because randomness is an argument.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise FitError(
        f"rng is {rng!r}: pass a seed, a whole number from 0 on, or a numpy Generator, so that the "
        f"same call draws the same numbers."
    )


def count(name: str, n: Any, *, least: int = 1) -> int:
    """Return a number of draws that is at least `least`."""
    if isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least:
        return int(n)
    raise FitError(f"{name} is {n!r}: it must be a whole number from {least} on.")


def choice(name: str, value: Any, known: Collection[str]) -> None:
    """Refuse a value that is not among the known ones."""
    if value not in known:
        raise FitError(f"{name} is {value!r}. {did_you_mean(str(value), known)}")


def no_options(what: str, options: Mapping[str, Any]) -> None:
    """Refuse options that would be ignored."""
    if options:
        raise FitError(f"{what} have no option {', '.join(map(repr, options))}. Leave it out.")


def numbers(what: str, values: Any, n: int) -> NDArray[np.float64]:
    """Return `values` as float64; how many they are and whether finite is for the model to say."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FitError(f"{what} needs a numeric response of {n:,} values: {error}.") from None
