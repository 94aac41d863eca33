"""The command `distortion`: check, measure, test and report a log.

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
from rich.console import Console

from distortion.corrections import Correction
from distortion.designs import conditions, measures, pairs, slopes
from distortion.errors import DistortionError, DistortionWarning, ReportError
from distortion.evidence import gather
from distortion.labels import counted, listed
from distortion.log import RecallLog, read_log, write_log
from distortion.report import findings_json, report
from distortion.schema import COLUMNS, FINETUNED, KEY, NETWORK, PRUNED
from distortion.tables.facts import network_table
from distortion.tables.render import csv_table, markdown_table
from distortion.tables.table import Table

SETTINGS: Final = {"help_option_names": ["-h", "--help"], "show_default": True}
TABLES: Final[dict[str, Callable[[RecallLog], pl.DataFrame]]] = {
    "slopes": slopes,
    "conditions": conditions,
    "measures": measures,
    "pairs": pairs,
}
EXAMPLE: Final = "example.parquet"


def _layout() -> str:
    """The columns of the log, for the help text."""
    width = max(len(column.name) for column in COLUMNS)
    lines = []
    for column in COLUMNS:
        default = "optional" if column.default is None else f"default {column.default!r}"
        default = "derived" if column.name == "arm" else default
        need = "needed" if column.needed else default
        lines.append(f"  {column.name:<{width}}  {need:<18}  {column.meaning}")
    key = ", ".join(KEY)
    return "\b\nOne row per cell and class:\n" + "\n".join(lines) + f"\n\nA row is named by {key}."


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
            default="bonferroni",
            help="For many tests, within a column of a table.",
        ),
        click.option(
            "--equal-variances",
            is_flag=True,
            help="Student's pooled variance in independent t-tests instead of Welch's.",
        ),
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


@command("check", epilog=_layout())
@log_argument
def check(log: str) -> None:
    """Validate LOG and say what is in it."""
    read = read_log(log)
    cells = read.cells
    networks = cells.select(NETWORK).n_unique()
    click.echo(
        f"{log}: {counted(read.table.height, 'row')}, {counted(cells.height, 'cell')}, "
        f"{counted(networks, 'network')}, {counted(read.failed.height, 'failed cell')}\n"
    )
    for column in ("study", "recipe", "intervention", "method", "ratio", "arm", "split"):
        values = cells[column].unique(maintain_order=True)
        shown = [f"{v:g}" for v in values.sort()] if column == "ratio" else values.to_list()
        click.echo(f"{column:<13} {listed(shown, 20)}")
    click.echo(f"\n{markdown_table(network_table(measures(read)))}")
    for row in read.failed.iter_rows(named=True):
        click.echo(f"Failed: {', '.join(f'{k}={v!r}' for k, v in row.items())}")


@command("measure")
@log_argument
@click.option(
    "--table",
    type=click.Choice(list(TABLES)),
    default="slopes",
    help="slopes: per cell; conditions: over networks; measures: per class; pairs: for models.",
)
def measure(log: str, table: str) -> None:
    """Print recalls, balances and slopes, derived from the counts of LOG, as CSV."""
    click.echo(csv_table(TABLES[table](read_log(log))), nl=False)


@command("findings")
@log_argument
@test_options
@click.option(
    "--format",
    "layout",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    help="text: the answer in short; csv, json: every test.",
)
def show_findings(log: str, layout: str, **options: Any) -> None:
    """Test every question of the catalogue on LOG."""
    # Drawing needs matplotlib, which is slow to import: only these commands wait for it.
    from distortion.blocks import Text
    from distortion.contents import answer, found

    evidence = gather(read_log(log), **options)
    if layout == "csv":
        click.echo(csv_table(evidence.findings.drop("class_label")), nl=False)
    elif layout == "json":
        click.echo(findings_json(evidence, options), nl=False)
    else:
        click.echo(f"{click.wrap_text(answer(evidence), width=100)}\n")
        for block in found(evidence):
            if isinstance(block, Text):
                click.echo(f"{click.wrap_text(block.text, width=100)}\n")
            elif isinstance(block, Table):
                click.echo(markdown_table(block))


@command("report")
@log_argument
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports/report"),
    help="Folder to create.",
)
@test_options
@force_option
def write_report(log: str, out: Path, force: bool, **options: Any) -> None:
    """Write a report on LOG into a folder.

    One self-contained page, the same in Markdown, every table as CSV and LaTeX, every figure as
    SVG and PNG with its data, all findings as JSON.
    """
    console = Console(stderr=True)
    with console.status(f"Analysing {log} and drawing the report …"):
        paths = report(log, out, force=force, **options)
    for path in paths:
        click.echo(path)


@command("pack")
@log_argument
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write, .parquet.",
)
@force_option
def pack(log: str, out: Path, force: bool) -> None:
    """Pack LOG into one Parquet file.

    The provenance travels in the file's metadata, and `distortion report` shows it.
    """
    _refuse_existing(out, force)
    click.echo(write_log(log, out))


@command("example")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(EXAMPLE),
    help="File to write, .parquet.",
)
@force_option
def example(out: Path, force: bool) -> None:
    """Write a small real log to try it on.

    Two networks on handwritten digits, fifteen seeds, pruned four ways to five ratios.
    """
    package = Path(__file__).parent
    # Inside the package once installed; beside it in a checkout.
    places = (package / EXAMPLE, package.parent / "data" / EXAMPLE)
    _refuse_existing(out, force)
    click.echo(write_log(next(place for place in places if place.exists()), out))


def _refuse_existing(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise ReportError(f"{out} exists. Name another file, or overwrite it with `--force`.")
