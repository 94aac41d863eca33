"""Pruning-identified exemplars: modes against a loop, planted images, the control as the floor."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import distortion as ds
from distortion.errors import DesignError
from distortion.inequality.exemplars import EXEMPLAR_SHARES, EXEMPLARS, modes
from tests.answers import answers


@given(st.integers(1, 7).flatmap(lambda m: arrays(np.uint16, (m, 5), elements=st.integers(0, 4))))
def test_modes_are_those_of_a_loop(predicted: np.ndarray) -> None:
    found = modes(predicted)
    for i, column in enumerate(predicted.T.tolist()):
        counts = Counter(column)
        most = max(counts.values())
        winners = [c for c, count in counts.items() if count == most]
        assert found.classes[i] == max(winners)
        assert found.agreement[i] == most / len(column)
        assert found.tied[i] == (len(winners) > 1)


def planted() -> pl.DataFrame:
    """Five networks that are all right; pruned ones say 0 on image 5, three of them on image 6."""
    labels = [0, 1, 2, 0, 1, 2, 1]
    rows = []
    for seed in range(5):
        fixed = {"dataset": "toy", "model": "net", "seed": seed, "labels": labels}
        after = [*labels[:5], 0, 0 if seed < 3 else 1]
        own = list(labels)
        own[seed] = 1  # one mistake of each, which no majority shares
        for method, ratio, arm, predicted in (
            ("none", 1.0, "dense", own),
            ("none", 1.0, "control", labels),
            ("magnitude", 2.0, "finetuned", after),
            ("magnitude", 4.0, "finetuned", own),
        ):
            cell = {"method": method, "ratio": ratio, "arm": arm, "predicted": predicted}
            rows.append(fixed | cell)
    return pl.DataFrame(rows)


@pytest.mark.filterwarnings("ignore::distortion.errors.LogWarning")  # so few images
def test_planted_exemplars_are_found_and_nothing_else() -> None:
    found = ds.exemplars(planted())
    assert found.schema == EXEMPLARS
    columns = ("ratio", "image", "label", "dense", "compressed", "dense_agreement", "agreement")
    assert found.select(*columns, "tied", "networks").rows() == [
        (2.0, 5, 2, 2, 0, 1.0, 1.0, False, 5),
        (2.0, 6, 1, 1, 0, 1.0, 0.6, False, 5),
    ]
    shares = ds.exemplar_shares(planted())
    assert shares.schema == EXEMPLAR_SHARES
    assert shares.height == 3 * 4
    assert shares.filter(ratio=2.0).select("class_id", "n", "exemplars", "share").rows() == [
        (None, 7, 2, 2 / 7),
        (0, 2, 0, 0.0),
        (1, 3, 1, 1 / 3),
        (2, 2, 1, 0.5),
    ]
    assert (shares["control_share"] == 0).all()
    numbered = (
        planted().with_columns(image=pl.int_ranges(10, 17)).explode("labels", "predicted", "image")
    )
    assert ds.exemplars(numbered.rename({"labels": "label"}))["image"].to_list() == [15, 16]


def test_the_control_is_the_floor_and_ties_are_counted() -> None:
    table = answers(2, n=300, networks=4, wrong=0.35)
    shares = ds.exemplar_shares(table)
    control = shares.filter(arm="control")
    compressed = shares.filter(arm="finetuned")
    assert control["share"].to_list() == control["control_share"].to_list()
    assert compressed["control_share"].to_list() == control["share"].to_list()
    assert control["exemplars"][0] > 0
    images = ds.exemplars(table).filter(arm="finetuned")
    assert images.height == compressed["exemplars"][0] == compressed["exemplars"][1:].sum()
    assert images["tied"].sum() == compressed["tied"][0] > 0
    assert (images["dense"] != images["compressed"]).all()
    without = ds.exemplar_shares(table.filter(pl.col("arm") != "control"))
    assert without["control_share"].is_null().all()


def test_what_is_not_there_is_refused() -> None:
    for wrong in ({"arm": "pruned"}, {"split": "validation"}, {"split": 3}):
        with pytest.raises(DesignError, match=r"No compressed cells|split is 3"):
            ds.exemplars(answers(), **wrong)  # type: ignore[arg-type]
