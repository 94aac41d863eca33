"""The sign-off as HTML and Markdown: verdict first, then in the order of a model card.

Model cards: Mitchell et al. (2019), Model Cards for Model Reporting, section 4.
"""

from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distortion.blocks import Block, Bullets, Section, Terms, Text
from distortion.escape import to_html, to_markdown, to_markdown_line
from distortion.figures.gate import class_losses
from distortion.figures.style import Drawing, inline_svg, svg
from distortion.gate.gate import Gate, Gated
from distortion.gate.limits import FAIL, OPEN, PASS
from distortion.gate.record import fingerprint, parameters, weights_hashes
from distortion.gate.rows import criterion_rows, to_table
from distortion.gate.selection import name
from distortion.gate.tables import (
    LOWEST,
    MOST_CLASSES,
    class_table,
    condition_table,
    largest_table,
    whole_table,
)
from distortion.gate.words import (
    SAID,
    asked,
    collapsed,
    error_rates,
    headline,
    losers,
    reasons,
    to_decide,
)
from distortion.labels import counted, listed
from distortion.tables import numbers
from distortion.tables.render import html_table, markdown_table
from distortion.tables.table import Table

SIGNS: Final = {PASS: "✓", FAIL: "✗", OPEN: "?"}
FILL: Final = Text("")
FEW: Final = 3

