from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion.errors import StudyError
from runners.datasets import DatasetSpec, Images, Source, load
from runners.datasets.splits import split, stratified
from runners.seeds import stream


def numbered(labels):
    """Images of one pixel that holds their number, so that they can be followed."""
    n = len(labels)
    return Images(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), torch.tensor(labels))


def numbers(images):
    return set(images.pixels.flatten().tolist())


SOURCE = Source(numbered([0, 1, 2] * 40), None, ("a", "b", "c"))
SPEC = DatasetSpec("s", "s", test_share=0.25, validation_share=0.2)


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), data=st.data())
def test_a_stratified_draw_is_exact_and_every_class_is_in_proportion(labels, data):
    count = data.draw(st.integers(0, len(labels)))
    labels = torch.tensor(labels)
    drawn, rest = stratified(labels, count, stream(data.draw(st.integers(0, 9))))
    assert len(drawn) == count
    assert sorted([*drawn.tolist(), *rest.tolist()]) == list(range(len(labels)))
    for c in labels.unique():
        share = int((labels == c).sum()) * count / len(labels)
        assert abs(int((labels[drawn] == c).sum()) - share) < 1


def test_the_three_parts_are_disjoint_stratified_and_complete(cpu):
    data = split(SOURCE, SPEC, 0, cpu)
    parts = [numbers(part) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [72, 18, 30]
    assert len(set.union(*parts)) == 120
    for part in (data.train, data.validation, data.test):
        assert len(set(torch.bincount(part.labels).tolist())) == 1


def test_the_split_is_fixed_by_the_split_seed(cpu):
    torch.manual_seed(1)
    first = split(SOURCE, SPEC, 0, cpu)
    torch.manual_seed(2)
    assert split(SOURCE, SPEC, 0, cpu).digest == first.digest
    assert split(SOURCE, SPEC, 1, cpu).digest != first.digest


def test_validation_images_come_from_the_training_images_and_never_from_the_test_images(cpu):
    own_test = Source(SOURCE.train, numbered([0, 1, 2]), SOURCE.class_names)
    data = split(own_test, DatasetSpec("s", "s", validation_share=0.5), 0, cpu)
    assert torch.equal(data.test.pixels, own_test.test.pixels)
    assert len(data.validation) == len(data.train) == 60


def test_the_test_images_do_not_depend_on_validation_share_or_limit(cpu):
    digests = {
        tuple(sorted(numbers(split(SOURCE, spec, 0, cpu).test)))
        for spec in (
            SPEC,
            DatasetSpec("s", "s", test_share=0.25, validation_share=0.5),
            DatasetSpec("s", "s", test_share=0.25, train_limit=30),
        )
    }
    assert len(digests) == 1


def test_the_limit_takes_every_class_in_proportion_before_validation(cpu):
    data = split(SOURCE, DatasetSpec("s", "s", test_share=0.25, train_limit=30), 0, cpu)
    assert (len(data.train), len(data.validation)) == (27, 3)
    assert torch.bincount(data.train.labels).tolist() == [9, 9, 9]


def test_without_a_validation_share_all_training_images_train(cpu):
    data = split(SOURCE, DatasetSpec("s", "s", test_share=0.25, validation_share=0.0), 0, cpu)
    assert (len(data.train), len(data.validation)) == (90, 0)


def test_normalisation_is_that_of_the_training_images(cpu):
    data = split(SOURCE, SPEC, 0, cpu)
    inputs = data.normalised(data.train.pixels)
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-5)
    assert float(inputs.std(unbiased=False)) == pytest.approx(1, abs=1e-5)


def test_constant_images_are_not_divided_by_zero(cpu):
    blank = Images(torch.full((20, 1, 2, 2), 9, dtype=torch.uint8), torch.tensor([0, 1] * 10))
    data = split(Source(blank, blank, ("a", "b")), DatasetSpec("s", "s"), 0, cpu)
    assert not data.normalised(data.train.pixels).any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DatasetSpec("s", "s"), "has no test images of its own.*test_share = 0.2"),
        (DatasetSpec("s", "s", test_share=0.5, train_limit=61), "between 3 .* and 60"),
        (DatasetSpec("s", "s", test_share=0.5, train_limit=2), "between 3"),
        (DatasetSpec("s", "s", test_share=0.0), "class 'a' has no test image"),
    ],
)
def test_impossible_splits_are_refused(spec, message, cpu):
    with pytest.raises(StudyError, match=message):
        split(SOURCE, spec, 0, cpu)


def test_a_balanced_test_set_has_equally_many_images_of_every_class(cpu):
    data = load(DatasetSpec("digits", "digits", test_share=0.5, balanced_test=True), 0, Path(), cpu)
    assert set(torch.bincount(data.test.labels).tolist()) == {87}  # half of the smallest, 174
    assert len(data.train) + len(data.validation) + len(data.test) == 1797


def test_a_test_share_is_refused_where_the_data_set_has_its_own_test_images(cpu):
    own_test = Source(SOURCE.train, SOURCE.train, SOURCE.class_names)
    with pytest.raises(StudyError, match="remove the key `test_share`"):
        split(own_test, SPEC, 0, cpu)


def test_digits_are_balanced_and_whole(cpu):
    data = load(DatasetSpec("digits", "digits", test_share=0.5), 0, Path(), cpu)
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
    assert min(torch.bincount(data.test.labels)) >= 85
    assert data.train.pixels.max() == 255
