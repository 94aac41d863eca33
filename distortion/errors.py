"""Every error and warning that distortion raises on purpose, and the nearest-name hint they share.

An error message names the rows, the rule and the next step. The commands print it as one
paragraph and leave with exit code 1; `--debug` shows the traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class DistortionError(Exception):
    """Base of all errors raised on purpose; anything else is a bug."""


class LogError(DistortionError):
    """The log breaks a rule of the table, or cannot be read."""


class StudyError(DistortionError):
    """A study file, or the data, network or method that it names, cannot be used."""


class DesignError(DistortionError):
    """The log is sound, but the question asked needs rows or replicates that it lacks."""


class FitError(DistortionError):
    """A model cannot be fitted to these rows."""


class ReportError(DistortionError):
    """A report cannot be written where it was asked for."""


class DistortionWarning(UserWarning):
    """Base of all warnings, for `warnings.filterwarnings`."""


class LogWarning(DistortionWarning):
    """The log is usable, but something in it weakens what can be concluded."""


class BoundaryWarning(DistortionWarning):
    """A variance was estimated at its boundary, zero."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest known name, or lists all; case does not count."""
    names = sorted(known)
    folded = {known_name.casefold(): known_name for known_name in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]!r}?" if near else f"Known: {', '.join(names)}."
