"""The contents as one HTML page and as Markdown; everything that is text is escaped here."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distortion.blocks import Block, Bullets, Contents, Terms, Text
from distortion.escape import to_html, to_markdown, to_markdown_line
from distortion.figures.style import Drawing, inline_svg
from distortion.tables.render import html_table, markdown_table
from distortion.tables.table import Table

Numbers = Mapping[tuple[type, str], str]

_TEMPLATES = Environment(
    loader=PackageLoader("distortion"),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def html_page(contents: Contents, svgs: Mapping[str, str]) -> str:
    """One self-contained page; `svgs` holds the SVG text of each drawing by name."""
    numbered = _numbered(contents)

    def render(block: Block) -> Markup:
        return Markup(_html(block, numbered, svgs))

    script = files("distortion").joinpath("templates/report.js").read_text(encoding="utf-8")
    return _render(
        "report.html", contents, render, script=Markup(script), script_hash=_sha256(script)
    )


def markdown_page(contents: Contents) -> str:
    """The same in Markdown, with links to the figures' and tables' files."""
    numbered = _numbered(contents)
    return _render("report.md", contents, lambda block: _markdown(block, numbered))


def _render(template: str, contents: Contents, render: Any, **more: Any) -> str:
    page = _TEMPLATES.get_template(template)
    return page.render(
        contents=contents, render=render, markdown=to_markdown, line=to_markdown_line, **more
    )


def _sha256(script: str) -> str:
    """The hash by which a Content-Security-Policy admits an inline script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _numbered(contents: Contents) -> Numbers:
    """`Figure 1`, `Table 1`, … by kind and name."""
    numbered: dict[tuple[type, str], str] = {}
    for i, drawing in enumerate(contents.drawings(), 1):
        numbered[Drawing, drawing.name] = f"Figure {i}"
    for i, table in enumerate(contents.tables(), 1):
        numbered[Table, table.name] = f"Table {i}"
    return numbered


def _html(block: Block, numbered: Numbers, svgs: Mapping[str, str]) -> str:
    match block:
        case Text(text):
            return f"<p>{to_html(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{to_html(item)}</li>' for item in items)}</ul>"
        case Terms(pairs):
            rows = (f"<dt>{to_html(t)}</dt><dd>{to_html(d)}</dd>" for t, d in pairs)
            return f"<dl>{''.join(rows)}</dl>"
        case Table():
            return _html_table(block, numbered[Table, block.name])
        case Drawing():
            return _html_figure(block, numbered[Drawing, block.name], svgs[block.name])


def _html_table(table: Table, number: str) -> str:
    notes = f"<p>{to_html(' '.join(table.all_notes))}</p>" if table.all_notes else ""
    files = _files(f"tables/{table.name}", ("csv", "tex"))
    caption = f"{number}. {table.caption}"
    body = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{to_html(caption)}">'
        f'{html_table(table, caption, sortable=True)}</div><div class="notes">{notes}{files}</div>'
    )
    if not table.folded:
        return f'<div class="table">{body}</div>'
    rows = f"{table.data.height} rows"
    return (
        f'<details class="table"><summary>{to_html(caption)} <span>({rows})</span></summary>'
        f"{body}</details>"
    )


def _html_figure(drawing: Drawing, number: str, svg: str) -> str:
    files = _files(f"figures/{drawing.name}", ("svg", "png", "csv"))
    return (
        f'<figure id="figure-{drawing.name}"><div class="scroll" tabindex="0" role="img" '
        f'aria-label="{to_html(drawing.alt)}">{inline_svg(svg, drawing.name)}</div>'
        f"<figcaption><strong>{number}. {to_html(drawing.title)}.</strong> "
        f"{to_html(drawing.caption)} {files}</figcaption></figure>"
    )


def _files(stem: str, suffixes: tuple[str, ...]) -> str:
    links = (f'<a href="{stem}.{s}">{s.upper()}</a>' for s in suffixes)
    return f'<span class="files">{" ".join(links)}</span>'


def _markdown(block: Block, numbered: Numbers) -> str:
    match block:
        case Text(text):
            return f"{to_markdown_line(text)}\n"
        case Bullets(items):
            return "".join(f"- {to_markdown_line(item)}\n" for item in items)
        case Terms(pairs):
            return "".join(f"- **{to_markdown(t)}**: {to_markdown(d)}\n" for t, d in pairs)
        case Table(name=name):
            notes = f"\n{to_markdown_line(' '.join(block.all_notes))}\n" if block.all_notes else ""
            heading = f"**{numbered[Table, name]}. {to_markdown(block.caption)}**"
            files = f"[CSV](tables/{name}.csv) [LaTeX](tables/{name}.tex)"
            return f"{heading}\n\n{markdown_table(block)}{notes}\n{files}\n"
        case Drawing(name=name):
            picture = f"![{to_markdown(block.alt)}](figures/{name}.svg)"
            heading = f"**{numbered[Drawing, name]}. {to_markdown(block.title)}.**"
            files = f"[PNG](figures/{name}.png) [data](figures/{name}.csv)"
            return f"{picture}\n\n{heading} {to_markdown(block.caption)}\n\n{files}\n"