_TEMPLATES = Environment(
    loader=ChoiceLoader([PackageLoader("distortion.gate"), PackageLoader("distortion")]),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def html_page(gate: Gate) -> str:
    """One self-contained page, to be printed on one sheet where one condition was gated."""
    return _render("gate.html", gate, lambda block: Markup(_html(block)))


def markdown_page(gate: Gate) -> str:
    """The same in Markdown, without the figure, whose numbers stand in the table."""
    return _render("gate.md", gate, _markdown)


def sections(gate: Gate) -> tuple[Section, ...]:
    """The parts of the page after the verdict."""
    details = _details(gate)
    first = gate.gated[0]
    caveats = tuple(dict.fromkeys(text for g in gate.gated for text in g.caveats))
    if len(gate.gated) > 1:
        caveats = (
            *caveats,
            "To have one condition signed, gate it alone: every class is then on the page.",
        )
    return (
        Section("details", "Model details", (Terms(details),)),
        Section("use", "Intended use (to be filled in)", (FILL,)),
        Section("factors", "Factors", (Text(_factors(gate)),)),
        Section("metrics", "Metrics", (Bullets((*asked(gate.limits), error_rates(gate, first))),)),
        Section("data", "Evaluation data", (Text(_data(gate)),)),
        Section("analyses", "Quantitative analyses", _analyses(gate)),
        Section("caveats", "Caveats and recommendations", (Bullets(caveats),)),
    )


def _render(template: str, gate: Gate, render: Any) -> str:
    lead = headline(gate)
    said = SAID[gate.verdict]
    page = _TEMPLATES.get_template(template)
    return page.render(
        title=_title(gate),
        said=said,
        sign=SIGNS[gate.verdict],
        tone={PASS: "pass", FAIL: "fail", OPEN: "open"}[gate.verdict],
        lead=f"{lead.removeprefix(f'{said}: ')[0].upper()}{lead.removeprefix(f'{said}: ')[1:]}",
        because=_because(gate),
        sections=sections(gate),
        render=render,
        markdown=to_markdown,
        line=to_markdown_line,
    )


def _title(gate: Gate) -> str:
    first = gate.gated[0].counts
    models = listed(dict.fromkeys(g.counts.condition["model"] for g in gate.gated), 3)
    data = listed(dict.fromkeys(g.counts.condition["dataset"] for g in gate.gated), 3)
    what = name(first) if len(gate.gated) == 1 else counted(len(gate.gated), "condition")
    return f"May it replace the dense network? {models} on {data}: {what}"


def _because(gate: Gate) -> tuple[str, ...]:
    if len(gate.gated) > 1:
        return ()
    gated = gate.gated[0]
    found = (*reasons(gated), collapsed(gated), to_decide(gated), losers(gated, gate.level))
    return tuple(sentence for sentence in found if sentence)


def _details(gate: Gate) -> tuple[tuple[str, str], ...]:
    """Facts of one condition, or what several share."""

    def over(column: str) -> str:
        values = dict.fromkeys(g.counts.condition[column] for g in gate.gated)
        if column == "ratio":
            return listed([numbers.ratio(value) for value in sorted(values)], 12)
        return listed([value for value in values if value != ""], 12) or numbers.NOTHING

    pairs = [("Data set", over("dataset")), ("Model", over("model")), ("Method", over("method"))]
    pairs += [("Study, recipe", f"{over('study')}, {over('recipe')}"), ("Arm", gate.arm)]
    pairs.append(("Ratio asked", over("ratio")))
    if len(gate.gated) > 1:
        return tuple(pairs)
    gated = gate.gated[0]
    counts = gated.counts
    pairs.append(("Ratio achieved", _span([float(r) for r in counts.ratio_achieved])))
    if found := parameters(gate.log, counts):
        before, after = (numbers.count(round(value)) for value in found)
        pairs.append(("Parameters before, after", f"{before}, {after}"))
    pairs.append(("Seeds", numbers.spans(list(counts.seeds))))
    hashes = weights_hashes(gate.log, counts)
    if hashes:
        many = f"{len(set(hashes))} different, in gate.json"
        pairs.append(("Initial weights (hash)", listed(hashes) if len(hashes) <= FEW else many))
    pairs.append(("Counts (SHA-256)", fingerprint(counts)))
    return tuple(pairs)


def _factors(gate: Gate) -> str:
    classes = listed(
        dict.fromkeys(counted(g.counts.size[1], "class", "classes") for g in gate.gated), 3
    )
    return (
        f"The groups compared are the {classes} of the data set. Other groups of people or images "
        "were not compared."
    )


def _data(gate: Gate) -> str:
    counts = gate.gated[0].counts
    n = counts.n
    low, high = int(n.min()), int(n.max())
    per_class = numbers.count(low) if low == high else f"{low:,} to {high:,}"
    paired = "counted pairwise with the dense network" if counts.kept is not None else "unpaired"
    networks = listed(dict.fromkeys(counted(g.counts.size[0], "network") for g in gate.gated), 4)
    return (
        f"Split {gate.split}: {numbers.count(int(n[0].sum()))} images, {per_class} per class, "
        f"{paired}; {networks}."
    )


def _analyses(gate: Gate) -> tuple[Block, ...]:
    if len(gate.gated) > 1:
        return condition_table(gate), largest_table(gate)
    gated = gate.gated[0]
    blocks: list[Block] = []
    measures = [d.criterion.name for d in gated.decisions]
    if "class drop" in measures:
        blocks.append(class_table(gated, "class drop", MOST_CLASSES))
        blocks.append(_drawing(gated))
    else:
        blocks.append(Text("No limit on the loss of single classes was asked for."))
    if "worst recall" in measures:
        blocks.append(class_table(gated, "worst recall", LOWEST))
    if whole := whole_table(gated):
        blocks.append(whole)
    return tuple(blocks)


def _drawing(gated: Gated) -> Drawing:
    rows = to_table(criterion_rows(gated))
    levels = [numbers.confidence(1 - r) for r in (gated.rates.failing, gated.rates.passing)]
    bounds = f"lower bound at {levels[0]}, upper bound at {levels[1]}, each one-sided"
    return class_losses(rows.filter(measure="class drop"), bounds)


def _span(values: list[float]) -> str:
    known = [value for value in values if value == value]
    if not known:
        return "unknown"
    low, high = numbers.fixed(min(known)), numbers.fixed(max(known))
    return low if low == high else f"{low} to {high}"


def _html(block: Block) -> str:
    match block:
        case Text(""):
            return '<p class="fill"></p><p class="fill"></p>'
        case Text(text):
            return f"<p>{to_html(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{to_html(item)}</li>' for item in items)}</ul>"
        case Terms(pairs):
            rows = (f"<div><dt>{to_html(t)}</dt><dd>{to_html(d)}</dd></div>" for t, d in pairs)
            return f"<dl>{''.join(rows)}</dl>"
        case Table():
            notes = "".join(f"<p>{to_html(note)}</p>" for note in block.all_notes)
            return (
                f'<div class="table"><div class="scroll" tabindex="0" role="region" '
                f'aria-label="{to_html(block.caption)}">{html_table(block, block.caption)}</div>'
                f'<div class="notes">{notes}</div></div>'
            )
        case Drawing():
            return (
                f'<figure><div class="scroll" role="img" aria-label="{to_html(block.alt)}">'
                f"{inline_svg(svg(block), block.name)}</div><figcaption><strong>"
                f"{to_html(block.title)}.</strong> {to_html(block.caption)}</figcaption></figure>"
            )


def _markdown(block: Block) -> str:
    match block:
        case Text(""):
            return "\n".join(["\\_" * 40, ""] * 2)
        case Text(text):
            return f"{to_markdown_line(text)}\n"
        case Bullets(items):
            return "".join(f"- {to_markdown_line(item)}\n" for item in items)
        case Terms(pairs):
            return "".join(f"- **{to_markdown(t)}**: {to_markdown(d)}\n" for t, d in pairs)
        case Table():
            notes = "".join(f"\n{to_markdown_line(note)}\n" for note in block.all_notes)
            return f"**{to_markdown(block.caption)}**\n\n{markdown_table(block)}{notes}"
        case Drawing():
            return ""
