"""The commands that read, derive and write tables: check, measure, pack, example."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import click
import polars as pl

from distortion.cli.group import TABLES, command, force_option, log_argument, refuse_existing
from distortion.designs import measures
from distortion.inequality.exemplars import exemplar_shares, exemplars
from distortion.inequality.table import Variation
from distortion.labels import counted, listed
from distortion.log import read_log, write_log
from distortion.nulls.equal import at_equal
from distortion.predictions import recount
from distortion.schema import COLUMNS, FINETUNED, KEY, NETWORK, PRUNED
from distortion.tables.facts import network_table
from distortion.tables.render import csv_table, markdown_table

EXAMPLE: Final = "example.parquet"
PREDICTED: Final[dict[str, Callable[..., pl.DataFrame]]] = {
    "recount": recount,
    "exemplars": exemplars,
    "exemplar-shares": exemplar_shares,
}
MEASURED: Final[dict[str, Callable[..., pl.DataFrame]]] = {
    **TABLES,
    **PREDICTED,
    "equal-accuracy": partial(at_equal, what="accuracy"),
    "equal-ratio": partial(at_equal, what="ratio_achieved"),
}


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
    type=click.Choice(list(MEASURED)),
    default="slopes",
    help="slopes: per cell; conditions: over networks; measures: per class; pairs: for models; "
    "inequality: Gini, worst recall …; repaired: slopes without noise; null: what lost accuracy "
    "explains; latent: γ on the logit scale; equal-accuracy, equal-ratio: methods compared where "
    "they are equal in it. Of stored predictions: recount: the log; exemplars: images whose "
    "majority answer changes; exemplar-shares: how many, by class, and of the control.",
)
@click.option(
    "--arm",
    type=click.Choice([FINETUNED, PRUNED]),
    help="Compressed arm. [default: finetuned where the log has it]",
)
@click.option("--split", help="Which images were counted, as LOG's `split` says. [default: test]")
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Confidence of each interval. [default: 0.95]",
)
@click.option(
    "--source",
    type=click.Choice(get_args(Variation)),
    help="Of inequality: what varies in the intervals; images need --rng. [default: networks]",
)
@click.option(
    "--predictions",
    metavar="PATH",
    help="Of inequality: the networks' stored predictions; images are then redrawn for all "
    "networks together, which gives intervals instead of bounds.",
)
@click.option(
    "--rng",
    type=click.IntRange(0),
    help="Seed of what draws: intervals over images, SIMEX among the repaired slopes.",
)
def measure(log: str, table: str, **options: Any) -> None:
    """Print recalls, balances and slopes, derived from the counts of LOG, as CSV.

    Tables of stored predictions take a study's folder, or a file of predictions, as LOG.
    """
    function = MEASURED[table]
    known = inspect.signature(function).parameters
    asked = {name: value for name, value in options.items() if value is not None}
    if unknown := [name for name in asked if name not in known]:
        takes = listed([f"--{name}" for name in options if name in known]) or "no options"
        raise click.UsageError(f"The table {table} has no --{unknown[0]}. It takes {takes}.")
    click.echo(csv_table(function(log, **asked)), nl=False)


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
    refuse_existing(out, force)
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
    package = Path(__file__).parents[1]
    # Inside the package once installed; beside it in a checkout.
    places = (package / EXAMPLE, package.parent / "data" / EXAMPLE)
    refuse_existing(out, force)
    click.echo(write_log(next(place for place in places if place.exists()), out))
