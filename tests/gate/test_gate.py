"""The gate: verdicts, targets, planning, selection, wording of what is missing."""

import numpy as np
import polars as pl
import pytest

from distortion.designs import CONDITION
from distortion.errors import DesignError, DistortionError
from distortion.fits.ttests import one_sample
from distortion.gate.decisions import together
from distortion.gate.gate import gate
from distortion.gate.limits import FAIL, OPEN, PASS, Limits
from distortion.gate.proportions import drop_bounds, mcnemar
from distortion.gate.record import gate_json
from distortion.gate.rows import CRITERIA
from distortion.gate.words import (
    asked,
    collapsed,
    error_rates,
    headline,
    losers,
    reasons,
    to_decide,
)
from tests.gate.pairs import paired_log
from tests.logs import cell, planted

FINE = (950, 5, 5, 40)
# All with 955 images correct before.
BAD = (850, 105, 5, 40)
CLOSE = (925, 30, 15, 30)


def several_seeds(kept: bool = True, networks: int = 5) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    tables = []
    for seed in range(networks):
        lost = rng.integers(1, 9, 3)
        counts = [(940, int(k), 5, 55 - int(k)) for k in lost]
        tables.append(paired_log(counts, seed=seed, kept=kept))
    return pl.concat(tables)


class TestVerdicts:
    def test_one_pair_of_networks(self) -> None:
        assert gate(paired_log([FINE, FINE])).verdict == PASS
        assert gate(paired_log([FINE, BAD])).verdict == FAIL
        assert gate(paired_log([FINE, CLOSE])).verdict == OPEN
        # A class that is certainly worse decides, whatever is open beside it.
        assert gate(paired_log([CLOSE, BAD])).verdict == FAIL

    def test_the_bounds_are_those_of_the_proportions(self) -> None:
        found = gate(paired_log([FINE, CLOSE]), max_accuracy_drop=0.02)
        table = found.table
        low, high = drop_bounds(1000, 955, 940, 925, (0.05 / 3, 0.05))
        row = table.row(1, named=True)
        assert row["estimate"] == 0.015
        assert (row["conf_low"], row["conf_high"]) == pytest.approx((float(low), float(high)))
        assert row["p_value"] == pytest.approx(float(mcnemar(30, 15)))
        assert row["conf_level"] == 0.95
        assert row["fail_level"] == pytest.approx(1 - 0.05 / 3)
        pooled = table.filter(measure="accuracy drop").row(0, named=True)
        low, high = drop_bounds(2000, 1910, 1895, 1875, (0.05 / 3, 0.05))
        assert (pooled["conf_low"], pooled["conf_high"]) == pytest.approx((float(low), float(high)))

    def test_every_criterion_can_decide(self) -> None:
        log = paired_log([FINE, (700, 5, 5, 290), FINE])
        assert gate(log, min_worst_recall=0.5, max_accuracy_drop=0.02).verdict == PASS
        assert gate(log, min_worst_recall=0.9).verdict == FAIL
        assert gate(log, max_kappa=1.2, max_alpha=1.2).verdict == PASS
        assert gate(log, max_kappa=0.8).verdict == FAIL
        assert gate(log, max_alpha=0.8).verdict == FAIL
        assert gate(log, max_class_drop=None, max_kappa=1.001).verdict == OPEN

    def test_the_interval_may_touch_the_limit(self) -> None:
        high = float(gate(paired_log([FINE, FINE])).table["conf_high"][0])
        assert gate(paired_log([FINE, FINE]), max_class_drop=high).verdict == PASS
        assert gate(paired_log([FINE, FINE]), max_class_drop=high - 1e-9).verdict == OPEN

    def test_fewer_errors_allowed_decide_less(self) -> None:
        log = paired_log([(945, 12, 3, 40)] * 2)
        assert gate(log, level=0.9).verdict == PASS
        assert gate(log, level=0.999).verdict == OPEN

    @pytest.mark.parametrize("counts", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
    @pytest.mark.parametrize("kept", [True, False])
    def test_one_image_per_class_is_not_enough(self, counts: tuple, kept: bool) -> None:
        found = gate(
            paired_log([counts, (1, 0, 0, 0)], kept=kept), max_kappa=1.2, min_worst_recall=0.5
        )
        assert found.verdict == OPEN
        assert found.table["conf_high"].head(2).null_count() == 0

    def test_recalls_of_one_and_zero(self) -> None:
        found = gate(paired_log([(1000, 0, 0, 0), (0, 0, 0, 1000)]))
        assert found.verdict == PASS
        assert gate(paired_log([(0, 1000, 0, 0), (1000, 0, 0, 0)])).verdict == FAIL

    def test_a_dead_network_fails_and_has_no_slope(self) -> None:
        with pytest.warns(match="accuracy 0"):
            found = gate(paired_log([(0, 900, 0, 100)] * 3), max_kappa=1.2)
        assert found.verdict == FAIL
        row = found.table.filter(measure="kappa").row(0, named=True)
        assert row["estimate"] is None
        assert row["caveat"].startswith("undefined")


class TestWithoutPairs:
    def test_intervals_are_wider_and_say_so(self) -> None:
        with_pairs = gate(paired_log([CLOSE, CLOSE]), max_kappa=1.5)
        without = gate(paired_log([CLOSE, CLOSE], kept=False), max_kappa=1.5)
        a, b = with_pairs.table, without.table
        assert (b["conf_high"].head(2) > a["conf_high"].head(2)).all()
        assert b["p_value"].null_count() == b.height
        assert any("no column kept" in text for text in without.gated[0].caveats)
        assert not any("no column kept" in text for text in with_pairs.gated[0].caveats)
        assert losers(without.gated[0], 0.95) == ""


class TestRecipe:
    def test_several_networks_are_a_recipe(self) -> None:
        log = several_seeds()
        found = gate(log, max_accuracy_drop=0.02)
        assert set(found.table["target"]) == {"recipe"}
        assert set(found.table["source"]) == {"networks"}
        drops = found.networks.filter(class_id=1)["estimate"].to_numpy()
        row = found.table.row(1, named=True)
        test = one_sample(drops.mean(), drops.std(ddof=1), 5, 0, "two-sided", 0.9)
        assert row["conf_high"] == pytest.approx(float(test.conf_high))
        assert row["p_value"] == pytest.approx(float(test.p_value))
        assert row["df"] == 4
        corrected = one_sample(drops.mean(), drops.std(ddof=1), 5, 0, "two-sided", 1 - 0.1 / 4)
        assert row["conf_low"] == pytest.approx(float(corrected.conf_low))

    def test_each_network_has_its_own_interval(self) -> None:
        found = gate(several_seeds())
        rows = found.networks
        assert rows.height == 5 * 3
        one = gate(several_seeds(), seed=2)
        assert one.gated[0].target == "network"
        np.testing.assert_array_equal(
            rows.filter(seed=2)["conf_high"].to_numpy(), one.table["conf_high"].to_numpy()
        )

    def test_networks_that_do_not_vary_keep_an_interval(self) -> None:
        log = pl.concat([paired_log([FINE, FINE], seed=s) for s in range(3)])
        with pytest.warns(match="Copied seeds"):
            found = gate(log, max_accuracy_drop=0.01)
        row = found.table.row(0, named=True)
        # One image in one of three networks: standard error 1 / (1000 · 3), df 2.
        assert row["std_error"] == pytest.approx(1 / 3000)
        assert found.verdict == PASS
        assert "do not vary" in row["caveat"]
        assert any("Copied seeds" in text for text in found.gated[0].caveats)

    def test_one_network_beyond_a_limit_holds_up_a_pass(self) -> None:
        rng = np.random.default_rng(0)
        lost = [int(k) for k in rng.integers(1, 9, 11)]
        tables = [
            paired_log([(940, k, 5, 55 - k), (950 + seed, 5, 5, 40 - seed)], seed=seed)
            for seed, k in enumerate(lost)
        ]
        collapsed_one = paired_log([(885, 65, 5, 45), FINE], seed=11)
        assert gate(pl.concat(tables)).verdict == PASS
        found = gate(pl.concat([*tables, collapsed_one]))
        row = found.table.row(0, named=True)
        # Within by its mean, but not passed, and no number of networks would help.
        assert row["conf_high"] < 0.02
        assert (row["verdict"], row["foreseen"], row["needed"]) == (OPEN, OPEN, None)
        assert "beyond the limit by itself is seed 11" in row["caveat"]
        text = collapsed(found.gated[0])
        assert "seed 11 loses 6.0 points in class 0" in text
        assert to_decide(found.gated[0]).startswith("No number of further networks")
        assert text in gate_json(found)
        assert collapsed(gate(pl.concat(tables)).gated[0]) == ""

    def test_what_a_recipe_cannot_promise_is_said(self) -> None:
        found = gate(several_seeds())
        assert "if losses vary roughly normally" in error_rates(found, found.gated[0])
        # 1 − 0.05^(1/5)
        assert any("up to 45% of networks" in text for text in found.gated[0].caveats)
        one = gate(paired_log([FINE, FINE]))
        assert "normally" not in error_rates(one, one.gated[0])

    def test_kappa_of_copies_is_that_of_one(self) -> None:
        recalls = [(800, 20, 30, 150), (900, 20, 10, 70), (700, 30, 10, 260)]
        one = gate(paired_log(recalls), max_class_drop=None, max_kappa=2, max_alpha=2)
        with pytest.warns(match="Copied seeds"):
            two = gate(
                pl.concat([paired_log(recalls, seed=s) for s in range(2)]),
                max_class_drop=None,
                max_kappa=2,
                max_alpha=2,
            )
        for column in ("estimate", "observed"):
            assert two.table[column].to_list() == pytest.approx(one.table[column].to_list())

    def test_planted_kappa_is_recovered(self) -> None:
        log = planted(np.random.default_rng(0), {4.0: 1.3}, networks=6)
        row = gate(log, max_class_drop=None, max_kappa=1.5).table.row(0, named=True)
        assert row["estimate"] == pytest.approx(1.3, abs=0.05)  # planted, noise of 0.004
        assert row["conf_low"] < row["estimate"] < row["conf_high"]
        assert row["verdict"] == PASS

    def test_targets_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(DesignError, match="one network: how networks of this recipe vary"):
            gate(paired_log([FINE, FINE]), target="recipe")
        with pytest.raises(DesignError, match=r"5 networks .*say which one is meant with seed"):
            gate(several_seeds(), target="network")


class TestPlanning:
    def needed(self, counts: tuple) -> dict:
        return gate(paired_log([counts, FINE])).table.row(0, named=True)

    def test_images_needed_are_the_fewest_that_decide(self) -> None:
        row = self.needed(CLOSE)
        n = row["needed"]
        assert row["foreseen"] == PASS
        high = [
            float(drop_bounds(m, 0.955 * m, 0.94 * m, 0.925 * m, (0.025, 0.05))[1])
            for m in (n - 1, n)
        ]
        assert high[0] > 0.02 >= high[1]

    def test_beyond_the_limit_it_will_fail(self) -> None:
        row = self.needed((915, 40, 15, 30))
        assert (row["verdict"], row["foreseen"]) == (OPEN, FAIL)
        found = gate(paired_log([(915, 40, 15, 30), FINE]))
        assert "would decide it: fail" in to_decide(found.gated[0])

    def test_at_the_limit_no_number_is_enough(self) -> None:
        found = gate(paired_log([(925, 30, 10, 35), FINE]))
        assert found.table["needed"][0] is None
        assert to_decide(found.gated[0]).startswith("No reasonable number of images")

    def test_the_plan_comes_true(self) -> None:
        n = self.needed(CLOSE)["needed"]
        grown = [tuple(round(k * n / 1000) for k in counts) for counts in (CLOSE, FINE)]
        # Rounding to whole images may cost a few more.
        more = [tuple(round(k * 1.02) for k in counts) for counts in grown]
        assert gate(paired_log(more)).verdict == PASS

    def test_networks_needed(self) -> None:
        rng = np.random.default_rng(5)
        tables = [
            paired_log([(930, int(k), 10, 60 - int(k)), FINE], seed=s)
            for s, k in enumerate(rng.permutation(np.arange(10, 50, 10)))
        ]
        found = gate(pl.concat(tables))
        row = found.table.row(0, named=True)
        assert row["verdict"] == OPEN
        assert row["needed"] > 4
        sd = found.networks.filter(class_id=0)["estimate"].std()
        m = row["needed"]
        highs = [
            float(one_sample(row["estimate"], sd, k, 0, "two-sided", 0.9).conf_high)
            for k in (m - 1, m)
        ]
        assert highs[0] > 0.02 >= highs[1]
        assert f"{m} networks instead of 4" in to_decide(found.gated[0])

    def test_decided_rows_need_nothing(self) -> None:
        table = gate(paired_log([FINE, BAD])).table
        assert table["needed"].null_count() == table.height
        assert to_decide(gate(paired_log([FINE, BAD])).gated[0]) == ""


def ladder(*verdicts: str, method: str = "magnitude") -> pl.DataFrame:
    """Conditions at ratios 2, 4, 8, … with these verdicts."""
    counts = {PASS: FINE, FAIL: BAD, OPEN: CLOSE}
    tables = [
        paired_log([FINE, counts[v]], ratio=2.0 ** (i + 1), method=method)
        for i, v in enumerate(verdicts)
    ]
    return pl.concat(tables).unique(maintain_order=True)


class TestConditions:
    @pytest.mark.parametrize(
        ("verdicts", "all_", "any_"),
        [
            ((PASS, PASS), PASS, PASS),
            ((PASS, FAIL), FAIL, PASS),
            ((PASS, OPEN), OPEN, PASS),
            ((OPEN, FAIL), FAIL, OPEN),
            ((FAIL, FAIL), FAIL, FAIL),
        ],
    )
    def test_all_and_any(self, verdicts: tuple, all_: str, any_: str) -> None:
        log = ladder(*verdicts)
        assert gate(log).verdict == all_
        assert gate(log, across="any").verdict == any_
        assert tuple(gate(log).conditions["verdict"]) == verdicts

    def test_error_rates_are_divided_where_one_of_many_is_enough(self) -> None:
        log = ladder(PASS, PASS, PASS)
        every, one = gate(log).gated[0].rates, gate(log, across="any").gated[0].rates
        assert (every.passing, every.failing) == pytest.approx((0.05, 0.05 / 2 / 3))
        assert (one.passing, one.failing) == pytest.approx((0.05 / 3, 0.05 / 2))

    @pytest.mark.parametrize(
        ("verdicts", "largest"),
        [
            ((PASS, PASS, FAIL), 4.0),
            ((PASS, OPEN, PASS), 2.0),
            ((FAIL, PASS), None),
            ((PASS, PASS), 4.0),
        ],
    )
    def test_the_largest_ratio_that_passes_stops_at_the_first_that_does_not(
        self, verdicts: tuple, largest: float | None
    ) -> None:
        found = gate(ladder(*verdicts)).largest
        assert found["largest_ratio"].to_list() == [largest]
        assert found["tested"].to_list() == [len(verdicts)]

    def test_choosing(self) -> None:
        log = pl.concat([ladder(PASS, FAIL), ladder(PASS, method="random")]).unique(
            maintain_order=True
        )
        assert len(gate(log).gated) == 3
        assert gate(log, method="magnitude", ratio=2).verdict == PASS
        assert gate(log, ratio=2.0001).conditions["method"].to_list() == ["magnitude", "random"]
        with pytest.raises(DesignError, match="Did you mean 'magnitude'"):
            gate(log, method="magnitud")
        with pytest.raises(DesignError, match=r"No condition with ratio 3. Known: 2 and 4"):
            gate(log, ratio=3)
        with pytest.raises(DesignError, match=r"No network with seed 9 .*Known: 0"):
            gate(log, seed=9)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        log = ladder(PASS, FAIL)
        shuffled = log.sample(fraction=1, shuffle=True, seed=1)
        keys = [*CONDITION, "measure", "class_id"]
        assert gate(shuffled).table.sort(keys).equals(gate(log).table.sort(keys))


class TestTables:
    def test_schema(self) -> None:
        for log in (paired_log([FINE, BAD]), several_seeds(kept=False)):
            found = gate(log, max_kappa=1.2, min_worst_recall=0.1)
            assert found.table.schema == CRITERIA
            assert not any(found.table.select(pl.col(pl.Float64).is_nan().any()).row(0))

    def test_class_names_are_kept(self) -> None:
        log = paired_log([FINE, BAD]).with_columns(
            class_name=pl.when(pl.col("class_id") == 1).then(pl.lit("cat")).otherwise(pl.lit("dog"))
        )
        assert gate(log).table["class_label"].to_list() == ["dog", "cat"]


class TestLimits:
    @pytest.mark.parametrize(
        "limits",
        [
            {"max_class_drop": 2},
            {"max_class_drop": -0.1},
            {"max_accuracy_drop": 1.0},
            {"min_worst_recall": float("nan")},
            {"max_kappa": 0},
            {"max_alpha": float("inf")},
            {"max_class_drop": None},
        ],
    )
    def test_nonsense_is_refused(self, limits: dict) -> None:
        with pytest.raises(DesignError):
            Limits(**limits)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"across": "some"}, "across is 'some'"),
            ({"target": "net"}, "target is 'net'"),
            ({"ratio": "4"}, "ratio is '4'"),
            ({"max_kappa": "1.2"}, "max_kappa is a number"),
            ({"max_class_drop": "0.1"}, "max_class_drop is a share"),
            ({"split": 3}, "split is 3"),
            ({"model": 3}, "No condition with model 3"),
        ],
    )
    def test_wrong_arguments(self, options: dict, says: str) -> None:
        with pytest.raises(DistortionError, match=says):
            gate(paired_log([FINE, FINE]), **options)

    @pytest.mark.parametrize("level", [0.5, 1, 95, "0.95", None])
    def test_level(self, level: object) -> None:
        with pytest.raises(DesignError, match=r"confidence between 0\.5 and 1"):
            gate(paired_log([FINE, FINE]), level=level)


