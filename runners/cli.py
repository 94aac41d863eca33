"""The command `distortion-run`: train, prune and count networks, as a study file says."""

import shlex
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from distortion.errors import DistortionError, StudyError
from distortion.places import is_url, place
from runners.backends import named
from runners.datasets import DATASETS
from runners.engines import NAMES as ENGINES
from runners.engines import open_engine
from runners.estimate import Estimate, estimate
from runners.methods import METHODS
from runners.nets import NETWORKS
from runners.progress import make_display
from runners.status import HEAD, failure_matrix, failures, status, time_left
from runners.stopping import Stopped, program, stoppable
from runners.studyfile import load_plugins, read_study, shipped, template
from runners.sweep import Sweep
from runners.tables import show
from runners.tuning import AUTO

SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


class Place(click.Path):
    """A path, or the URL of a folder in an object store."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or what stands for one."""
        if not isinstance(value, str) or not is_url(value):
            return super().convert(value, param, ctx)
        if value.startswith("memory://"):
            self.fail("memory:// would be lost with this process.", param, ctx)
        try:
            return place(value)
        except DistortionError as error:
            self.fail(str(error), param, ctx)


class BackendName(click.ParamType):
    """A back-end, or the word for the fastest."""

    name = "back-end"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text if it names a back-end."""
        if value != AUTO:
            try:
                named(value)
            except ValueError as error:
                self.fail(f"{error}, or {AUTO}.", param, ctx)
        return str(value)


study_argument = click.argument("study")
out_option = click.option(
    "-o", "--out", type=Place(path_type=Path, file_okay=False), default=Path("data"),
    help="Folder of all logs, or its URL (s3://...); the study gets a folder of its own in it.",
)  # fmt: skip
plugin_option = click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE",
    help="Import a module that registers your own data sets, networks or methods. Repeatable.",
)  # fmt: skip


@click.group(context_settings=SETTINGS)
@click.version_option(package_name="distortion")
def main() -> None:
    """Train, prune and count networks, as a study file says, into a log that can be resumed."""


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function: errors in one paragraph, exit code 1, `--debug` for more."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @main.command(name)
        @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
        @wraps(function)
        def wrapped(debug: bool, **arguments: object) -> None:
            try:
                function(**arguments)
            except DistortionError as error:
                if debug:
                    traceback.print_exc()
                raise click.ClickException(" ".join(str(error).split())) from None

        return wrapped

    return decorate


@command("run")
@study_argument
@out_option
@click.option(
    "--data-root", type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.cache/distortion"), envvar="DISTORTION_DATA_ROOT", show_envvar=True,
    help="Folder of data sets; public ones are downloaded into it.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
    help="What networks are trained on; auto takes GPUs where this machine or the Ray cluster has "
    "some, or the options for SLURM ask for some, and else the CPU.",
)  # fmt: skip
@click.option(
    "--engine", "engine_name", type=click.Choice(ENGINES), default="local",
    help="Where networks are computed: processes here, a Ray cluster, or SLURM through submitit.",
)  # fmt: skip
@click.option(
    "-E", "--engine-option", "engine_options", multiple=True, metavar="KEY=VALUE",
    help="An option of the engine, for example gpus=0.25 (ray) or slurm_partition=gpu. Repeatable.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1),
    show_default="one per core on a CPU, 1 on a GPU; what a Ray cluster has room for; 8 on SLURM",
    help="Worker processes; on SLURM, jobs of an array that run at once.",
)  # fmt: skip
@click.option(
    "--backend", type=BackendName(), default=AUTO, metavar="NAME[:SIZE]",
    envvar="DISTORTION_BACKEND", show_envvar=True,
    help="Train networks one by one (loop) or stacked (grouped, gemm, each, vmap), with steps "
    "compiled (+compile) or, on a GPU, replayed (+graph); :SIZE networks at once. auto measures "
    "once what is the fastest.",
)  # fmt: skip
@click.option(
    "--checkpoints", is_flag=True,
    help="Keep the weights of every cell, as safetensors beside the shards.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True,
    help="Train nothing: measure, and say what the study will take.",
)  # fmt: skip
@click.option(
    "--price", type=click.FloatRange(min=0), metavar="PER_HOUR",
    help="With --dry-run: what this machine costs per hour.",
)  # fmt: skip
@plugin_option
@click.option("--quiet", is_flag=True, help="Show problems only.")
def run(
    study: str,
    out: Path,
    data_root: Path,
    device: str,
    engine_name: str,
    engine_options: tuple[str, ...],
    jobs: int | None,
    backend: str,
    checkpoints: bool,
    dry_run: bool,
    price: float | None,
    plugins: tuple[str, ...],
    quiet: bool,
) -> None:
    """Run STUDY, a study file or the name of a shipped study.

    Finished networks are kept: after a stop of any kind the same command goes on where it was.
    The folder of the log is printed on stdout.
    """
    if price is not None and not dry_run:
        raise click.UsageError("--price goes with --dry-run.")
    if dry_run and engine_name != "local":
        raise click.UsageError("--dry-run measures on this machine: leave --engine away.")
    if checkpoints and engine_name == "ray":
        raise click.UsageError(
            "--checkpoints needs a folder that all workers share, which --engine ray does without."
        )
    parsed, data_root = read_study(study, plugins), data_root.expanduser()
    display = make_display(Console(stderr=True), quiet)
    try:
        with (
            stoppable(),
            open_engine(engine_name, engine_options, parsed.plugins, display.note) as engine,
        ):
            device, jobs = engine.settle(device, jobs)
            sweep = Sweep(parsed, out, data_root, device, jobs, backend, engine, checkpoints)
            if dry_run:
                return show_estimate(estimate(sweep, display), price)
            problems = sweep.run(display)
    except Stopped as stop:
        kept = "" if dry_run else " Finished networks are kept; to go on:"
        display.note(f"Stopped by {stop}.{kept}")
        if not dry_run:
            display.note(shlex.join([*program(), *sys.argv[1:]]))
        sys.exit(stop.code)
    click.echo(sweep.folder)
    failed, n_networks = failures(sweep.study, out), len(sweep.study.networks)
    if failed.cells:
        display.note(
            f"{failed.cells} cell(s) of {failed.networks} of {n_networks} networks failed, "
            "earlier runs included; `distortion-run status` names them."
        )
    messages = []
    if problems:
        messages.append(
            f"{len(problems)} of {n_networks} networks could not be computed: "
            + "; ".join(f"{network} ({problem.reason})" for network, problem in problems)
            + ". The others are done; the same command tries these again."
        )
    if failed.dense:
        messages.append(
            f"The dense network failed in {len(failed.dense)} of {n_networks} networks, which "
            f"therefore have no rows, for example {failed.dense[0]}. Change the recipe, and give "
            "the study another name."
        )
    if messages:
        error = StudyError(" ".join(messages))
        for _, problem in problems:
            error.add_note(problem.details)
        raise error


def show_estimate(expected: Estimate, price: float | None) -> None:
    """Print what a study will take."""
    if expected.lines:
        show(expected.rows)
        click.echo(expected.summary(price))
    else:
        click.echo("Nothing is left to compute.")


@command("list")
@plugin_option
def list_registered(plugins: tuple[str, ...]) -> None:
    """List the studies, data sets, networks and methods that are there."""
    load_plugins(plugins)
    studies = {name: _first_comment(path) for name, path in shipped().items()}
    sections = {
        "Studies": studies,
        "Data sets": {name: _summary(load) for name, load in DATASETS},
        "Networks": {name: _summary(factory) for name, factory in NETWORKS},
        "Methods": {name: _summary(method.described) for name, method in METHODS},
    }
    width = max(len(name) for lines in sections.values() for name in lines)
    for title, lines in sections.items():
        click.echo(title)
        for name, line in lines.items():
            click.echo(f"  {name:<{width}}  {line}")


@command("status")
@study_argument
@out_option
@plugin_option
def show_status(study: str, out: Path, plugins: tuple[str, ...]) -> None:
    """Show how far STUDY is: networks done and missing, and what failed."""
    parsed = read_study(study, plugins)
    states = status(parsed, out)
    click.echo(parsed.folder(out))
    show([HEAD, *(state.row for state in states)])
    if failed := failure_matrix(states):
        show(failed)
    for problem in (problem for state in states for problem in state.problems):
        click.echo(problem)
    click.echo(time_left(parsed, states, out))


@command("init")
@click.argument("path", metavar="STUDY.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(path: Path, force: bool) -> None:
    """Write a commented study file to start from; as it is, it runs on digits in half a minute."""
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists already. Use --force to overwrite it.")
    try:
        path.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from None
    click.echo(path)


def _summary(thing: object) -> str:
    """Return the first line of a docstring."""
    return (thing.__doc__ or "no description").strip().splitlines()[0]


def _first_comment(path: Path) -> str:
    """Return the first line of a study file, which says what the study is."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
