"""Text made safe for one format, or as a file name. Each function takes text as people read it."""

import hashlib
import html
import re
import unicodedata
from typing import Final

from distortion.labels import clean


def to_html(text: str) -> str:
    """Escaped for element content and quoted attributes."""
    return html.escape(clean(text, None) if text else "")


def to_markdown(text: str) -> str:
    """Escaped for a table cell or the inside of a paragraph, in CommonMark and GitHub's dialect.

    Only what would be read as markup is escaped, so that `1.06 [1.02, 1.10]` and `<0.001` stay
    legible in the source.
    """
    if not text:
        return ""
    one_line = re.sub(r"([\\`*_|$~])", r"\\\1", clean(text, None))
    one_line = re.sub(r"\](?=[(\[:])", r"\\]", one_line)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"&(?=#|\w+;)", "&amp;", one_line))


def to_markdown_line(text: str) -> str:
    """As `to_markdown`, for text that begins a line: no heading, quote or list arises from it."""
    escaped = re.sub(r"^(?=[#>+=-])", r"\\", to_markdown(text))
    return re.sub(r"^(\d+)(?=[.)])", r"\1\\", escaped)


SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "−": r"$-$",
    "–": r"--",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "↔": r"$\leftrightarrow$",
    "↓": r"$\downarrow$",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "²": r"$^2$",
    "α": r"$\alpha$",
    "χ": r"$\chi$",
    "∞": r"$\infty$",
    "½": r"$\frac{1}{2}$",
    "κ": r"$\kappa$",
    "ρ": r"$\rho$",
    "“": "``",
    "”": "''",
    "’": "'",
}
COMBINED: Final = {"α̂": r"$\hat\alpha$", "Ā": r"$\bar A$", "B̄": r"$\bar B$", "κ̂": r"$\hat\kappa$"}


def to_latex(text: str) -> str:
    """Escaped for running text in pdfLaTeX with T1 fonts.

    Letters outside Latin and the signs above become `[U+1F600]`: pdfLaTeX would stop at them.
    """
    if not text:
        return ""
    parts = re.split(f"({'|'.join(COMBINED)})", clean(text, None))
    return "".join(COMBINED.get(part) or "".join(map(_latex_letter, part)) for part in parts)


def _latex_letter(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    supported = letter.isascii() or (letter.isalpha() and ord(letter) < 0x180)
    return letter if supported else f"[U+{ord(letter):04X}]"


def safe_name(text: str) -> str:
    """A name for a file or folder that shows `text` and cannot leave its folder.

    Letters, digits, `.`, `-` and `_` stay; where anything else was replaced, a short hash keeps
    different texts apart.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip(".-")[:80]
    if plain == text and plain:
        return plain
    return f"{plain or 'unnamed'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
