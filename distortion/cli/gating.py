"""The command that decides: gate."""

from pathlib import Path
from typing import Any, get_args

import click

from distortion.cli.group import command, force_option, log_argument
from distortion.gate.gate import Gate, gate
from distortion.gate.limits import DEFAULT_CLASS_DROP, Target
from distortion.gate.record import gate_json
from distortion.gate.selection import name
from distortion.gate.signoff import write_signoff
from distortion.gate.tables import class_table, condition_table, largest_table, whole_table
from distortion.gate.words import (
    EXIT_CODES,
    asked,
    collapsed,
    error_rates,
    headline,
    losers,
    reasons,
    to_decide,
)
from distortion.log import read_log
from distortion.schema import FINETUNED, PRUNED
from distortion.tables.render import markdown_table

LISTED = 12
CODES = """\b
Exit codes:
  0  pass: every limit is certainly kept
  3  fail: a limit is certainly exceeded
  4  not enough data to say
  1  the log cannot be used; 2  usage
"""


def _class_drop(
    _context: click.Context, _option: click.Parameter, value: str | float
) -> float | None:
    if value == "none":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"a share such as 0.02, or none, not {value!r}") from None


@command("gate", epilog=CODES)
@log_argument
@click.option(
    "--max-class-drop",
    metavar="SHARE",
    default=str(DEFAULT_CLASS_DROP),
    callback=_class_drop,
    help="Recall that any class may lose (0.02: two points); none: not asked.",
)
@click.option("--max-accuracy-drop", type=float, metavar="SHARE", help="Accuracy that may be lost.")
@click.option("--min-worst-recall", type=float, metavar="SHARE", help="Recall every class keeps.")
@click.option("--max-kappa", type=float, help="Largest spread ratio κ of recall balance.")
@click.option("--max-alpha", type=float, help="Largest slope α of recall balance.")
@click.option("--dataset", help="Gate this data set only.")
@click.option("--model", help="Gate this model only.")
@click.option("--recipe", help="Gate this recipe only.")
@click.option("--study", help="Gate this study only.")
@click.option("--intervention", help="Gate this intervention only.")
@click.option("--method", help="Gate this compression method only.")
@click.option("--ratio", type=float, help="Gate this ratio only.")
@click.option("--seed", type=int, help="Gate the network with this seed only.")
@click.option(
    "--target",
    type=click.Choice(get_args(Target)),
    help="network: this very network, on more images; recipe: the mean over networks, on these "
    "images. [default: network where there is one, else recipe]",
)
@click.option("--all", "across", flag_value="all", help="Of several conditions, all must pass.")
@click.option("--any", "across", flag_value="any", help="Of several conditions, one is enough.")
@click.option(
    "--arm",
    type=click.Choice([FINETUNED, PRUNED]),
    help="Compressed arm to gate. [default: finetuned where the log has it]",
)
@click.option("--split", default="test", help="Which images were counted, as LOG's `split` says.")
@click.option(
    "--level",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.95,
    help="1 − error rate of a pass, and of a fail.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write the sign-off: a folder, or a .html, .md or .json file.",
)
@force_option
@click.option("--format", "layout", type=click.Choice(["text", "json"]), default="text")
def run_gate(
    log: str,
    across: str | None,
    out: Path | None,
    force: bool,
    layout: str,
    **options: Any,
) -> None:
    """May this compressed network replace the dense one?

    A limit is kept where the whole confidence interval lies within it, exceeded where all of it
    lies beyond, and otherwise there are not enough data to say. LOG needs one dense network and one
    compressed from it; with several seeds the verdict is about the recipe.
    """
    found = gate(read_log(log), across="any" if across == "any" else "all", **options)
    if len(found.gated) > 1 and across is None:
        raise click.UsageError(_several(found))
    paths = [] if out is None else write_signoff(found, out, force=force)
    if layout == "json":
        click.echo(gate_json(found), nl=False)
    else:
        _tell(found)
    for path in paths:
        click.echo(path, err=layout == "json")
    click.get_current_context().exit(EXIT_CODES[found.verdict])


def _several(found: Gate) -> str:
    counts = [g.counts for g in found.gated]
    names = [f"  {name(c, counts)}" for c in counts[:LISTED]]
    if len(counts) > LISTED:
        names.append(f"  … and {len(counts) - LISTED} more")
    return "\n".join(
        [
            f"The log has {len(counts)} conditions that the gate could be about:",
            *names,
            "Choose one with --method and --ratio (--model, --dataset, …), or say --all if all of "
            "them must pass, --any if one is enough.",
        ]
    )


def _tell(found: Gate) -> None:
    def say(text: str, indent: str = "") -> None:
        click.echo(click.wrap_text(text, width=100, initial_indent=indent, subsequent_indent="  "))

    click.echo(f"{click.wrap_text(headline(found), width=100)}\n")
    for sentence in asked(found.limits):
        say(sentence, "- ")
    first = found.gated[0]
    say(error_rates(found, first), "- ")
    if len(found.gated) > 1:
        for table in (condition_table(found), largest_table(found)):
            click.echo(f"\n{table.caption}\n\n{markdown_table(table)}", nl=False)
    else:
        click.echo()
        for sentence in (
            *reasons(first),
            collapsed(first),
            to_decide(first),
            losers(first, found.level),
        ):
            if sentence:
                say(sentence)
        classwise = [
            class_table(first, d.criterion.name)
            for d in first.decisions
            if d.criterion.name in ("class drop", "worst recall")
        ]
        for shown in (*classwise, whole_table(first)):
            if shown is not None:
                click.echo(f"\n{shown.caption}\n\n{markdown_table(shown)}", nl=False)
                click.echo("".join(f"\n{note}" for note in shown.all_notes))
    click.echo("\nCaveats:")
    for text in dict.fromkeys(text for g in found.gated for text in g.caveats):
        say(text, "- ")
