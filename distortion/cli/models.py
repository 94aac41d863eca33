"""The command that fits models: fit."""

from collections.abc import Callable
from typing import Any, Final

import click
import polars as pl

from distortion.cli.group import TABLES, command, log_argument
from distortion.errors import DesignError, did_you_mean
from distortion.fits.formulas.formula import parse
from distortion.fits.glmm import fit_glmm
from distortion.fits.lmm import METHODS, fit_lmm
from distortion.fits.models.linearmixed import DF_METHODS
from distortion.fits.regressions.regression import fit_ols
from distortion.fits.results.result import Fit
from distortion.log import read_log
from distortion.tables.render import csv_table

LAYOUTS: Final[dict[str, Callable[[Fit], str]]] = {
    "text": Fit.summary,
    "markdown": Fit.to_markdown,
    "latex": Fit.to_latex,
    "csv": lambda fit: csv_table(fit.estimates),
}


EXAMPLES: Final = """\b
A linear mixed model:
  "balance ~ balance_dense * log2_ratio + (0 + balance_dense | network) + (1 | class_id)"
A binomial one, of counts:
  "correct/n ~ log2_ratio * method + (1 | network) + (1 | class_id)"
A regression, with --table slopes --cluster network:
  "alpha ~ log2(ratio) * method"
"""


@command("fit", epilog=EXAMPLES)
@log_argument
@click.argument("formula")
@click.option(
    "--table",
    type=click.Choice(list(TABLES)),
    default="pairs",
    help="Rows: classes of compressed cells (pairs), cells (slopes), every class (measures), …",
)
@click.option(
    "--only",
    multiple=True,
    metavar="COLUMN=VALUE[,VALUE]",
    help="Keep rows with these values. Repeatable.",
)
@click.option("--method", type=click.Choice(METHODS), default="reml", help="Linear mixed models.")
@click.option(
    "--df",
    type=click.Choice(DF_METHODS),
    default="satterthwaite",
    help="Degrees of freedom of linear mixed models.",
)
@click.option("--cluster", multiple=True, metavar="COLUMN", help="Regressions. At most two.")
@click.option(
    "--format", "layout", type=click.Choice(list(LAYOUTS)), default="text", help="Of the result."
)
def fit(
    log: str,
    formula: str,
    table: str,
    only: tuple[str, ...],
    method: Any,
    df: Any,
    cluster: tuple[str, ...],
    layout: str,
) -> None:
    """Fit FORMULA, in the language of lme4, to a table made of LOG."""
    rows = _only(TABLES[table](read_log(log)), only)
    parsed = parse(formula)
    if parsed.trials is not None:
        fitted = fit_glmm(formula, rows)
    elif parsed.random:
        fitted = fit_lmm(formula, rows, method=method, df=df)
    else:
        fitted = fit_ols(formula, rows, cluster=list(cluster) or None)
    click.echo(LAYOUTS[layout](fitted).rstrip("\n"))


def _only(rows: pl.DataFrame, only: tuple[str, ...]) -> pl.DataFrame:
    """Keep rows whose columns have one of the values, compared as text or as numbers."""
    for text in only:
        column, _, values = text.partition("=")
        if not values:
            raise click.BadParameter(f"write COLUMN=VALUE, not {text!r}", param_hint="--only")
        if column not in rows.columns:
            raise DesignError(f"No column {column!r}. {did_you_mean(column, rows.columns)}")
        try:
            wanted = pl.Series(values.split(",")).cast(rows.schema[column])
        except pl.exceptions.PolarsError:
            raise DesignError(
                f"--only {text}: column {column} holds {rows.schema[column]}, and {values!r} "
                f"cannot be read as that."
            ) from None
        rows = rows.filter(pl.col(column).is_in(wanted.implode()))
        if not rows.height:
            raise DesignError(f"--only {text} leaves no row.")
    return rows
