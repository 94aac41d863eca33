"""A table of finished text in four formats: terminal, Markdown, HTML, LaTeX."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from distortion.escape import to_html, to_latex, to_markdown

WIDTH: Final = 88
BOOKTABS: Final = "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc} in the preamble.\n"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Cells as text, unescaped.

    Attributes
    ----------
    title : what the table shows; may be empty
    headings : one per column
    rows : the cells
    words : number of columns at the left that hold words; the others hold numbers
    rules : indices of rows that a line stands above
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    rules: tuple[int, ...] = ()


def to_text(sheet: Sheet) -> str:
    """Columns aligned by spaces: words to the left, numbers to the right."""
    cells = [sheet.headings, *sheet.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(sheet.headings))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < sheet.words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    for place in sorted(sheet.rules, reverse=True):
        lines.insert(place + 1, rule)
    return "\n".join([*([sheet.title] if sheet.title else []), *lines])


def markdown_table(sheet: Sheet) -> str:
    """A GitHub-flavoured table, without its title."""
    lines = [[to_markdown(h) for h in sheet.headings]]
    lines.append([":--" if i < sheet.words else "--:" for i in range(len(sheet.headings))])
    lines += [[to_markdown(cell) for cell in row] for row in sheet.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def html_table(sheet: Sheet) -> str:
    """A `<table>` that needs no style sheet to be legible."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{"left" if i < sheet.words else "right"}">'
            f"{to_html(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    caption = f"<caption>{to_html(sheet.title)}</caption>" if sheet.title else ""
    body = "\n".join(
        f"<tr{_rule(i in sheet.rules)}>{cells(row, 'td')}</tr>" for i, row in enumerate(sheet.rows)
    )
    head = f"<thead><tr>{cells(sheet.headings, 'th')}</tr></thead>"
    return f"<table>{caption}\n{head}\n<tbody>\n{body}\n</tbody></table>"


def latex_tabular(sheet: Sheet) -> str:
    """A booktabs `tabular`, without caption."""
    columns = "".join("l" if i < sheet.words else "r" for i in range(len(sheet.headings)))
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _latex_row(sheet.headings)]
    lines.append("\\midrule")
    for i, row in enumerate(sheet.rows):
        lines += ["\\midrule"] if i in sheet.rules else []
        lines.append(_latex_row(row))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}\n"])


def latex_float(title: str, tabulars: Iterable[str], notes: Iterable[str]) -> str:
    r"""A `table` for `\input`: tabulars below each other, notes in small print."""
    below = "\\par\\medskip\n".join(tabulars)
    small = "".join(f"\\par\\smallskip\\footnotesize {to_latex(note)}\n" for note in notes)
    caption = f"\\caption{{{to_latex(title)}}}\n"
    return f"{BOOKTABS}\\begin{{table}}\n\\centering\n{caption}{below}{small}\\end{{table}}\n"


def wrapped(sentence: str, bullet: str = "- ") -> str:
    """A sentence wrapped for a terminal; long words stay whole."""
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rule(above: bool) -> str:
    return ' style="border-top:1px solid"' if above else ""


def _latex_row(cells: Sequence[str]) -> str:
    r"""The cells of a row. At its start, `[` and `*` would be options of the `\\` before it."""
    row = " & ".join(to_latex(cell) for cell in cells)
    return f"{'{}' if row.startswith(('[', '*')) else ''}{row} \\\\"
