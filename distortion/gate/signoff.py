"""Writing the sign-off: a folder with page, Markdown and JSON, or one of the three as a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from distortion.errors import ReportError
from distortion.gate.gate import Gate
from distortion.gate.record import gate_json

STEM: Final = "gate"


def write_signoff(gate: Gate, out: str | os.PathLike[str], *, force: bool = False) -> list[Path]:
    """Write the sign-off; the same log and limits give the same bytes.

    Parameters
    ----------
    out : a folder, which gets gate.html, gate.md and gate.json, or a file with such a suffix
    force : overwrite files that exist

    Raises
    ------
    ReportError
        If a file exists and is not to be overwritten, or `out` is a file without such a suffix.
    """
    # Drawing needs matplotlib, which is slow to import: only the page waits for it.
    from distortion.gate.page import html_page, markdown_page

    target = Path(out)
    makers: dict[str, Callable[[Gate], str]] = {
        ".html": html_page,
        ".md": markdown_page,
        ".json": gate_json,
    }
    if target.suffix in makers and not target.is_dir():
        wanted = {target: makers[target.suffix]}
    elif target.exists() and not target.is_dir():
        raise ReportError(
            f"{target} is a file and ends in none of {', '.join(makers)}. Name a folder, or a file "
            "with one of these suffixes."
        )
    else:
        wanted = {target / f"{STEM}{suffix}": maker for suffix, maker in makers.items()}
    if not force and (there := [path for path in wanted if path.exists()]):
        raise ReportError(
            f"{there[0]} exists. Name another place, or overwrite it with `--force` (`force=True`)."
        )
    texts = {path: make(gate) for path, make in wanted.items()}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_bytes(text.encode())
        part.replace(path)
    return list(texts)
