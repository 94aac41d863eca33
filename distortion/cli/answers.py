"""The commands that test hypotheses: findings, report."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from distortion.cli.group import command, force_option, log_argument, test_options
from distortion.evidence import gather
from distortion.log import read_log
from distortion.report import findings_json, report
from distortion.settings import chosen
from distortion.tables.render import csv_table, markdown_table
from distortion.tables.table import Table


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
    from distortion.contents.answer import answer, found

    evidence = gather(read_log(log), chosen(options))
    if layout == "csv":
        click.echo(csv_table(evidence.findings.drop("class_label")), nl=False)
    elif layout == "json":
        click.echo(findings_json(evidence), nl=False)
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
