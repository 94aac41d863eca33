"""Batches of training images: shuffled by index, augmented and normalised on the device.

Several networks are served at once, each in an order and with an augmentation of its own; their
images stand side by side as channels, (n, m channels, height, width).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from runners.datasets import Dataset
from runners.recipe import Recipe


def training_batches(
    data: Dataset,
    recipe: Recipe,
    orders: Sequence[torch.Generator],
    augmentations: Sequence[torch.Generator] | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the training images once per network, in fresh random orders.

    Yields (inputs (n, m channels, height, width), labels (m, n)). Each of `orders` shuffles for
    one network; `augmentations` draw flips and crops, None leaves the images as they are.
    """
    pixels, labels = data.train.pixels, data.train.labels
    shuffled = torch.stack([torch.randperm(len(labels), generator=order) for order in orders], 1)
    for index in shuffled.to(labels.device).split(recipe.batch_size):
        batch = pixels.index_select(0, index.flatten())
        if augmentations and (recipe.flip or recipe.crop_padding > 0):
            drawn = [draw(recipe, len(index), generator) for generator in augmentations]
            shifts, flipped = (
                torch.stack(part, -1).flatten(-2) for part in zip(*drawn, strict=True)
            )
            batch = flip_and_crop(batch, recipe.crop_padding, shifts, flipped)
        together = batch.unflatten(0, index.shape).flatten(1, 2)
        yield data.normalised(together), labels[index.T]


def draw(recipe: Recipe, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw for n images a shift (2, n) of up to 2 `crop_padding` pixels, and a flip (n,)."""
    shifts = torch.randint(0, 2 * recipe.crop_padding + 1, (2, n), generator=generator)
    return shifts, torch.rand(n, generator=generator) < (0.5 if recipe.flip else 0.0)


def flip_and_crop(pixels: Tensor, padding: int, shifts: Tensor, flipped: Tensor) -> Tensor:
    """Return each image of (n, channels, h, w) flipped or not, and cropped from a padded copy.

    `shifts` (2, n) says where the crop begins, `flipped` (n,) what is flipped; what is shifted
    in is black.
    """
    n, _, height, width = pixels.shape
    device = pixels.device
    shifts, flipped = shifts.to(device).unsqueeze(-1), flipped.to(device).unsqueeze(-1)
    rows = shifts[0] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(n, width)
    columns = shifts[1] + torch.where(flipped, width - 1 - columns, columns)
    padded = functional.pad(pixels, (padding,) * 4)
    image = torch.arange(n, device=device)[:, None, None]
    # one gather does both; indexing around the slice moves the channels last
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
