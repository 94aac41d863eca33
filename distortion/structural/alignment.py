"""Conditions of one context as the arrays of one model: the same networks in every arm."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distortion.counts import CONTEXT, Counts
from distortion.designs import CONDITION
from distortion.errors import DesignError
from distortion.structural.latent import Successes


def aligned(found: Sequence[Counts]) -> tuple[Successes, tuple[int, ...], tuple[str, ...]]:
    """Counts of the networks that all conditions share, dense first.

    Returns
    -------
    Counts (A, M, C), the seeds (M,) and notes on networks that were left out.

    Raises
    ------
    DesignError
        If the conditions are of different contexts or classes, one comes twice, or fewer than two
        networks or classes are left.
    """
    _check(found)
    shared = [s for s in found[0].seeds if all(s in other.seeds for other in found)]
    notes = []
    strangers = sorted({s for c in found for s in c.seeds} - set(shared))
    if strangers:
        notes.append(f"seed(s) {_listed(strangers)} left out: not in every arm")
    rows = [[c.seeds.index(s) for s in shared] for c in found]
    k = np.stack(
        [found[0].dense[rows[0]], *(c.correct[r] for c, r in zip(found, rows, strict=True))]
    )
    n = np.stack([found[0].n[rows[0]], *(c.n[r] for c, r in zip(found, rows, strict=True))])
    known: NDArray[np.bool_] = np.logical_and.reduce(informative(k, n))
    if not known.all():
        lost = [s for s, ok in zip(shared, known, strict=True) if not ok]
        notes.append(f"seed(s) {_listed(lost)} left out: every class always or never recognised")
    seeds = tuple(s for s, ok in zip(shared, known, strict=True) if ok)
    if len(seeds) < 2:
        raise DesignError(
            f"The structural model needs two networks that all arms share, and here are "
            f"{len(seeds)}: with one, what is true of a class cannot be told from what happened "
            f"to it in that network, and γ is not identified. Train more seeds."
            + (f" ({'; '.join(notes)}.)" if notes else "")
        )
    k, n = k[:, known].astype(np.float64), n[:, known].astype(np.float64)
    return Successes(np.ascontiguousarray(k), np.ascontiguousarray(n)), seeds, tuple(notes)


def informative(k: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether some class of a network (..., C) is recognised sometimes, not always or never.

    Where none is, as in a network that calls every image the same, its logits have no finite
    estimates.
    """
    return np.asarray(((k > 0) & (k < n)).any(axis=-1), dtype=np.bool_)


def _check(found: Sequence[Counts]) -> None:
    if not found:
        raise DesignError("fit_structural needs at least one condition. See distortion.counts.")
    first = found[0]
    for other in found[1:]:
        differ = [c for c in CONTEXT if other.condition[c] != first.condition[c]]
        if differ:
            raise DesignError(
                f"Conditions of one structural model share their networks, but these differ in "
                f"{', '.join(differ)}. Fit each context by itself."
            )
        if other.class_ids != first.class_ids:
            raise DesignError(
                "Conditions of one structural model share their classes, but these were evaluated "
                "on different ones. Fit each set of classes by itself."
            )
    names = [tuple(c.condition[column] for column in CONDITION) for c in found]
    if len(set(names)) < len(names):
        raise DesignError("A condition comes twice. Give each one once.")
    if len(first.class_ids) < 2:
        raise DesignError("γ compares classes: it needs at least two, and here is one.")


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
