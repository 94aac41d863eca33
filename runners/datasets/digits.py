"""The UCI handwritten digits that scikit-learn ships: 1,797 images of 8 x 8, no download."""

from pathlib import Path

import torch

from runners.datasets.images import Images, Source


def digits(root: Path) -> Source:
    """8x8 handwritten digits from scikit-learn (1,797 images, no test split of its own)."""
    from sklearn.datasets import load_digits  # takes a second that other studies can do without

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images)[:, None] * (255 / 16)  # stored as 0 to 16
    images = Images(pixels.round().to(torch.uint8), torch.from_numpy(bunch.target).long())
    return Source(images, None, tuple(str(name) for name in bunch.target_names))
