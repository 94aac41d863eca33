"""Provenance as tables: what the runner wrote beside its shards, and this report's own versions."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

from distortion.labels import listed
from distortion.tables import numbers
from distortion.tables.facts import value_table
from distortion.tables.table import Table

PACKAGES: Final = ("distortion", "polars", "numpy", "scipy", "matplotlib", "jinja2")
# Of one network each, or private: not for a summary over networks.
SKIPPED: Final = {"cells", "failed", "seconds", "started", "finished", "run_id", "host", "seed"}
MOST_VALUES: Final = 6


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that made the report."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def call_table(source: str, options: Mapping[str, Any]) -> Table:
    """The call that made the report, and with which versions."""
    values = {"source": source, **options, **{f"version of {k}": v for k, v in versions().items()}}
    return value_table("call", "How this report was made", values)


def run_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """What the provenance records agree on or differ in, and the computing time of all of them."""
    values: dict[str, str] = {"provenance records": numbers.count(len(records))}
    seconds = sum(_seconds(record.get("seconds")) for record in records)
    if seconds:
        values["computing time in all, failed runs included"] = numbers.duration(seconds)
    for key, pick in (("started", min), ("finished", max)):
        times = [t for record in records if (t := _time(record.get(key)))]
        if times:
            values[f"{'first' if pick is min else 'last'} {key}"] = pick(times)
    failed = sum(len(record.get("failed") or []) for record in records)
    values["failed cells"] = numbers.count(failed)
    found: dict[str, list[str]] = {}
    for record in records:
        for key, value in _leaves(record):
            found.setdefault(key, []).append(value)
    for key, texts in found.items():
        different = sorted(set(texts))
        few = len(different) <= MOST_VALUES
        values[key] = listed(different) if few else f"{len(different)} different values"
    return value_table("provenance", "What the runner recorded about the networks", values)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts of the values of a JSON record; lists are values."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in SKIPPED:
                yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif value not in (None, "", []):
        yield name, value if isinstance(value, str) else json.dumps(value)


def _seconds(value: Any) -> float:
    if isinstance(value, Mapping):
        return sum(_seconds(inner) for inner in value.values())
    return float(value) if isinstance(value, int | float) else 0.0


def _time(value: Any) -> str | None:
    try:
        return datetime.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        return None
