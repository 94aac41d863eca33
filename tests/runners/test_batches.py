from dataclasses import replace

import pytest
import torch

from runners.batches import draw, flip_and_crop, training_batches
from runners.recipe import Recipe
from runners.seeds import stream

RECIPE = Recipe(dense=((1, 0.1),), finetune=((1, 0.1),), batch_size=48)


def test_an_epoch_has_every_training_image_once_in_a_new_order(digits):
    order = stream(0, "order")
    epochs = [
        torch.cat([y[0] for _, y in training_batches(digits, RECIPE, [order], None)]) for _ in "ab"
    ]
    for labels in epochs:
        assert torch.equal(labels.sort().values, digits.train.labels.sort().values)
    assert not torch.equal(*epochs)
    sizes = [len(x) for x, _ in training_batches(digits, RECIPE, [order], None)]
    assert sizes == [48, 48, 48, 16]


def test_batches_are_normalised(digits):
    inputs = torch.cat([x for x, _ in training_batches(digits, RECIPE, [stream(0)], None)])
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert float(inputs.std(unbiased=False)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_every_augmented_image_is_one_of_its_flipped_crops(flip):
    pixels = torch.arange(1, 1 + 40 * 2 * 3 * 4).remainder(251).to(torch.uint8).view(40, 2, 3, 4)
    recipe = replace(RECIPE, flip=flip, crop_padding=1)
    out = flip_and_crop(pixels, 1, *draw(recipe, 40, stream(0)))
    padded = torch.nn.functional.pad(pixels, (1, 1, 1, 1))
    seen = set()
    for image, result in zip(padded, out, strict=True):
        variants = {
            (row, column, flipped): crop.flip(-1) if flipped else crop
            for row in range(3)
            for column in range(3)
            for crop in [image[:, row : row + 3, column : column + 4]]
            for flipped in ([False, True] if flip else [False])
        }
        matching = [key for key, crop in variants.items() if torch.equal(crop, result)]
        assert matching
        seen.update(matching)
    assert len(seen) > len(variants) * 0.7  # all kinds of shift are drawn


def test_no_augmentation_asked_for_is_none_done(digits):
    plain = list(training_batches(digits, RECIPE, [stream(0)], None))
    with_generator = list(training_batches(digits, RECIPE, [stream(0)], [stream(1)]))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(plain, with_generator, strict=True))


def test_augmentation_has_its_own_stream(digits):
    recipe = replace(RECIPE, flip=True, crop_padding=1)
    labels, inputs = [], []
    for augmentation in (stream(1), stream(2)):
        batches = list(training_batches(digits, recipe, [stream(0)], [augmentation]))
        inputs.append(torch.cat([x for x, _ in batches]))
        labels.append(torch.cat([y[0] for _, y in batches]))
    assert torch.equal(*labels)
    assert not torch.equal(*inputs)


def test_networks_are_served_as_if_each_were_alone(digits):
    recipe = replace(RECIPE, flip=True, crop_padding=1)
    together = training_batches(digits, recipe, [stream(0), stream(1)], [stream(2), stream(3)])
    alone = [
        training_batches(digits, recipe, [stream(0)], [stream(2)]),
        training_batches(digits, recipe, [stream(1)], [stream(3)]),
    ]
    for (inputs, labels), *each in zip(together, *alone, strict=True):
        for i, (own_inputs, own_labels) in enumerate(each):
            assert torch.equal(inputs[:, i : i + 1], own_inputs)
            assert torch.equal(labels[i], own_labels[0])
