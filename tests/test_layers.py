"""Imports point one way; distortion never needs torch; each border has one owner."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A module may import those to its left, and its own layer.
LAYERS = [
    {"schema", "errors"},
    {"labels", "escape"},
    {"violations", "columns", "rules", "cells", "traits"},
    {"places", "files", "batches", "provenance", "log", "layouts", "predictions"},
    {"measures"},
    {"designs"},
    {"counts"},
    {"frames", "corrections"},
    {"hypotheses"},
    {"catalogue"},
    {"settings", "comparisons", "fits"},
    {"resampling"},
    {"doubts", "association", "covariates", "inequality", "nulls", "repairs", "structural"},
    {"asking", "testing", "verdicts"},
    {"findings"},
    {"diagnostics", "planning"},
    {"scope", "evidence", "tables", "prose", "figures"},
    {"blocks"},
    {"contents"},
    {"pages"},
    {"gate"},
    {"report"},
    {"cli"},
]
# Who alone may import a library.
OWNERS = {
    "pandas": {"frames"},
    "formulaic": {"fits"},
    "statsmodels": {"fits"},
    "linearmodels": {"fits"},
    "matplotlib": {"figures"},
}
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
SOURCES = sorted((ROOT / "distortion").rglob("*.py"))
RUNNERS = sorted((ROOT / "runners").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT / "distortion").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    if path.name == "__init__.py" and room(path) == "__init__":
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        assert top not in {"torch", "torchvision", "runners"}, f"{path} imports {name}"
        assert room(path) in OWNERS.get(top, {room(path)}), f"{path} imports {name}"
        if top == "distortion" and rest:
            other = rest.partition(".")[0]
            assert RANK[other] <= RANK[room(path)], f"{path} imports {name} from a later layer"


@pytest.mark.parametrize("path", RUNNERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_runners_know_only_the_log(path: Path) -> None:
    parts = ("schema", "errors", "escape", "places", "provenance", "log")
    allowed = {"distortion", *(f"distortion.{part}" for part in parts)}
    for name in imports(path):
        if name.startswith("distortion"):
            assert name in allowed or name.rpartition(".")[0] in allowed, f"{path} imports {name}"


def test_importing_distortion_needs_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, distortion, distortion.cli\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'runners', 'formulaic', 'statsmodels',"
        " 'linearmodels'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_files_can_be_read_in_one_go() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*SOURCES, *RUNNERS]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long, f"look for a seam: {long}"
