import io
import re

import pytest
from rich.console import Console

from runners.progress import Bars, Display, Tally, make_display
from runners.worker import INTERVAL, Finished, Found, Raised, Step, Throttle
from tests.runners.studies import study


def console(terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def play(display, messages):
    networks = study(seeds=3).networks
    with display.shown(networks[1:], len(networks)):
        for index, message in messages:
            display.update(networks[index], message)
    return display.console.file.getvalue()


FINISHED = Finished(seconds=2.5, accuracy=0.95, failed=0)
MESSAGES = [
    (1, Step("dense", epochs=2, cells=1)),
    (2, Step("dense", epochs=1, cells=0)),
    (1, Step("finetuned magnitude 10", epochs=1, cells=4)),
    (1, FINISHED),
    (2, Raised("its process was ended by SIGKILL")),
]


def test_a_tally_counts_a_network_that_ends_in_full():
    networks = study(seeds=3).networks
    tally = Tally(networks[1:], 3)
    assert (tally.networks, tally.n_cells, tally.n_epochs) == (1, 12, 10)
    tally.add(networks[1], Step("dense", epochs=2, cells=1))
    assert (tally.networks, tally.cells, tally.epochs) == (1, 1, 2)
    tally.add(networks[1], FINISHED)
    tally.add(networks[2], Raised("diverged"))
    assert (tally.networks, tally.cells, tally.epochs) == (3, 12, 10)


def test_the_time_left_follows_from_the_work_done(monkeypatch):
    tally = Tally(study(seeds=2).networks, 2)
    assert tally.times() == "0:00:00 elapsed"
    tally.add(study().networks[0], FINISHED)
    tally.start -= 60
    assert tally.times() == "0:01:00 elapsed, 0:01:00 left"


def test_plain_lines_where_there_is_no_terminal():
    lines = play(make_display(console(), quiet=False), MESSAGES).splitlines()
    assert lines[0] == "1 of 3 networks are done, 12 cells are to be computed."
    assert re.fullmatch(
        r"\[2/3\] digits mlp seed 1: dense accuracy 0.950, 2.5 s; .* elapsed, .* left", lines[1]
    )
    assert lines[2] == "[3/3] digits mlp seed 2: NOT COMPUTED, its process was ended by SIGKILL"
    assert len(lines) == 3


def test_quiet_leaves_problems_only():
    lines = play(make_display(console(), quiet=True), MESSAGES).splitlines()
    assert lines == ["[3/3] digits mlp seed 2: NOT COMPUTED, its process was ended by SIGKILL"]


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        (Finished(1.0, 0.95, 2), "dense accuracy 0.950, 2 failed cell(s), 1.0 s"),
        (Finished(1.0, None, 1), "dense network failed, 1 failed cell(s), 1.0 s"),
    ],
)
def test_failed_cells_are_in_the_line(finished, words):
    assert words in play(Display(console()), [(1, finished)])


@pytest.mark.parametrize("quiet", [True, False])
def test_failed_cells_are_shown_with_a_reason_however_quiet(quiet):
    finished = Finished(1.0, 0.95, 2, "the training loss became nan")
    printed = play(make_display(console(), quiet), [(1, finished)])
    assert "seed 1: dense accuracy 0.950, 2 failed cell(s) (first: the training loss" in printed


def test_a_network_that_another_sweep_has_done_is_less_work():
    networks = study(seeds=3).networks
    tally = Tally(networks[1:], 3)
    tally.add(networks[1], Found())
    assert (tally.networks, tally.n_cells, tally.n_epochs) == (2, 6, 5)
    assert (tally.cells, tally.epochs) == (0, 0)
    assert "[2/3] digits mlp seed 1: done by another sweep" in play(
        Display(console()), [(1, Found())]
    )


def test_bars_on_a_terminal_say_what_runs_and_how_far_it_is():
    display = make_display(console(terminal=True), quiet=False)
    assert isinstance(display, Bars)
    networks = study(seeds=3).networks
    with display.shown(networks[1:], 3):
        for index, message in MESSAGES[:3]:
            display.update(networks[index], message)
        overall, first, second = display.bars.tasks
        assert (overall.completed, overall.total) == (4, 10)
        assert overall.fields["note"].startswith("5 of 12 cells, 0:00:0")
        assert (first.description, first.fields["note"]) == (
            "digits mlp seed 1",
            "finetuned magnitude 10",
        )
        assert (first.completed, second.completed, second.total) == (3, 1, 5)
        display.update(networks[1], FINISHED)
        assert [task.description for task in display.bars.tasks] == ["all", "digits mlp seed 2"]
        assert overall.completed == 6


def test_markup_in_names_is_text():
    label = "[bold]x[/nonsense]"
    display = make_display(console(terminal=True), quiet=False)
    [network] = study(seeds=1, model={"name": "mlp", "label": label}).networks
    with display.shown([network], 1):
        display.update(network, Step("finetuned [/x] 2", epochs=1, cells=0))
        display.update(network, Raised("[/oops]"))
    assert f"digits {label} seed 0: NOT COMPUTED, [/oops]" in display.console.file.getvalue()


def test_messages_are_throttled_and_lose_no_work(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("runners.worker.time.monotonic", lambda: now[0])
    sent = []
    report = Throttle(sent.append)
    report("dense")
    for _ in range(3):
        report(epochs=1)
    assert sent == []
    now[0] += INTERVAL
    report(cells=1)
    assert sent == [Step("dense", epochs=3, cells=1)]
    report("control", epochs=1)
    now[0] += INTERVAL
    report(epochs=1)
    assert sent[1:] == [Step("control", epochs=2, cells=0)]
