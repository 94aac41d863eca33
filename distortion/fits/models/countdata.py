"""What counts have to be before a model sees them; each refusal says what to do instead."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from distortion.errors import FitError
from distortion.fits.formulas.grouping import Grouping
from distortion.fits.formulas.modelframe import ModelFrame
from distortion.fits.laplace.family import Array, Counts, Family

SHOWN: Final = 3
# exp(50) counts per row: an offset that is not on the scale of the linear predictor.
LARGEST_OFFSET: Final = 50.0


def check_counts(counts: Counts, family: Family, frame: ModelFrame) -> None:
    """Refuse what the family cannot have drawn.

    Raises
    ------
    FitError
        A count is negative, not whole or above its trials; trials are not whole and positive, are
        missing or make no sense; or all counts are at the same end.
    """
    formula = frame.formula
    name, trials = formula.response, formula.trials
    if family.name == "poisson" and trials is not None:
        raise FitError(
            f"Poisson counts are not out of a number of trials: write {name} ~ … + "
            f'offset(log({trials})) for a rate, or use family="binomial" for {name} of {trials}.'
        )
    if family.name == "beta-binomial" and (counts.trials is None or counts.trials.max() <= 1.0):
        raise FitError(
            "A beta-binomial model needs counts out of more than one trial, such as correct/n ~ …: "
            'single trials cannot vary more than a binomial. Use family="binomial".'
        )
    if counts.trials is not None:
        _refuse(counts.trials != np.round(counts.trials), frame, f"{trials} is not a whole number")
        _refuse(counts.trials < 1.0, frame, f"{trials}, the number of trials, is below 1")
    elif family.name == "binomial":
        _check_single_trials(counts.y, name)
    _refuse(counts.y < 0.0, frame, f"{name} is negative")
    _refuse(counts.y != np.round(counts.y), frame, f"{name} is not a whole number")
    if counts.trials is not None:
        _refuse(counts.y > counts.trials, frame, f"{name} exceeds {trials}")
    if (counts.y == 0.0).all():
        raise FitError(f"{name} is 0 in all {len(counts.y)} rows: there is nothing to explain.")
    if family.name != "poisson" and (counts.y == counts.size).all():
        raise FitError(
            f"{name} is as large as it can be in all {len(counts.y)} rows: there is nothing to "
            "explain."
        )


def check_offset(offset: Array | None, family: Family) -> None:
    """Refuse an offset that cannot be on the scale of the linear predictor."""
    if offset is None or family.name != "poisson":
        return
    largest = float(np.abs(offset).max())
    if largest > LARGEST_OFFSET:
        raise FitError(
            f"The offset reaches {largest:g}, a factor of exp({largest:g}) in the counts: an "
            "offset is on the log scale. Write offset(log(…)) for an exposure."
        )


def check_levels(
    counts: Counts, family: Family, groupings: Sequence[Grouping], codes: Sequence[np.ndarray]
) -> None:
    """Refuse a grouping factor whose variance has no finite estimate.

    Raises
    ------
    FitError
        All trials of every level have the same outcome.
    """
    if family.name == "poisson":
        return
    for grouping, of_rows in zip(groupings, codes, strict=True):
        size = np.broadcast_to(np.asarray(counts.size), counts.y.shape)
        successes = np.bincount(of_rows, counts.y)
        trials = np.bincount(of_rows, size)
        if ((successes > 0.0) & (successes < trials)).any():
            continue
        if grouping.levels.height == len(counts.y):
            raise FitError(
                f"Every level of {grouping.name} is one row with all trials alike, so the variance "
                "between rows cannot be told from their sampling. Drop the term, or give counts "
                "out of several trials."
            )
        raise FitError(
            f"Complete separation by {grouping.name}: within each of its "
            f"{grouping.levels.height} levels all trials have the same outcome, so the variance "
            f"between levels has no finite estimate. Compare levels by their counts instead, or "
            f"drop the term."
        )


def _check_single_trials(y: Array, name: str) -> None:
    if np.isin(y, (0.0, 1.0)).all():
        return
    if y.min() >= 0.0 and y.max() <= 1.0:
        raise FitError(
            f"{name} holds rates: a binomial model needs to know what they are out of. Write "
            f"successes/trials ~ … with two columns of counts."
        )
    raise FitError(
        f"{name} holds {y[~np.isin(y, (0.0, 1.0))][0]:g}: without trials a binomial response is 0 "
        f'or 1. Write {name}/trials ~ … with the column of trials, or use family="poisson" for '
        f"counts without a limit."
    )


def _refuse(bad: np.ndarray, frame: ModelFrame, what: str) -> None:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    used = frame.rows_used
    named = (rows if used is None else used[rows])[:SHOWN] + 1
    listed = ", ".join(str(int(row)) for row in named)
    raise FitError(
        f"{what} in {len(rows)} row(s): row {listed}{', …' if len(rows) > SHOWN else ''}. Correct "
        "or leave out these rows."
    )
