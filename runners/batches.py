"""Batches of training images: shuffled by index, augmented and normalised on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from runners.datasets import Dataset
from runners.recipe import Recipe


def training_batches(
    data: Dataset,
    recipe: Recipe,
    order: torch.Generator,
    augmentation: torch.Generator | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the training images once, as (inputs, labels) in a fresh random order.

    `order` shuffles; `augmentation` draws flips and crops, None leaves the images as they are.
    """
    pixels, labels = data.train.pixels, data.train.labels
    shuffled = torch.randperm(len(labels), generator=order).to(labels.device)
    augmented = augmentation is not None and (recipe.flip or recipe.crop_padding > 0)
    for index in shuffled.split(recipe.batch_size):
        batch = pixels[index]
        if augmented:
            batch = flip_and_crop(batch, recipe.flip, recipe.crop_padding, augmentation)
        yield data.normalised(batch), labels[index]


def flip_and_crop(
    pixels: Tensor, flip: bool, padding: int, generator: torch.Generator | None
) -> Tensor:
    """Return each image of (n, channels, h, w) flipped or not, and cropped from a padded copy.

    Every image draws its own flip (probability 1/2) and its own shift of up to `padding` pixels
    in each direction; what is shifted in is black.
    """
    n, _, height, width = pixels.shape
    device = pixels.device
    shift = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator).to(device)
    flipped = torch.rand(n, 1, generator=generator).to(device) < (0.5 if flip else 0.0)
    rows = shift[0] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(n, width)
    columns = shift[1] + torch.where(flipped, width - 1 - columns, columns)
    padded = functional.pad(pixels, (padding,) * 4)
    image = torch.arange(n, device=device)[:, None, None]
    # one gather does both; indexing around the slice moves the channels last
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
