"""What all commands share: the group, their errors and exit codes, common options.

Paths written go to stdout, one per line; notes and progress to stderr. Exit codes: 0 fine, 1 data
or fit error in one paragraph, 2 usage.
"""

import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, get_args

import click
import polars as pl

from distortion.corrections import Correction
from distortion.designs import conditions, measures, pairs, slopes
from distortion.errors import DistortionError, DistortionWarning, ReportError
from distortion.inequality.table import inequality
from distortion.log import RecallLog
from distortion.nulls.matched import matched_null
from distortion.repairs.table import repaired_slopes
from distortion.schema import FINETUNED, PRUNED
from distortion.structural.table import structural

SETTINGS: Final = {"help_option_names": ["-h", "--help"], "show_default": True}
TABLES: Final[dict[str, Callable[[RecallLog], pl.DataFrame]]] = {
    "slopes": slopes,
    "conditions": conditions,
    "measures": measures,
    "pairs": pairs,
    "inequality": inequality,
    "repaired": repaired_slopes,
    "null": matched_null,
    "latent": structural,
}


def command(name: str, **settings: Any) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function: errors and warnings in a paragraph each, `--debug` for more."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @main.command(name, **settings)
        @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
        @wraps(function)
        def wrapped(debug: bool, **arguments: Any) -> None:
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", DistortionWarning)
                    function(**arguments)
            except BrokenPipeError:  # who reads has seen enough
                raise
            except (DistortionError, OSError) as error:
                if debug:
                    traceback.print_exc()
                raise click.ClickException(" ".join(str(error).split())) from None
            finally:
                for warning in caught:
                    click.echo(f"Note: {warning.message}", err=True)

        return wrapped

    return decorate


log_argument = click.argument("log", metavar="LOG")
force_option = click.option("--force", is_flag=True, help="Overwrite what is there.")


def test_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that tests hypotheses."""
    options = [
        click.option(
            "--arm",
            type=click.Choice([FINETUNED, PRUNED]),
            help="Compressed arm to test. [default: finetuned where the log has it]",
        ),
        click.option(
            "--split", default="test", help="Which images were counted, as LOG's `split` says."
        ),
        click.option(
            "--level",
            type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
            default=0.95,
            help="Family-wise confidence.",
        ),
        click.option(
            "--correction",
            type=click.Choice(get_args(Correction)),
            help="For many tests, within a column of a table; bonferroni is the paper's. "
            "[default: holm, for changes of classes benjamini-hochberg]",
        ),
        click.option(
            "--one-sided",
            is_flag=True,
            help="Test the directions that the paper expects one-sided, as it does.",
        ),
        click.option(
            "--margin",
            type=click.FloatRange(0, min_open=True),
            default=0.1,
            help="Difference of slopes α that still counts as equivalent.",
        ),
        click.option(
            "--class-margin",
            type=click.FloatRange(0, 1, min_open=True),
            default=0.01,
            help="Loss of recall (share) with which a class still counts as kept.",
        ),
        click.option(
            "--equal-variances",
            is_flag=True,
            help="Student's pooled variance in independent t-tests instead of Welch's.",
        ),
        click.option("--rng", type=click.IntRange(0), default=0, help="Seed of permutation tests."),
        click.option(
            "--reference-model",
            "reference_models",
            multiple=True,
            metavar="DATASET=MODEL",
            callback=_reference_models,
            help="Model that represents a data set when data sets are compared. Repeatable.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _reference_models(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    split = [value.partition("=") for value in values]
    if wrong := [name for name, sign, model in split if not (name and sign and model)]:
        raise click.BadParameter(f"write DATASET=MODEL, not {wrong[0]!r}")
    return {name: model for name, _, model in split} or None


@click.group(context_settings=SETTINGS)
@click.version_option(package_name="distortion")
def main() -> None:
    """Does compressing a network make its weak classes weaker?

    LOG is a folder of shards, a .parquet or .csv file, or a glob pattern in quotes.
    """


def refuse_existing(out: Path, force: bool) -> None:
    """Raise ReportError where a file is not to be overwritten."""
    if out.exists() and not force:
        raise ReportError(f"{out} exists. Name another file, or overwrite it with `--force`.")
