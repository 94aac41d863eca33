"""The stored values themselves: complete, small, at an optimum."""

import numpy as np
import pytest

from tests.golden.models import FOLDER, formula, golden, names


@pytest.mark.golden
@pytest.mark.parametrize("name", names())
def test_a_set_has_versions_and_its_table(name):
    stored = golden(name)
    assert {"R", "lme4", "lmerTest", "pbkrtest", "emmeans"} <= stored.versions.keys()
    assert stored.table.height > 0
    for column, levels in stored.levels.items():
        assert tuple(stored.table[column].unique().sort()) == levels


@pytest.mark.golden
@pytest.mark.parametrize("name", names())
def test_tight_fits_are_no_worse_than_default_ones(name):
    for case in golden(name).cases.values():
        if "tight" in case:
            tight, default = case["tight"]["criterion"], case["default"]["criterion"]
            assert tight <= default + 1e-10 * abs(default)
            assert np.abs(case.get("gradient", [0.0])).max() < 1e-3


@pytest.mark.golden
def test_names_and_formulas_are_put_into_formulaic_words():
    cake, cbpp = golden("cake"), golden("cbpp")
    assert cake.term("recipeB:temp") == "recipe[T.B]:temp"
    assert cbpp.named({"(Intercept)": 1.0, "period2": 2.0}) == {
        "Intercept": 1.0,
        "period[T.2]": 2.0,
    }
    assert formula(cbpp.cases["laplace"]) == "incidence/size ~ period + (1 | herd)"


def test_stored_values_stay_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000
