"""Engines: where groups of networks are computed, on this machine or on many.

All send the same messages, so progress, failures and the log are the same everywhere.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from distortion.errors import StudyError
from runners.engines.engine import Engine
from runners.engines.local import Local
from runners.engines.options import read_options
from runners.options import dataclass_fields, read_table

NAMES = ("local", "ray", "submitit")


@contextmanager
def open_engine(
    name: str, options: Sequence[str], plugins: Sequence[str], note: Callable[[str], None]
) -> Iterator[Engine]:
    """Give an engine for the time of a `with` block.

    Parameters
    ----------
    name : one of `NAMES`
    options : KEY=VALUE, as on the command line
    plugins : modules of the study, which the engine takes to where they are needed
    note : prints a line

    Raises
    ------
    StudyError
        The engine does not know an option, is not installed, or cannot be reached.
    """
    where, given = f"--engine {name}", read_options(options)
    if name == "local":
        read_table(given, {}, where)
        yield Local()
    elif name == "ray":
        with missing("ray"):
            from runners.engines.ray import RayOptions, connected
        table = read_table(given, dataclass_fields(RayOptions), where)
        with connected(RayOptions(**table).check(where), plugins) as engine:
            yield engine
    else:
        with missing("submitit"):
            from runners.engines.slurm import Submitit
        yield Submitit(given, note)


@contextmanager
def missing(package: str) -> Iterator[None]:
    """Say what to install where a package of an engine is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise StudyError(
            f"--engine {package} needs {package}, which is not installed. Install it: "
            f'pip install "distortion[runners,{package}]"'
        ) from None
