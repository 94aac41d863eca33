import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from distortion.errors import StudyError
from runners.masks import Size, largest, prunable_tensors, size_of, two_sided, unflatten
from runners.nets import build

LENET = Size(total=60_074, prunable=58_998)


def test_keep_counts_the_layers_that_are_never_pruned():
    assert Size(total=100, prunable=80).keep(2) == 30


@pytest.mark.parametrize("ratio", [1.5, 2, 4, 10, 20, 42, 50])
def test_the_ratio_reached_is_within_a_thousandth(ratio):
    remaining = LENET.total - LENET.prunable + LENET.keep(ratio)
    assert LENET.total / remaining == pytest.approx(ratio, rel=1e-3)


def test_an_unreachable_ratio_names_the_largest_one():
    assert LENET.keep(LENET.largest_ratio) == 1
    with pytest.raises(StudyError, match=r"ratio 56 cannot be reached.*1,076.*from 1 to 55.7"):
        LENET.keep(56)


def test_a_ratio_below_one_is_refused():
    with pytest.raises(StudyError, match=r"ratio 0.5 cannot be reached"):
        LENET.keep(0.5)


def test_of_equal_scores_the_first_stay():
    scores = torch.tensor([1.0, 2.0, 1.0, 1.0, 3.0])
    assert largest(scores, 3).tolist() == [True, True, False, False, True]


@settings(deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0, 9, width=32), min_size=1),
    data=st.data(),
)
def test_masks_are_exact_and_only_shrink_as_the_ratio_grows(scores, data):
    few = data.draw(st.integers(1, len(scores)))
    many = data.draw(st.integers(few, len(scores)))
    small, large = largest(torch.tensor(scores), few), largest(torch.tensor(scores), many)
    assert (int(small.sum()), int(large.sum())) == (few, many)
    assert not (small & ~large).any()


def test_two_sided_mask_by_hand():
    # 2 of 5 are to stay, so the threshold is the 0.6 quantile: in -2, -1, 0.1, 0.4, 3 it lies at
    # position 2.4, which is 0.1 + 0.4 * 0.3 = 0.22. Only 0.1 is within (-0.22, 0.22): 4 stay
    scores = torch.tensor([-2.0, 0.4, 3.0, -1.0, 0.1])
    assert two_sided(scores, keep=2).tolist() == [True, True, True, True, False]
    # one-sided, -1 and -2 would have gone first
    assert largest(scores, keep=2).tolist() == [False, True, True, False, False]


def test_two_sided_mask_of_positive_scores_keeps_the_largest():
    scores = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4])
    assert torch.equal(two_sided(scores, 2), largest(scores, 2))


def test_two_sided_mask_keeps_everything_where_the_threshold_is_not_positive():
    assert two_sided(torch.tensor([-3.0, -2.0, -1.0, 5.0]), keep=3).all()


@pytest.mark.parametrize(
    ("size", "reached"),
    [
        (Size(269_722, 267_696), [1.01, 2.03, 5.20, 10.8, 30.8]),  # ResNet-20
        (Size(853_018, 848_304), [1.01, 2.02, 5.14, 10.6, 29.0]),  # ResNet-56
        (Size(1_727_962, 1_719_216), [1.01, 2.02, 5.13, 10.5, 28.6]),  # ResNet-110
    ],
    ids=["resnet20", "resnet56", "resnet110"],
)
def test_symmetric_scores_reach_about_half_the_ratio_asked_for(size, reached):
    """Prediction for the authors' code when the signs of its scores are symmetric."""
    scores = torch.linspace(-1, 1, size.prunable, dtype=torch.float64)
    for ratio, expected in zip([2, 4, 10, 20, 50], reached, strict=True):
        pruned = int((~two_sided(scores, size.keep(ratio))).sum())
        assert size.total / (size.total - pruned) == pytest.approx(expected, rel=5e-3)


def test_biases_normalisation_and_classifier_are_never_prunable():
    net = build("resnet20", {}, (3, 32, 32), 10, seed=0)
    convolutions = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 19
    assert [id(w) for w in prunable_tensors(net)] == [id(w) for w in convolutions]


def test_shared_weights_are_counted_once():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 2))
    net[1].weight = net[0].weight
    assert size_of(net) == Size(total=16 + 10, prunable=16)


def test_unflatten_is_the_inverse_of_flattening_in_channels_last_layout():
    tensors = prunable_tensors(build("lenet", {}, (1, 28, 28), 10, seed=0))
    flat = torch.cat([t.detach().flatten() for t in tensors])
    for piece, tensor in zip(unflatten(flat, tensors), tensors, strict=True):
        assert torch.equal(piece, tensor)


def test_a_network_with_nothing_to_prune_is_refused_in_words():
    with pytest.raises(StudyError, match="none of its parameters may be pruned"):
        Size(total=650, prunable=0).keep(2)
