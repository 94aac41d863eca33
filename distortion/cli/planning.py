"""The command that plans studies: plan."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, get_args

import click

from distortion.cli.group import command, force_option, refuse_existing
from distortion.log import read_log
from distortion.planning.assumptions import PRESETS, Assumptions, Measure
from distortion.planning.pilot import QUESTIONS
from distortion.planning.plan import Plan, plan
from distortion.schema import FINETUNED, PRUNED
from distortion.tables.render import csv_table

SUFFIXES: Final = (".svg", ".png")
ASSUMED: Final = ("seed_sd", "spread", "accuracy", "classes", "images", "alpha", "discordance")


def _as_json(planned: Plan) -> str:
    table = planned.table.to_dicts()
    record = {"schema": "distortion/plan/1", "answer": planned.sentences, "plan": table}
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


LAYOUTS: Final[dict[str, Callable[[Plan], str]]] = {
    "text": str,
    "markdown": Plan.to_markdown,
    "csv": lambda planned: csv_table(planned.table),
    "json": _as_json,
}
HELP: Final = (
    "\b\nQuestions:\n"
    + "\n".join(f"  {name:<8} {meaning}" for name, meaning in QUESTIONS.items())
    + "\n\n\b\nAssumptions to start from:\n"
    + "\n".join(f"  {name:<13} {preset.source}" for name, preset in PRESETS.items())
    + """

\b
Examples:
  distortion plan LOG
  distortion plan LOG --question control --method magnitude --effect 0.05
  distortion plan LOG --question class --margin 0.01 --ratio 10
  distortion plan --assume cifar10-like --seed-sd 1.5 --seeds 5 --seeds 30 -o power.svg
"""
)


@command("plan", epilog=HELP)
@click.argument("log", metavar="[LOG]", required=False)
@click.option(
    "--question", type=click.Choice(list(QUESTIONS)), default="cell", help="What is to be tested."
)
@click.option(
    "--effect",
    "effects",
    type=float,
    multiple=True,
    help="Difference to detect: of α; of κ as a factor (0.1: κ = 1.1); of a class's recall as a "
    "share. With --margin, the true difference. Repeatable.  [default: 0.1; class: 0.02; with "
    "--margin: 0]",
)
@click.option(
    "--margin",
    type=float,
    help="Plan for showing that the difference is smaller than this (equivalence), or that a class "
    "loses no more.",
)
@click.option("--power", type=float, default=0.8, help="Probability to show it.")
@click.option("--level", type=float, default=0.95, help="Family-wise confidence.")
@click.option(
    "--family",
    type=int,
    help="Tests corrected together (Bonferroni).  [default: as many as in LOG; 5 if assumed]",
)
@click.option("--one-sided", is_flag=True, help="Test for a difference in one direction.")
@click.option("--measure", type=click.Choice(get_args(Measure)), default="alpha", help="α or κ.")
@click.option(
    "--seeds",
    type=int,
    multiple=True,
    help="Number of networks to judge. Repeatable.  [default: those of LOG; 5, 10, 30 if assumed]",
)
@click.option(
    "--caution", type=float, default=0.8, help="Confidence of the upper bound of a pilot's SD."
)
@click.option("--method", "methods", multiple=True, help="Of LOG, to plan for. Repeatable.")
@click.option("--ratio", "ratios", type=float, multiple=True, help="The same.")
@click.option(
    "--arm",
    type=click.Choice([FINETUNED, PRUNED]),
    help="Compressed arm of LOG.  [default: finetuned where the log has it]",
)
@click.option("--split", default="test", help="Which images were counted, as LOG's `split` says.")
@click.option("--assume", type=click.Choice(list(PRESETS)), help="Plan without LOG, from these.")
@click.option("--seed-sd", type=float, help="Assume: SD of a class's recall, in points.")
@click.option("--spread", type=float, help="Assume: spread of the true normalized balances.")
@click.option("--accuracy", type=float, help="Assume: accuracy, as a share.")
@click.option("--classes", type=int, help="Assume: number of classes.")
@click.option("--images", type=int, help="Assume: test images per class, sampled anew.")
@click.option("--alpha", type=float, help="Assume: slope around which to plan.")
@click.option("--discordance", type=float, help="Assume: share of a class's images that change.")
@click.option("--simulate", is_flag=True, help="Also simulate every design 2,000 times.")
@click.option("--rng", type=int, default=0, help="Seed of the simulation.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the power curve, .svg or .png.",
)
@force_option
@click.option(
    "--format", "layout", type=click.Choice(list(LAYOUTS)), default="text", help="Of the answer."
)
def show_plan(
    log: str | None,
    assume: str | None,
    effects: tuple[float, ...],
    seeds: tuple[int, ...],
    methods: tuple[str, ...],
    ratios: tuple[float, ...],
    simulate: bool,
    rng: int,
    out: Path | None,
    force: bool,
    layout: str,
    **options: Any,
) -> None:
    """Say how many seeds and test images a question takes.

    LOG, the pilot, gives the SDs over networks; without one, --assume does.
    """
    _check_out(out, force)
    assumed = {name: options.pop(name) for name in ASSUMED}
    planned = plan(
        _source(log, assume, {n: v for n, v in assumed.items() if v is not None}),
        effect=effects or None,
        seeds=seeds or None,
        methods=methods or None,
        ratios=ratios or None,
        rng=rng if simulate else None,
        **options,
    )
    click.echo(LAYOUTS[layout](planned).rstrip("\n"))
    if out is not None:
        _draw(planned, out)
        click.echo(out, err=layout in ("csv", "json"))


def _source(log: str | None, assume: str | None, changes: dict[str, Any]) -> Any:
    if (log is None) == (assume is None):
        raise click.UsageError("Name a LOG, or the assumptions to plan from with --assume.")
    if log is not None:
        if changes:
            option = next(iter(changes)).replace("_", "-")
            raise click.UsageError(f"--{option} is an assumption: it needs --assume, not a LOG.")
        return read_log(log)
    assert assume is not None
    if "seed_sd" in changes:
        changes["seed_sd"] /= 100
    if changes:
        changes["source"] = f"{assume}, with {', '.join(changes).replace('_', ' ')} as asked for"
    return Assumptions.preset(assume, **changes)


def _check_out(out: Path | None, force: bool) -> None:
    if out is None:
        return
    if out.suffix not in SUFFIXES:
        raise click.BadParameter(f"name a file that ends in {' or '.join(SUFFIXES)}, not {out}")
    refuse_existing(out, force)


def _draw(planned: Plan, out: Path) -> None:
    # Drawing needs matplotlib, which is slow to import.
    from distortion.figures.power import power_curves
    from distortion.figures.style import png, svg

    drawing = power_curves(planned.curve, planned.request.power)
    content = png(drawing) if out.suffix == ".png" else svg(drawing).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
