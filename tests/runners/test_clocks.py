"""Clocks that are set while a sweep runs: durations come from clocks that nobody sets."""

import ast
from datetime import datetime
from pathlib import Path

import pytest

from runners import provenance, recorder
from runners.progress import Tally
from runners.provenance import later
from runners.worker import Finished
from tests.runners.studies import network, run_network, study

OF_DAY = {
    "time.time",
    "time.time_ns",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
}
RUNNERS = Path(__file__).parents[2] / "runners"


@pytest.mark.parametrize("path", sorted(RUNNERS.rglob("*.py")), ids=lambda path: path.name)
def test_the_time_of_day_is_only_read_for_the_provenance(path):
    allowed = {"datetime.datetime.now"} if path.name == "provenance.py" else set()
    assert times_of_day(path.read_text(encoding="utf-8")) == allowed


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time; time.time()", "time.time"),
        ("import time as t; clock = t.time_ns", "time.time_ns"),
        ("from time import time as now; now()", "time.time"),
        ("import datetime; datetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as d; d.utcnow()", "datetime.datetime.utcnow"),
        ("from datetime import date; date.today()", "datetime.date.today"),
    ],
)
def test_the_time_of_day_is_seen_under_every_name(source, name):
    assert times_of_day(source) == {name}
    assert not times_of_day("import time; from time import perf_counter; time.monotonic()")


def times_of_day(source):
    """The functions of OF_DAY that a module names, however it imports them."""
    nodes = list(ast.walk(ast.parse(source)))
    full = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            full |= {alias.asname or alias.name: prefix + alias.name for alias in node.names}
    names = [ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)]
    parts = [name.partition(".") for name in names]
    return {full.get(first, first) + dot + rest for first, dot, rest in parts} & OF_DAY


@pytest.mark.parametrize("jump", ["1999-01-01T00:00:00+00:00", "2199-01-01T00:00:00+00:00"])
def test_a_jump_changes_no_duration(jump, digits, monkeypatch):
    def now():  # right when the network begins, wrong ever after
        monkeypatch.setattr(recorder, "now", lambda: jump)
        return "2026-01-01T12:00:00+00:00"

    monkeypatch.setattr(recorder, "now", now)
    monkeypatch.setattr("time.time", lambda: datetime.fromisoformat(jump).timestamp())
    _, record = run_network(network(), digits)
    assert record["started"] == "2026-01-01T12:00:00+00:00"
    assert record["started"] <= record["finished"] < "2026-01-01T12:10"
    assert all(0 <= seconds < 600 for seconds in record["seconds"].values())


def test_the_time_left_does_not_see_a_jump(monkeypatch):
    tally = Tally(study(seeds=2).networks, 2)
    monkeypatch.setattr("time.time", lambda: 0.0)
    tally.add(study().networks[0], Finished(1.0, 0.9, 0))
    assert tally.times() == "0:00:00 elapsed, 0:00:00 left"


def test_a_later_time():
    assert later("2026-12-31T23:59:59+00:00", 1.4) == "2027-01-01T00:00:00+00:00"
    assert later(provenance.now(), 0.0) <= provenance.now()
