"""The source that travels to other machines: these programs, and plugins that lie in folders."""

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import distortion
import runners


def sources(plugins: Sequence[str]) -> list[Path]:
    """Return the folders and files of these programs and of plugins, for the nodes.

    Plugins that are installed as packages must be installed on the nodes.
    """
    modules = [distortion, runners]
    for name in plugins:
        module = sys.modules[name.partition(".")[0]]
        if getattr(module, "__file__", None) and not _installed(Path(str(module.__file__))):
            modules.append(module)
    files = [Path(str(module.__file__)).resolve() for module in modules]
    return [file.parent if file.name == "__init__.py" else file for file in files]


def _installed(file: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return any(file.resolve().is_relative_to(Path(place).resolve()) for place in places)
