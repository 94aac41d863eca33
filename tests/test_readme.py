"""Every code block of the README runs, and prints what the README says it prints.

A ```console block holds commands after `$ ` and their output; a ```python block is run, and the
```text block after it is what it prints; a ```toml block is a study file. ```bash blocks are the
set-up commands, which CI runs. `python -m tests.test_readme` writes the present outputs in.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(console|python|text|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def console(block: str) -> str:
    """Run the commands of a block; return the block with their present output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "100"}
    shown = []
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        result = subprocess.run(
            command, shell=True, capture_output=True, text=True, env=environment, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        output = result.stdout.strip("\n")
        shown.append(f"$ {command}\n" + (f"{output}\n" if output else ""))
    return "".join(shown)


def python(block: str, names: dict[str, Any]) -> str:
    """Run a block; return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block, names)
    return printed.getvalue()


def present(text: str) -> str:
    """The README with the outputs that its blocks have now."""
    names: dict[str, Any] = {}
    printed = ""

    def renew(match: re.Match[str]) -> str:
        nonlocal printed
        kind, block = match.groups()
        if kind == "console":
            block = console(block)
        elif kind == "python":
            printed = python(block, names)
        elif kind == "text" and printed:
            block, printed = printed, ""
        elif kind == "toml":
            from runners.studyfile import read_study

            Path("study.toml").write_text(block, encoding="utf-8")
            read_study("study.toml", ())
        return f"```{kind}\n{block}```"

    return BLOCK.sub(renew, text)


@contextlib.contextmanager
def empty_folder() -> Iterator[None]:
    """Work in a folder of its own, as a new user does."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


@pytest.mark.slow
@pytest.mark.torch
def test_the_readme_says_what_happens() -> None:
    text = README.read_text(encoding="utf-8")
    with empty_folder():
        now = present(text)
    assert now == text


def test_every_fenced_block_is_of_a_known_kind() -> None:
    kinds = set(re.findall(r"^```(\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert kinds <= {"console", "python", "text", "toml", "bash", "r"}


if __name__ == "__main__":
    with empty_folder():
        renewed = present(README.read_text(encoding="utf-8"))
    README.write_text(renewed, encoding="utf-8")
