"""What a study will take, told before it starts."""

import io
import os
import resource
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from distortion.errors import StudyError
from runners import estimate as estimates
from runners import measuring
from runners.backends import LOOP, Backend
from runners.cli import main
from runners.datasets import load
from runners.estimate import estimate, makespan
from runners.groups import Group
from runners.measuring import Cost
from runners.progress import Display
from runners.studyfile import read_study
from runners.sweep import Sweep
from runners.tables import clock, size
from tests.runners.studies import network, study

COST = Cost(start=3.0, seconds=60.0, size=1000)


def sweep(parsed, out, jobs=2, **more):
    return Sweep(parsed, out, Path(), "cpu", jobs, "grouped", **more)


def display():
    return Display(Console(file=io.StringIO(), width=200))


@pytest.fixture
def measured(monkeypatch):
    """Every network costs COST; what was measured with how many workers."""
    asked = []

    def measure(groups, jobs, setup):
        asked.append((groups, jobs))
        return [COST for _ in groups]

    monkeypatch.setattr(estimates, "measure", measure)
    return asked


def test_the_totals_follow_from_the_networks_and_the_workers(measured, tmp_path):
    models = [{"name": "mlp", "widths": [24, 12]}, {"name": "mlp", "label": "b"}]
    parsed = study(seeds=5, model=models)
    expected = estimate(sweep(parsed, tmp_path), display())
    [first, second] = expected.lines
    assert (first.dataset, first.model, second.model) == ("digits", "mlp", "b")
    assert (first.networks, first.cells, first.epochs) == (
        5,
        5 * 6,
        5 * parsed.networks[0].n_epochs,
    )
    assert first.backend == "grouped, 8 at once"
    assert expected.disk == 10 * 1000
    own = expected.processor - (10 * 60 + 2 * 2 * 3)  # two workers, each loads for two kinds
    assert 0 < own < 60
    # groups of 2, 2 and 1 networks of each kind, for two workers: 5 networks each
    assert expected.wall == pytest.approx(own + 2 * 3 + 5 * 60)
    assert expected.cost(3600) == pytest.approx(expected.wall)
    [(groups, jobs)] = measured
    assert [len(group.networks) for group in groups] == [2, 2]
    assert jobs == 2
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_take_room(measured, tmp_path):
    parsed = study(seeds=1)
    without = estimate(sweep(parsed, tmp_path), display())
    with_them = estimate(sweep(parsed, tmp_path, checkpoints=True), display())
    n_weights = 64 * 24 + 24 + 24 * 12 + 12 + 12 * 10 + 10
    assert with_them.disk - without.disk == 6 * 4 * n_weights


def test_more_workers_than_cores_are_not_faster(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "default_jobs", lambda device: 2)
    parsed = study(seeds=16)
    expected = [estimate(sweep(parsed, tmp_path, jobs), display()).wall for jobs in (1, 2, 16)]
    assert expected[0] > 16 * 60 > expected[1] > 8 * 60
    assert expected[2] > 8 * 60


@pytest.mark.parametrize(
    ("spans", "n_workers", "end"),
    [([], 0, 0), ([5], 2, 6), ([5, 5, 5], 2, 11), ([5, 1, 1, 1, 1], 2, 6), ([2, 3], 1, 6)],
)
def test_workers_take_groups_in_order(spans, n_workers, end):
    assert makespan(spans, n_workers, start=1) == (end if spans else 0)


