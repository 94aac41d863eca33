"""One look for all figures, and figures as SVG and PNG.

Colours are from Okabe & Ito (2008), ordered so that the first four stand out from white by at
least 3:1; every series also has a marker and a line style of its own. A page can
replace the colours in `VARIABLES` in a dark scheme.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import matplotlib
import numpy as np
import polars as pl
from matplotlib import style as matplotlib_style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D

from distortion.escape import to_html
from distortion.labels import clean

INK: Final = "#1b1c1e"
MUTED: Final = "#5f6368"
FAINT: Final = "#d3d6da"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#b5648f"
COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, "#a37200", "#2b8cbe", MUTED)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
FONT: Final = "DejaVu Sans"
FONT_STACK: Final = "'DejaVu Sans', Verdana, sans-serif"
VARIABLES: Final = {
    "ink": INK,
    "muted": MUTED,
    "faint": FAINT,
    "blue": BLUE,
    "vermilion": VERMILION,
    "green": GREEN,
    "purple": PURPLE,
}
# A little above the 4/3 of CSS, so that 9-point text is about as large as a caption.
PIXELS_PER_POINT: Final = 1.5
PNG_DPI: Final = 150
LIGHT_LIMIT: Final = 5_000
# An artist with named marks, up to the end tag at its own depth.
GROUP: Final = re.compile(r'^( *)<g id="(marks-\d+)">\n.*?^\1</g>', re.DOTALL | re.MULTILINE)
# More panels than this take a minute to draw, and nobody looks at them.
MOST_PANELS: Final = 40

STYLE: Final[dict[str, Any]] = {
    "font.family": [FONT],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.unicode_minus": True,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "distortion",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

P = TypeVar("P")
# What every mark of an artist shows, in the order of drawing, by the artist's id in the SVG.
Names = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with what it needs to be read without being seen.

    Attributes
    ----------
    name : of its files
    title : a short heading
    alt : one sentence: kind of chart, of which data, where what is to be seen
    caption : how to read it, and which variation it shows
    data : what is drawn, one row per mark
    names : what the marks show one by one, for those who point at them
    """

    name: str
    figure: Figure
    title: str
    alt: str
    caption: str
    data: pl.DataFrame
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


@contextmanager
def styled() -> Iterator[None]:
    """The look, whatever the user's own matplotlib settings are."""
    with matplotlib_style.context(["default", STYLE]):
        yield


def svg(drawing: Drawing) -> str:
    """The figure as SVG with real text; the same bytes for the same data."""
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": "distortion", "Title": drawing.title}
    with styled():
        _settle(drawing.figure)
        drawing.figure.savefig(buffer, format="svg", metadata=metadata)
    text = buffer.getvalue().replace(f"'{FONT}'", FONT_STACK)
    return GROUP.sub(lambda group: _titled(group[0], drawing.names[group[2]]), text)


def png(drawing: Drawing) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    with styled():
        _settle(drawing.figure)
        drawing.figure.savefig(
            buffer, format="png", dpi=PNG_DPI, metadata={"Software": "distortion"}
        )
    return buffer.getvalue()


def _settle(figure: Figure) -> None:
    """Lay the figure out, once for all formats: that is most of the work of drawing it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def name_marks(names: Names, artist: Artist, texts: Sequence[str]) -> None:
    """Say what each mark of `artist` shows; every one of them has to lie within the figure."""
    gid = f"marks-{len(names)}"
    names[gid] = list(texts)
    artist.set_gid(gid)


def name_markers(
    names: Names,
    line: Line2D,
    texts: Sequence[str],
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Say what each marker of `line` shows; those outside the vertical `limits` are not drawn."""
    y = np.asarray(line.get_ydata(orig=False), dtype=np.float64)
    drawn: list[int] = np.flatnonzero((limits[0] <= y) & (y <= limits[1])).tolist()
    line.set_markevery(drawn)
    name_marks(names, line, [texts[i] for i in drawn])


def _titled(group: str, texts: Sequence[str]) -> str:
    """The group of an artist with a title in each mark; a style that all share moves up."""
    tag = "use" if "<use" in group else "path"
    parts = re.split(rf"(<{tag} [^<>]*)/>", group)
    marks = parts[1::2]
    styles = {style for mark in marks for style in re.findall(r' style="[^"]*"', mark)}
    # Opacity itself (unlike that of fill and stroke) would blend the group, not each mark.
    if tag == "use" and len(styles) == 1 and not re.search(r'["\s]opacity', *styles):
        shared = styles.pop()
        marks = [mark.replace(shared, "") for mark in marks]
        before, _, after = parts[0].rpartition("<g")
        parts[0] = f"{before}<g{shared}{after}"
    parts[1::2] = [
        f"{mark.rstrip()}><title>{to_html(text)}</title></{tag}>"
        for mark, text in zip(marks, texts, strict=True)
    ]
    return "".join(parts)


def inline_svg(text: str, name: str) -> str:
    """The `<svg>` element alone, for an HTML page.

    Its ids are made unique on the page by `name`, its colours follow the page's scheme and
    its fonts those of the page, which also has its title.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"\A(<svg[^>]*>)\s*<title>.*?</title>", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    for variable, colour in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = text.replace("fill: #ffffff", "fill: var(--paper)")
    box = re.search(r'viewBox="(\S+ \S+ (\S+) \S+)"', text)
    assert box is not None
    widest = round(float(box[2]) * PIXELS_PER_POINT)
    opening = f'<svg viewBox="{box[1]}" style="max-width: {widest}px" role="presentation">'
    return opening + text[text.index(">") + 1 :]


def drawable(text: object, limit: int = 28) -> str:
    """`text` on one line, with � for what the figures' font cannot draw."""
    known = _letters()
    return "".join(c if ord(c) in known else "\ufffd" for c in clean(text, limit))


def limited(panels: list[P]) -> tuple[list[P], str]:
    """The panels that are drawn, and what the caption says about the others."""
    if len(panels) <= MOST_PANELS:
        return panels, ""
    note = f" The first {MOST_PANELS} of {len(panels)} panels are drawn; the data file has all."
    return panels[:MOST_PANELS], note


def series(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line style of each name, the same in every figure of a report."""
    return {
        name: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i % len(LINES)],
        }
        for i, name in enumerate(names)
    }


def grid(
    panels: int, columns: int, *, width: float, height: float, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `panels` axes in rows of `columns`; the sizes of one panel are in inches."""
    columns = min(panels, columns)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns + 0.6, height * rows + 0.6))
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for spare in axes[panels:]:
        spare.remove()
    # The panel above a removed one is the lowest of its column and needs its own tick labels.
    for axis in axes[max(0, panels - columns) : panels]:
        axis.tick_params(labelbottom=True)
    return figure, list(axes[:panels])


@cache
def _letters() -> frozenset[int]:
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(FT2Font(str(font)).get_charmap())
