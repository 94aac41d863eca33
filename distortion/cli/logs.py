"""The commands that read, derive and write tables: check, measure, pack, example."""

from pathlib import Path
from typing import Final

import click

from distortion.cli.group import TABLES, command, force_option, log_argument, refuse_existing
from distortion.designs import measures
from distortion.labels import counted, listed
from distortion.log import read_log, write_log
from distortion.schema import COLUMNS, KEY, NETWORK
from distortion.tables.facts import network_table
from distortion.tables.render import csv_table, markdown_table

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
    help="slopes: per cell; conditions: over networks; measures: per class; pairs: for models; "
    "inequality: Gini, worst recall …; repaired: slopes without noise; null: what lost accuracy "
    "explains; latent: γ on the logit scale.",
)
def measure(log: str, table: str) -> None:
    """Print recalls, balances and slopes, derived from the counts of LOG, as CSV."""
    click.echo(csv_table(TABLES[table](read_log(log))), nl=False)


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
