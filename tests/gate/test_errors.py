"""Error rates by simulation: how often a gate passes or fails what it must not."""

import numpy as np
import polars as pl
import pytest

from distortion.gate.gate import gate
from distortion.gate.limits import FAIL, PASS
from distortion.gate.proportions import drop_bounds, newcombe_paired
from tests.gate.pairs import drawn, paired_log
from tests.logs import cell

LIMIT = 0.02
RUNS = 40
# 5 % and three standard errors of a share of 0.05 in that many runs.
ALLOWED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


def verdicts(
    runs: int,
    drop: list[float],
    *,
    n: int = 400,
    gain: float = 0.01,
    recall: float = 0.9,
    **asked: float,
) -> list[str]:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(runs):
        counts = drawn(rng, n, [recall] * len(drop), drop, gain)
        found.append(gate(paired_log(counts), max_class_drop=LIMIT, **asked).verdict)
    return found


def test_one_class_at_the_limit_seldom_passes() -> None:
    # Least favourable to an intersection–union test: all other classes are far within.
    assert verdicts(RUNS, [LIMIT, *[-0.08] * 4], gain=0.09).count(PASS) <= ALLOWED * RUNS


def test_all_classes_at_the_limit_seldom_fail() -> None:
    # Least favourable to the other side: every class has a chance to look worse than it is.
    assert verdicts(RUNS, [LIMIT] * 10).count(FAIL) <= ALLOWED * RUNS


def test_clear_cases_are_decided() -> None:
    assert set(verdicts(20, [-0.01] * 5, n=3000)) == {PASS}
    assert set(verdicts(20, [0.2, 0, 0, 0, 0], n=1000)) == {FAIL}


def test_a_recipe_at_the_limit_seldom_passes() -> None:
    assert recipes(RUNS, [LIMIT, *[-0.1] * 4]).count(PASS) <= ALLOWED * RUNS


def test_a_recipe_at_the_limit_seldom_fails() -> None:
    assert recipes(RUNS, [LIMIT] * 10).count(FAIL) <= ALLOWED * RUNS


def recipes(runs: int, drop: list[float], networks: int = 5) -> list[str]:
    """Verdicts on recipes whose networks' drops vary around `drop` by 1 point."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(runs):
        tables = []
        for seed in range(networks):
            lost = np.array(drop) + rng.normal(0, 0.01, len(drop))
            # Seeds whose dense counts agree would be taken for copies.
            before = 8500 + rng.integers(-50, 50, len(drop))
            after = np.rint(before - 10_000 * lost).astype(int).tolist()
            tables.append(cell(before.tolist(), 10_000, seed=seed))
            tables.append(
                cell(after, 10_000, method="magnitude", ratio=4.0, arm="finetuned", seed=seed)
            )
        found.append(gate(pl.concat(tables), max_class_drop=LIMIT).verdict)
    return found


GRID = [
    (limit, n, gain, recall)
    for limit in (0.01, 0.02, 0.05, 0.1)
    for n in (20, 50, 100, 150, 300, 1000, 5000)
    for gain in (0.0, 0.002, 0.005, 0.02, 0.05, 0.1, 0.2)
    for recall in (0.99, 0.95, 0.8, 0.5)
    if limit + gain <= recall <= 1 - gain
]


def wrong(runs: int) -> dict[str, float]:
    """The largest rates over the grid at which a class exactly at the limit passes, or fails."""
    rng = np.random.default_rng(4)
    worst = dict.fromkeys(("newcombe", "pass", "fail", "fail of 10"), 0.0)
    for limit, n, gain, recall in GRID:
        lost = limit + gain
        p = [recall - lost, lost, gain, max(0.0, 1 - recall - gain)]
        e, f, g, h = rng.multinomial(n, np.array(p) / sum(p), size=runs).T
        low, high = drop_bounds(e + f + g + h, e + f, e + g, e, (0.05, 0.05))
        low_of_10, _ = drop_bounds(e + f + g + h, e + f, e + g, e, (0.005, 0.05))
        rates = {
            "newcombe": newcombe_paired(e, f, g, h, (0.05, 0.05))[1] <= limit,
            "pass": high <= limit,
            "fail": low > limit,
            "fail of 10": low_of_10 > limit,
        }
        worst = {
            k: max(worst[k], float(v.mean()) * (10 if "10" in k else 1)) for k, v in rates.items()
        }
    return worst


@pytest.mark.slow
def test_worst_error_rates_of_one_class() -> None:
    runs = 5000
    worst = wrong(runs)
    # The largest of some 600 simulated rates exceeds a true 5 % by up to about 4 standard errors.
    allowed = 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    assert worst["pass"] < allowed
    assert worst["fail"] < allowed
    assert worst["fail of 10"] < 0.05 + 40 * np.sqrt(0.005 * 0.995 / runs)
    # Why Newcombe's bound alone does not decide a pass.
    assert worst["newcombe"] > 0.1


@pytest.mark.slow
def test_error_rates_of_whole_gates() -> None:
    runs = 400
    allowed = (0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)) * runs
    for gain in (0.0, 0.01, 0.03):
        assert verdicts(runs, [LIMIT, *[-0.05] * 4], gain=gain + 0.05).count(PASS) <= allowed
        assert verdicts(runs, [LIMIT] * 10, gain=gain).count(FAIL) <= allowed
        asked = {"max_accuracy_drop": LIMIT, "max_kappa": 1.0}
        assert verdicts(runs, [LIMIT] * 10, gain=gain, **asked).count(FAIL) <= allowed
    assert recipes(runs, [LIMIT, *[-0.1] * 4]).count(PASS) <= allowed
    assert recipes(runs, [LIMIT] * 10).count(FAIL) <= allowed
