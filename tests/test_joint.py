"""Resampling of shared images: against index resamples, closed forms, and the bounds of counts."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import distortion as ds
from distortion.counts import accuracies
from distortion.errors import DesignError, FitError
from distortion.inequality.table import inequality
from distortion.resampling.joint import Answers, image_weights, joint_values
from tests.answers import answers

DRAWS = 4000
# Four standard errors of a standard deviation of that many draws, relative.
RTOL = 4 / np.sqrt(2 * DRAWS)


def drawn(seed: int, n: int = 40, networks: int = 3, classes: int = 4) -> Answers:
    """Answers among 6 classes, of which the images have some."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.append(np.arange(classes), rng.integers(0, classes, n - classes)))
    said = rng.integers(0, 6, (2, networks, n))
    right = rng.random((2, networks, n)) < 0.6
    return Answers(labels, *np.where(right, labels, said))


def resampled(table: pl.DataFrame, **options: object) -> dict[str, float]:
    """Standard errors by measure of the compressed condition."""
    settings = {"rng": 1, "draws": DRAWS, "measures": ["accuracy", "recall_sd", "alpha"]} | options
    found = inequality(ds.recount(table), **settings).filter(pl.col("arm") == "finetuned")
    return dict(found.select("measure", "std_error").iter_rows())


def test_weights_keep_the_support_of_each_class_and_follow_the_seed() -> None:
    labels = np.array([2, 0, 2, 2, 0, 7])
    weights = image_weights(labels, 3000, 3)
    for label in (0, 2, 7):
        assert (weights[:, labels == label].sum(axis=1) == (labels == label).sum()).all()
    assert (weights == image_weights(labels, 3000, np.random.default_rng(3))).all()
    assert (weights != image_weights(labels, 3000, 4)).any()
    # Multinomial: mean 1, variance 1 − 1 / n_c; four standard errors of 3,000 draws.
    assert weights.mean(axis=0) == pytest.approx(np.ones(6), abs=4 / np.sqrt(3000))
    variances = [2 / 3, 1 / 2, 2 / 3, 2 / 3, 1 / 2, 0]
    assert weights.var(axis=0) == pytest.approx(variances, abs=0.12)
    with pytest.raises(FitError, match="rng is None"):
        image_weights(labels, 10, None)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="has 70,000 images"):
        image_weights(np.zeros(70_000, dtype=int), 1, 0)


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_counts_of_weights_are_counts_of_repeated_images(seed: int, block: int) -> None:
    given_answers = drawn(seed)
    weights = image_weights(given_answers.labels, 5, seed)
    pairs = given_answers.reweighted(weights)
    classes = np.unique(given_answers.labels)
    for b, row in enumerate(weights):
        chosen = np.repeat(np.arange(len(row)), row)
        labels, dense, after = (
            getattr(given_answers, f)[..., chosen] for f in ("labels", "dense", "after")
        )
        for c, label in enumerate(classes):
            of_class, before, now = labels == label, dense == labels, after == labels
            assert (pairs.n[b, :, c] == of_class.sum()).all()
            assert (pairs.dense[b, :, c] == (before & of_class).sum(axis=1)).all()
            assert (pairs.correct[b, :, c] == (now & of_class).sum(axis=1)).all()
            assert (pairs.kept[b, :, c] == (before & now & of_class).sum(axis=1)).all()
            assert (pairs.predicted_dense[b, :, c] == (dense == label).sum(axis=1)).all()
            assert (pairs.predicted[b, :, c] == (after == label).sum(axis=1)).all()
    alone = joint_values(lambda p: p.correct, given_answers, weights, block=block)
    assert (alone == pairs.correct).all()


