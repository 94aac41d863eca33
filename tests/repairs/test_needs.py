"""One cell that lacks something takes its own network's answer, and no other's; it is said why."""

from dataclasses import replace

import numpy as np
import pytest

from distortion.nulls.matched import MEASURES
from distortion.repairs.estimators import ESTIMATORS, simex_with
from distortion.repairs.needs import networks_with
from distortion.repairs.table import row
from tests.repairs.simulated import made

BY_NAME = {e.name: e for e in (*ESTIMATORS, *MEASURES)}
HALVES = ("split_half", "split_half_pooled")
EXCESSES = ("alpha_excess_corrected", "log_kappa_excess_corrected")
ALL = [*ESTIMATORS, *MEASURES, simex_with(np.random.default_rng(1))]
LOST = 3  # the network that lacks something


def study(networks=10, classes=4, n=1000):
    rng = np.random.default_rng(networks)
    n = np.broadcast_to(n, (networks, classes)).copy()
    dense = rng.binomial(n, np.linspace(0.8, 0.95, classes))
    kept = rng.binomial(dense, 0.9)
    correct = kept + rng.binomial(n - dense, 0.1)
    return replace(
        made(1, dense, correct, kept=kept, control=rng.binomial(n, 0.9)),
        n=n,
    )


def changed(counts, network, *, dense=None, correct=None, kept=None):
    """The same with other counts in all classes of one network."""
    fields = {"dense": counts.dense, "correct": counts.correct, "kept": counts.kept}
    new = {"dense": dense, "correct": correct, "kept": kept}
    for name, value in new.items():
        if value is not None:
            fields[name] = fields[name].copy()
            fields[name][network] = value
    return replace(counts, **fields)


def without(counts, network):
    keep = np.arange(counts.size[0]) != network
    control = None if counts.control is None else counts.control[keep]
    arrays = {f: getattr(counts, f)[keep] for f in ("n", "dense", "correct", "kept")}
    return replace(
        counts, **arrays, control=control, ratio_achieved=counts.ratio_achieved[keep],
        seeds=counts.seeds[:-1], networks=counts.networks[:-1],
    )  # fmt: skip


def all_right(counts):
    return changed(counts, LOST, correct=counts.n[LOST], kept=counts.dense[LOST])


def all_wrong(counts):
    return changed(counts, LOST, correct=0, kept=0)


def kept_unknown(counts):
    partly = counts.kept.astype(float)
    partly[LOST] = np.nan
    return replace(counts, kept=None, partly_kept=partly)


def one_image(counts):
    n = counts.n.copy()
    n[LOST, 2] = 1
    arrays = {f: np.minimum(getattr(counts, f), n) for f in ("dense", "correct", "kept")}
    return replace(counts, n=n, **arrays)


@pytest.mark.parametrize(
    ("spoil", "names", "need"),
    [
        (all_right, EXCESSES, "needs an accuracy below 1 after"),
        (all_right, ("alpha_excess", "log_kappa_excess"), "needs an accuracy below 1 after"),
        (all_wrong, (*HALVES, *EXCESSES), "needs an accuracy above 0"),
        (kept_unknown, (*HALVES, EXCESSES[0]), "needs kept (images correct before and after)"),
        (one_image, (*HALVES, *EXCESSES), "needs two test images of every class"),
    ],
)
def test_a_network_that_lacks_something_takes_only_itself_away(spoil, names, need):
    counts = study()
    for name in names:
        found = row(spoil(counts), BY_NAME[name], 0.95)
        rest = row(without(counts, LOST), BY_NAME[name], 0.95)
        assert found["networks"] == 9
        for column in ("estimate", "std_error", "p_value"):
            assert found[column] == pytest.approx(rest[column], rel=1e-9)
        assert f"1 of 10 networks left out: {need}" in found["caveat"]
        assert "control" not in found["caveat"]


def test_no_need_but_the_one_that_failed_is_named():
    caveats = {
        name: row(one_image(study()), BY_NAME[name], 0.95)["caveat"]
        for name in (*HALVES, *EXCESSES)
    }
    for caveat in caveats.values():
        assert caveat.endswith("two test images of every class (one image: class 2)") or (
            "(one image: class 2);" in caveat
        )
        assert "kept" not in caveat.replace("log_kappa", "")


def test_a_class_with_one_image_in_every_network_is_refused_by_name():
    counts = study(n=np.array([1000, 1, 1000, 1000]))
    for name in (*HALVES, *EXCESSES):
        found = row(counts, BY_NAME[name], 0.95)
        assert found["estimate"] is None
        assert found["networks"] == 0
        assert (
            found["caveat"] == "undefined: needs two test images of every class "
            "(one image: class 1)"
        )


def test_what_only_the_whole_lacks_is_said_of_the_whole():
    one = row(study(networks=1), BY_NAME["between"], 0.95)
    assert one["caveat"] == "undefined: needs two networks"
    x = np.array([[80, 60], [60, 80]])
    opposed = row(made(100, x, x), BY_NAME["between"], 0.95)
    assert opposed["caveat"] == "undefined: needs a class pattern beyond seed noise"


def test_networks_used_are_those_that_are_counted():
    for spoil in (all_right, all_wrong, kept_unknown, one_image):
        counts = spoil(study())
        for estimator in ALL:
            if estimator.by_sums is not None:
                weights = np.eye(10)[~networks_with(estimator.needs, counts)]
                numerator, denominator = estimator.quotient(counts, weights)
                assert (np.isnan(numerator / denominator) | (numerator == 0)).all(), estimator.name


HARD = {
    "accuracy 0": lambda: changed(study(1), 0, correct=0, kept=0),
    "accuracy 0 before": lambda: changed(study(1), 0, dense=0, kept=0),
    "accuracy 1": lambda: all_right_everywhere(study(1)),
    "accuracy 1 in all": lambda: all_right_everywhere(study(5)),
    "accuracy 0 in all": lambda: replace_all(study(5), 0),
    "one network": lambda: study(1),
    "two networks": lambda: study(2),
    "two classes": lambda: study(5, 2),
    "unbalanced": lambda: study(5, 4, np.array([10, 100, 50, 2000])),
    "one image": lambda: study(5, 4, np.array([1, 100, 50, 2])),
    "all with one image": lambda: study(3, 4, 1),
    "one lost": lambda: all_wrong(study()),
    "one perfect": lambda: all_right(study()),
    "no kept": lambda: replace(study(), kept=None),
    "one kept unknown": lambda: kept_unknown(study()),
    "equal classes": lambda: made(10, [[8, 8]] * 3, [[7, 7]] * 3, kept=[[7, 7]] * 3),
}


def all_right_everywhere(counts):
    return replace(counts, correct=counts.n, kept=counts.dense)


def replace_all(counts, correct):
    nothing = np.full_like(counts.correct, correct)
    return replace(counts, correct=nothing, kept=nothing)


@pytest.mark.parametrize("hard", HARD)
@pytest.mark.parametrize("estimator", ALL, ids=lambda e: e.name)
def test_no_warning_and_a_number_or_a_reason(hard, estimator):
    found = row(HARD[hard](), estimator, 0.95)
    assert (found["estimate"] is None) == found["caveat"].startswith("undefined: needs ")
    assert not found["caveat"].endswith("needs ")
    if found["estimate"] is not None and np.isfinite(estimator.null):
        assert found["p_value"] is not None or "no interval" in found["caveat"]
