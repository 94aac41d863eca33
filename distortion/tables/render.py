"""A table as HTML, Markdown, LaTeX and CSV."""

import math

import polars as pl

from distortion.escape import to_html, to_latex, to_markdown
from distortion.tables.table import Column, Table

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
FLOAT_ROWS = 40
FIRST = ' class="first"'
PREAMBLE = r"""% Needs in the preamble:
%   \usepackage[T1]{fontenc}
%   \usepackage{textcomp}
%   \usepackage{booktabs}
"""


def html_table(table: Table, caption: str, *, sortable: bool = False) -> str:
    """A `<table>` with caption, column and row headers and `data-tone` on cells that have one.

    If it is `sortable`, `data-sort` holds the exact number of cells that show a rounded one.
    """
    heads = "".join(
        f'<th scope="col"{_classes(c)}>{to_html(c.heading)}</th>' for c in table.columns
    )
    body: list[str] = []
    previous = [""] * len(table.columns)
    for texts, tones, values in zip(table.rows(), table.tones(), table.values(), strict=True):
        again = True
        cells = []
        for column, text, tone, value, above in zip(
            table.columns, texts, tones, values, previous, strict=True
        ):
            again = again and column.names and text == above
            tag = 'th scope="row"' if column.names else "td"
            style = _classes(column, again)
            toned = f' data-tone="{tone}"' if tone else ""
            exact = _exact(value) if sortable else ""
            cells.append(f"<{tag}{style}{toned}{exact}>{to_html(text)}</{tag.split()[0]}>")
        first = not body or texts[0] != previous[0]
        body.append(f"<tr{FIRST if first else ''}>{''.join(cells)}</tr>")
        previous = texts
    rows = "\n".join(body)
    return (
        f'<table id="table-{to_html(table.name)}"><caption>{to_html(caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
    )


def markdown_table(table: Table) -> str:
    """A GitHub-flavoured Markdown table, without its caption."""
    lines = [[to_markdown(c.heading) for c in table.columns]]
    lines.append(["--:" if c.numeric else ":--" for c in table.columns])
    lines += [[to_markdown(text) for text in row] for row in table.rows()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex_table(table: Table) -> str:
    r"""A booktabs fragment for `\input`; a longtable where it would not fit a page."""
    long = table.data.height > FLOAT_ROWS
    spec = "".join("r" if c.numeric else "l" for c in table.columns)
    head = f"\\toprule\n{_latex_row([c.heading for c in table.columns])} \\\\\n\\midrule\n"
    rows = "".join(f"{_latex_row(row)} \\\\\n" for row in table.rows(None))
    title = f"\\caption{{{to_latex(table.caption)}}}\\label{{tab:{table.name}}}"
    notes = "".join(f"\\par\\smallskip\\footnotesize {to_latex(n)}\n" for n in table.notes)
    if long:
        return (
            f"{PREAMBLE}%   \\usepackage{{longtable}}\n"
            f"\\begin{{longtable}}{{{spec}}}\n{title}\\\\\n{head}\\endfirsthead\n"
            f"{head}\\endhead\n\\bottomrule\n\\endfoot\n{rows}\\end{{longtable}}\n"
            f"{{{notes}\\par}}\n"
        )
    return (
        f"{PREAMBLE}\\begin{{table}}\n\\centering\n{title}\n\\begin{{tabular}}{{{spec}}}\n"
        f"{head}{rows}\\bottomrule\n\\end{{tabular}}\n{notes}\\end{{table}}\n"
    )


def _latex_row(texts: list[str]) -> str:
    r"""The cells of a row. At its start, `[` and `*` would be options of the `\\` before it."""
    row = " & ".join(map(to_latex, texts))
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def csv_table(data: pl.DataFrame) -> str:
    """Every column at full precision.

    A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV
    injection).
    """
    guarded = data.with_columns(
        pl.when(pl.col(name).str.slice(0, 1).is_in(FORMULA_STARTS))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name, dtype in data.schema.items()
        if dtype == pl.String
    )
    return guarded.write_csv()


def _exact(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f' data-sort="{value!r}"'


def _classes(column: Column, again: bool = False) -> str:
    classes = [name for name, holds in (("n", column.numeric), ("again", again)) if holds]
    return f' class="{" ".join(classes)}"' if classes else ""