def hits(table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and whether each compressed network is right (M, n)."""
    images, after = ds.read_predictions(table).of(list(range(2, 3 * 6, 3)))
    return images.labels, (after == images.labels).astype(float)


def covariance(labels: np.ndarray) -> np.ndarray:
    """Of the weights of images: multinomial within each class."""
    same = labels[:, None] == labels
    return np.eye(len(labels)) - same / same.sum(axis=1)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_accuracy_varies_as_in_closed_form(shared: float) -> None:
    table = answers(3, n=200, shared=shared)
    labels, right = hits(table)
    networks, n = right.shape
    images = covariance(labels)
    mean = right.mean(axis=0)
    found = resampled(table, source="test images", predictions=table)
    assert found["accuracy"] == pytest.approx(np.sqrt(mean @ images @ mean) / n, rel=RTOL)
    # Owen's pigeonhole bootstrap: products of independent weights of networks and images.
    both = (np.eye(networks) + 1 - 1 / networks) @ right * (right @ (images + 1))
    variance = both.sum() / (networks * n) ** 2 - right.mean() ** 2
    found = resampled(table, source="both", predictions=table)
    assert found["accuracy"] == pytest.approx(np.sqrt(variance), rel=RTOL)


@pytest.mark.filterwarnings("ignore:Copied seeds")  # on purpose
def test_predictions_lie_between_the_bounds_of_counts_and_reach_both() -> None:
    copies = answers(5, n=400, networks=1)
    copies = pl.concat([copies.with_columns(seed=pl.lit(s, pl.Int64)) for s in range(4)])
    upper = resampled(copies, source="test images")
    found = resampled(copies, source="test images", predictions=copies)
    for name in upper:
        assert found[name] == pytest.approx(upper[name], rel=2 * RTOL)
    alone = answers(6, n=2000, networks=8)
    lower = resampled(alone, source="test images", images="independent")
    found = resampled(alone, source="test images", predictions=alone)
    for name in lower:
        # Errors of different networks correlate by chance only: 1 / √2000 for each of 28 pairs.
        assert found[name] == pytest.approx(lower[name], rel=0.15)
    together = answers(7, n=400, shared=0.7)
    low, exact, high = (
        resampled(together, source="test images", **options)["accuracy"]
        for options in ({"images": "independent"}, {"predictions": together}, {})
    )
    assert 1.2 * low < exact < 0.95 * high


def test_estimates_stay_and_false_positives_get_an_interval() -> None:
    rows = answers(8, n=2000).rows(named=True)
    for row in rows:
        if row["arm"] == "finetuned":  # half of class 3 becomes class 0: an effect beyond noise
            pairs = zip(row["labels"], row["predicted"], range(2000), strict=True)
            row["predicted"] = [0 if label == 3 and i < 1000 else said for label, said, i in pairs]
    table = pl.DataFrame(rows)
    log = ds.recount(table)
    bare = log.drop("kept", "predicted")
    plain, exact, completed = (
        inequality(source, rng=1, draws=300, source="both", **options)
        for source, options in (
            (log, {}),
            (log, {"predictions": table}),
            (bare, {"predictions": table}),
        )
    )
    assert exact["estimate"].to_list() == plain["estimate"].to_list()
    assert completed.equals(exact)
    for name in ("cev", "sde"):
        rows = [t.filter(arm="finetuned", measure=name).row(0, named=True) for t in (plain, exact)]
        assert rows[0]["conf_low"] is None
        assert rows[1]["conf_low"] < rows[1]["estimate"] < rows[1]["conf_high"]
        assert rows[1]["caveat"] == ""
    alone = table.filter(pl.col("seed") == 0)
    found = inequality(ds.recount(alone), predictions=alone, source="both", rng=1, draws=50)
    assert (found["caveat"] == "no interval: one network").all()


def test_what_does_not_fit_the_log_is_refused() -> None:
    table = answers(9)
    log = ds.recount(table)
    options = {"source": "test images", "rng": 1, "draws": 10}
    with pytest.raises(DesignError, match=r"lack the cell .*seed=5.* of the log"):
        inequality(log, predictions=table.filter(pl.col("seed") < 5), **options)
    with pytest.raises(DesignError, match="do not give the counts of the log"):
        inequality(log, predictions=answers(10), **options)
    some = log.filter(pl.col("class_id") > 0).drop("predicted")
    with pytest.raises(DesignError, match="do not give the counts of the log"):
        inequality(some, predictions=table, **options)
    for wrong in ({"source": "networks"}, {"images": "independent"}):
        with pytest.raises(DesignError, match="set source to 'test images' or 'both'"):
            inequality(log, predictions=table, **(options | wrong))


def test_pairs_of_the_images_as_they_are() -> None:
    given_answers = drawn(1)
    same = replace(given_answers, after=given_answers.dense).pairs
    assert (same.kept == same.dense).all()
    assert accuracies(same.dense, same.n) == pytest.approx(
        (given_answers.dense == given_answers.labels).mean(axis=1)
    )
