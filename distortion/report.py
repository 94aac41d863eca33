"""Write a report: a page, the same in Markdown, tables, figures and all findings as JSON.

Everything is written into a temporary folder beside the target, which then takes the target's
name: a half-written report never exists. The same log gives the same bytes.
"""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distortion.errors import ReportError
from distortion.evidence import Evidence, gather
from distortion.log import Source, read_log
from distortion.settings import chosen
from distortion.tables.origins import versions
from distortion.tables.render import csv_table, latex_table

if TYPE_CHECKING:
    from distortion.blocks import Contents

SCHEMA: Final = "distortion/findings/1"
PAGE: Final = "index.html"
FINDINGS: Final = "findings.json"


def report(
    log: Source,
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    **options: Any,
) -> list[Path]:
    """Analyse a log and write the report into the folder `out`.

    Parameters
    ----------
    log : whatever `distortion.read_log` reads
    out : folder to create
    force : replace `out` if it holds an earlier report
    options : as for `distortion.findings`, by name

    Returns
    -------
    The files written: index.html, report.md, findings.json, then tables and figures.

    Raises
    ------
    ReportError
        If `out` exists and is not an empty folder, or with `force` not an earlier report.
    LogError, DesignError
        As `read_log` and `findings` do.
    """
    # Drawing needs matplotlib, which is slow to import: only reports wait for it.
    from distortion.contents.contents import contents

    target = Path(out)
    _check_target(target, force=force)
    settings = chosen(options)
    evidence = gather(read_log(log), settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        draft = Path(scratch) / "report"
        written = _write(draft, contents(evidence), findings_json(evidence))
        names = [path.relative_to(draft) for path in written]
        if target.exists():
            target.replace(Path(scratch) / "earlier")
        draft.replace(target)
    return [target / name for name in names]


def findings_json(evidence: Evidence) -> str:
    """Every finding as JSON; what is undefined is null, never NaN."""
    rows = evidence.findings.drop("class_label").to_dicts()
    record = {
        "schema": SCHEMA,
        "versions": versions(),
        "source": evidence.log.source,
        "options": evidence.options,
        "findings": [{k: _finite(value) for k, value in row.items()} for row in rows],
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(folder: Path, parts: "Contents", findings: str) -> list[Path]:
    """Write all files of the report below `folder`."""
    from distortion.figures.style import png, svg
    from distortion.pages import html_page, markdown_page

    svgs = {drawing.name: svg(drawing) for drawing in parts.drawings()}
    texts = {
        PAGE: html_page(parts, svgs),
        "report.md": markdown_page(parts),
        FINDINGS: findings,
    }
    for table in parts.tables():
        texts[f"tables/{table.name}.csv"] = csv_table(table.data)
        texts[f"tables/{table.name}.tex"] = latex_table(table)
    contents_of = {name: text.encode() for name, text in texts.items()}
    for drawing in parts.drawings():
        contents_of[f"figures/{drawing.name}.svg"] = svgs[drawing.name].encode()
        contents_of[f"figures/{drawing.name}.png"] = png(drawing)
        contents_of[f"figures/{drawing.name}.csv"] = csv_table(drawing.data).encode()
    for name in ("tables", "figures"):
        (folder / name).mkdir(parents=True)
    for name, content in contents_of.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents_of]


def _check_target(target: Path, *, force: bool) -> None:
    """Refuse to overwrite, and to replace anything that is not a report even when forced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / FINDINGS).is_file() or not (target / PAGE).is_file():
        raise ReportError(
            f"{target} exists and is not a report of ours, so it is not replaced. Name another "
            "folder for the report."
        )
    if not force:
        raise ReportError(
            f"{target} holds a report already. Name another folder, or replace it with "
            "`--force` (`force=True`)."
        )


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