def test_what_is_done_takes_nothing(measured, tmp_path, monkeypatch):
    monkeypatch.setattr("runners.sweep.is_complete", lambda *_: True)
    arguments = ["run", "digits", "-o", str(tmp_path), "--dry-run", "--jobs", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.stdout == "Nothing is left to compute.\n"


def test_a_price_is_for_a_dry_run(tmp_path):
    result = CliRunner().invoke(main, ["run", "digits", "--price", "2"])
    assert result.exit_code == 2
    assert "--price goes with --dry-run" in result.stderr


def test_the_table(measured, tmp_path):
    arguments = ["run", "digits", "-o", str(tmp_path / "out"), "--dry-run", "--price", "3600"]
    result = CliRunner().invoke(main, [*arguments, "--jobs", "1", "--backend", "loop"])
    assert result.exit_code == 0, result.stderr
    head, first, _, summary = result.stdout.splitlines()
    assert head.startswith("data set  model      recipe  networks  cells  epochs  back-end")
    assert " ".join(first.split()) == "digits mlp-small quick 15 630 8,055 loop 0:01:00"
    assert summary.startswith("about 0:3")
    assert "with 1 worker(s)" in summary
    assert "30.0 kB on disk, cost 1,8" in summary
    assert not (tmp_path / "out").exists()


def cost(spec, backend, cpu, n=1):
    data = load(spec.dataset, spec.split_seed, Path(), cpu)
    return measuring._cost(Group((spec,) * n, backend), data, 1.0)


@pytest.mark.parametrize("backend", [LOOP, Backend("grouped", 4)])
def test_a_real_measurement_grows_with_the_epochs(backend, cpu):
    spec = network(method=[{"name": "magnitude"}, {"name": "gradient"}])
    short = cost(spec, backend, cpu)
    more = replace(spec.recipe, dense=((2000, 0.1),))
    long = cost(replace(spec, recipe=more), backend, cpu)
    assert 0 < short.seconds < long.seconds
    assert long.seconds > 20 * (long.seconds - short.seconds) / 2000
    assert 1000 < short.size < 100_000


def test_rounds_and_rewinding_are_counted_too(cpu):
    method = [{"name": "lottery", "rounds": 2, "rewinding_epochs": 1}, {"name": "snip"}]
    spec = network(method=method, ratios=[2])
    assert cost(spec, LOOP, cpu).seconds > 0


def test_a_network_that_fails_is_named(cpu, monkeypatch):
    def run_networks(specs, *_):
        yield specs[0], RuntimeError("out of ideas")

    monkeypatch.setattr(measuring, "run_networks", run_networks)
    with pytest.raises(RuntimeError, match="out of ideas"):
        cost(network(), LOOP, cpu)


@pytest.mark.slow
def test_a_study_that_cannot_be_measured_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(
        "import runners\n"
        "def failing(weights):\n    raise SystemExit('no more')\n"
        "runners.register_method('failing', failing)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parsed = study(method={"name": "failing"}, plugins=["failing"])
    with pytest.raises(StudyError, match="cannot be measured: its process was ended"):
        estimate(sweep(parsed, tmp_path), display())


@pytest.mark.slow
def test_a_process_that_ends_early_ends_the_others(tmp_path, monkeypatch):
    """They would wait for it at the barrier."""
    (tmp_path / "leaving.py").write_text(
        "import os\n"
        "from multiprocessing import parent_process\n"
        "if parent_process():\n"
        "    try:\n"
        f"        open({str(tmp_path / 'first')!r}, 'x').close()\n"
        "    except FileExistsError:\n"
        "        os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    parsed = study(plugins=["leaving"])
    with pytest.raises(StudyError, match="cannot be measured: its process was ended"):
        estimate(sweep(parsed, tmp_path), display())
    assert not active_children()


@pytest.mark.slow
def test_the_estimate_of_digits_is_within_a_factor_of_what_it_takes(tmp_path):
    """In processor time, which the load of this machine hardly changes."""
    parsed = read_study("digits")
    ours = sweep(replace(parsed, seeds=parsed.seeds[:8]), tmp_path)
    expected = estimate(ours, display())
    before = _processor_time()
    assert ours.run(display()) == []
    taken = _processor_time() - before
    assert 1 / 1.5 < taken / expected.processor < 1.5
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 1 / 1.5 < written / expected.disk < 1.5


def _processor_time():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in usage)


TIMES = [(0.04, "0.0 s"), (9.94, "9.9 s"), (75, "0:01:15"), (90_000, "1 day, 1:00:00")]
SIZES = [(20, "0.0 kB"), (607_200, "607.2 kB"), (2.5e9, "2.5 GB"), (3e12, "3000.0 GB")]


@pytest.mark.parametrize(("seconds", "text"), TIMES)
def test_times(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(("n_bytes", "text"), SIZES)
def test_sizes(n_bytes, text):
    assert size(n_bytes) == text
