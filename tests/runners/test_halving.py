"""Stacks that do not fit are halved; what is done is not done again."""

import pytest
import torch

from runners import train as door
from runners.backends import Backend
from runners.halving import in_stacks, is_device_lost, is_out_of_memory
from runners.recipe import Recipe
from runners.replicas import Training
from runners.train import train
from tests.runners.test_train import make_replica, state

FULL = torch.OutOfMemoryError("CUDA out of memory")
RECIPE = Recipe(dense=((2, 0.1),), finetune=((1, 0.05),), batch_size=40)


def test_items_come_back_in_order_with_their_results():
    stacks = []

    def work(stack):
        stacks.append(list(stack))
        return [10 * item for item in stack]

    assert list(in_stacks(range(5), 2, work)) == [(i, 10 * i) for i in range(5)]
    assert stacks == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    "error", [FULL, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB")]
)
def test_stacks_are_halved_where_memory_runs_out_and_stay_small(error):
    done = []

    def work(stack):
        if len(stack) > 3:
            raise error
        done.append(list(stack))
        return stack

    assert [item for item, _ in in_stacks(range(18), 8, work)] == list(range(18))
    assert done == [[0, 1], [2, 3], [4, 5], [6, 7]] + [[i, i + 1] for i in range(8, 18, 2)]
    assert is_out_of_memory(error)


def test_an_error_reaches_only_the_item_that_causes_it():
    error, done = ValueError("bad"), []

    def work(stack):
        if 2 in stack:
            raise error
        done.append(list(stack))
        return stack

    found = dict(in_stacks(range(12), 4, work))
    assert found == {i: error if i == 2 else i for i in range(12)}
    assert done == [[0, 1], [3], [4, 5, 6, 7], [8, 9, 10, 11]]  # later stacks are full again
    assert not is_out_of_memory(error)


def test_an_item_that_does_not_fit_alone_has_the_error_as_its_result():
    def work(stack):
        if "large" in stack:
            raise FULL
        return stack

    assert list(in_stacks(["small", "large", "last"], 3, work)) == [
        ("small", "small"), ("large", FULL), ("last", "last"),
    ]  # fmt: skip


def test_items_are_taken_when_their_stack_begins():
    taken = []
    results = in_stacks((taken.append(i) or i for i in range(9)), 3, lambda stack: stack)
    next(results)
    assert taken == [0, 1, 2]


def test_stacks_are_of_one_key_and_fill_up_across_the_others():
    stacks = []
    pairs = in_stacks(
        range(8), 2, lambda stack: stacks.append(list(stack)) or stack, lambda i: i % 3
    )
    assert sorted(item for item, _ in pairs) == list(range(8))
    assert stacks == [[0, 3], [1, 4], [2, 5], [6], [7]]


def test_training_goes_on_in_halves_with_the_same_result_and_honest_progress(digits, monkeypatch):
    """Memory runs out in the second epoch of every stack of more than two."""
    plain, stacks, epochs = door.train_stack, [], {}

    def train_stack(stack, *arguments):
        *most, on_epoch = arguments

        def short_of_memory(positions):
            on_epoch(positions)
            if len(stack) > 2:
                raise FULL

        stacks.append(len(stack))
        return plain(stack, *most, short_of_memory)

    def on_epoch(training, done):
        epochs[training] = epochs.get(training, 0) + done

    def trainings():
        for i in range(5):
            replica = make_replica(0.5, streams=make_replica().streams.child(i))
            yield Training(replica, RECIPE, RECIPE.dense)

    whole = [training for training, _ in train(trainings(), digits, Backend("grouped", 5))]
    monkeypatch.setattr(door, "train_stack", train_stack)
    pairs = list(train(trainings(), digits, Backend("grouped", 5), on_epoch))
    assert stacks == [5, 3, 2, 1, 2]
    assert all(outcome.is_sound for _, outcome in pairs)
    for (training, _), other in zip(pairs, whole, strict=True):
        assert torch.equal(state(training.replica.net), state(other.replica.net))
    assert list(epochs.values()) == [2] * 5


LOST = [
    getattr(torch, "AcceleratorError", RuntimeError)(
        "CUDA error: an illegal memory access was encountered"
    ),
    RuntimeError("CUDA error: unspecified launch failure"),
]


@pytest.mark.parametrize("error", LOST, ids=type)
def test_a_lost_device_is_the_end_of_all_stacks(error):
    tried = []

    def work(stack):
        tried.append(stack)
        raise error

    with pytest.raises(type(error), match="CUDA error"):
        list(in_stacks(range(4), 2, work))
    assert tried == [[0, 1]]


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        *((error, True) for error in LOST),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), False),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("CUDA error: as a method may say"), False),
        (FULL, False),
    ],
)
def test_errors_of_which_the_device_does_not_recover(error, lost):
    assert is_device_lost(error) == lost