class TestWords:
    def test_what_was_asked(self) -> None:
        assert asked(Limits()) == [
            "No class may lose more than 2 points of recall (the default limit)."
        ]
        assert asked(Limits(0.01, 0.005, 1.2, 1.5, 0.5)) == [
            "No class may lose more than 1 point of recall.",
            "Accuracy may fall by at most 0.5 points.",
            "Every class must keep a recall of at least 50%.",
            "The spread ratio κ may be at most 1.2.",
            "The slope α may be at most 1.5.",
        ]

    def test_headlines(self) -> None:
        assert headline(gate(paired_log([FINE, FINE]))) == (
            "Pass: the network with seed 0 (magnitude · ratio 4, net on toy) keeps every limit."
        )
        assert headline(gate(several_seeds())).startswith("Pass: the recipe (")
        assert headline(gate(ladder(PASS, FAIL, OPEN))) == (
            "Fail: of 3 conditions (all must pass), 1 pass, 1 fail, for 1 there are not enough "
            "data."
        )

    def test_reasons_name_the_classes(self) -> None:
        found = gate(paired_log([FINE, BAD, CLOSE]))
        assert reasons(found.gated[0]) == [
            "Loss of recall, by class: fail. 1 class beyond the limit: 1 (+10.00 [+7.88, +11.77]). "
            "1 class undecided: 2 (+1.50 [+0.01, +2.70])."
        ]
        assert "Holm over 3 classes): 1." in losers(found.gated[0], 0.95)

    def test_caveats_appear_when_called_for(self) -> None:
        bare = " ".join(gate(paired_log([FINE, FINE], kept=False)).gated[0].caveats)
        for part in ("One network", "no column kept", "No provenance", "No control", "n_remaining"):
            assert part in bare
        assert "to 1,000 images" not in bare
        uneven = paired_log([FINE, (90, 1, 1, 8)]).with_columns(split=pl.lit("validation"))
        text = " ".join(gate(uneven, split="validation").gated[0].caveats)
        assert "Classes have 100 to 1,000 images" in text
        assert "split 'validation', not test" in text
        control = cell([950, 950], 1000, arm="control")
        log = pl.concat([paired_log([FINE, FINE], kept=False), control])
        assert "No control" not in " ".join(gate(log).gated[0].caveats)


def test_verdicts_of_many() -> None:
    assert together((PASS, PASS)) == PASS
    assert together((PASS, OPEN)) == OPEN
    assert together((PASS, OPEN, FAIL)) == FAIL
    assert together((PASS, OPEN, FAIL), enough=True) == PASS
    assert together((OPEN, FAIL), enough=True) == OPEN
