"""The training benchmark notices ways that do not reach the same accuracy, and only those."""

from dataclasses import replace

import numpy as np
import pytest

from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from tests.benchmarks.training.accuracy import beyond_noise, differences, mean_and_sd
from tests.benchmarks.training.work import Count

N = 1000
CELLS = ((DENSE, 1.0), (CONTROL, 1.0), (PRUNED, 2.0), (FINETUNED, 2.0), (FINETUNED, 4.0))


def counts(seed, n_seeds=6, shift=None):
    """Networks of two models with an accuracy of 0.9 and SD 0.01 between seeds."""
    draw = np.random.default_rng(seed)
    found = []
    for model in ("small", "large"):
        for number in range(n_seeds):
            luck = draw.normal(0, 10)
            for arm, ratio in CELLS:
                right = round(900 + luck + (shift or {}).get((model, arm), 0))
                found.append(Count(model, number, arm, ratio, (right - 400, 400), N))
    return found


def test_noise_between_seeds_is_no_difference():
    wrong = [
        beyond_noise(differences({"other": counts(2 * i)}, counts(2 * i + 1))) for i in range(200)
    ]
    # Holm's correction at 0.01: two of 200 expected at most, more than eight once in 4,000
    assert sum(map(bool, wrong)) <= 8


@pytest.mark.parametrize("arm", [DENSE, CONTROL, FINETUNED])
def test_one_arm_of_one_model_is_enough(arm):
    other = counts(0, shift={("large", arm): -50})
    ways = {"same": counts(1), "other": other}
    [first, *_] = wrong = beyond_noise(differences(ways, counts(2)))
    assert {(one.way, one.model, one.arm) for one in wrong} == {("other", "large", arm)}
    assert first.estimate == pytest.approx(-0.05, abs=0.02)


def test_the_same_numbers_are_equal_and_numbers_without_noise_are_not():
    same = counts(0)
    assert not beyond_noise(differences({"same": same}, same))
    flat = [replace(one, correct=(500, 400)) for one in same]
    shifted = [replace(one, correct=(499, 400)) for one in same]
    assert not beyond_noise(differences({"flat": flat}, flat))
    assert len(beyond_noise(differences({"shifted": shifted}, flat))) == 6


def test_mean_and_sd_are_of_seeds_within_models():
    found = counts(0, shift={("small", FINETUNED): 60})
    mean, sd = mean_and_sd(found, FINETUNED)
    assert mean == pytest.approx(0.93, abs=0.01)
    assert 0.004 < sd < 0.02  # the 0.06 between models is no noise


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (counts(0)[:-1], "did not count the cells"),
        ([replace(one, n=999) for one in counts(0)], "test images"),
    ],
)
def test_other_work_is_not_compared(other, words):
    with pytest.raises(ValueError, match=words):
        differences({"other": other}, counts(1))


def test_two_seeds_are_too_few():
    with pytest.raises(ValueError, match="three"):
        differences({"other": counts(0, 2)}, counts(1, 2))
