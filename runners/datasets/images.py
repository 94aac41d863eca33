"""Images in memory: a source as read from disk, and the data set of a study, split and on a device.

array    size                             type
pixels   (n, channels, height, width)     uint8, 0 to 255
labels   (n,)                             int64, 0 to n_classes - 1
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from distortion.errors import StudyError


@dataclass(frozen=True)
class Images:
    """Labelled images: pixels (n, channels, height, width) uint8 and labels (n,) int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def take(self, index: Tensor) -> "Images":
        """Return the images at the positions `index`."""
        return Images(self.pixels[index], self.labels[index])

    def to(self, device: torch.device) -> "Images":
        """Return the images on a device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def batches(self, size: int) -> Iterator["Images"]:
        """Yield the images in order, `size` at a time."""
        for pixels, labels in zip(self.pixels.split(size), self.labels.split(size), strict=True):
            yield Images(pixels, labels)


@dataclass(frozen=True)
class Source:
    """What a loader returns: training images, test images if the data set has its own, names.

    `mean` and `std` per channel, on the scale 0 to 1, where the literature fixes them; otherwise
    they are computed from the training images.
    """

    train: Images
    test: Images | None
    class_names: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def check(self, name: str) -> "Source":
        """Return the source itself if it can be used.

        Raises
        ------
        StudyError
            Fewer than two classes, a label out of range, or test images of another shape.
        """
        n_classes = self.n_classes
        if n_classes < 2:
            raise StudyError(
                f"Data set {name!r} has {n_classes} class(es): recall balance compares classes, "
                f"so at least two are needed. Check its labels or class folders."
            )
        for part, images in (("training", self.train), ("test", self.test)):
            if images is None:
                continue
            outside = (images.labels < 0) | (images.labels >= n_classes)
            if outside.any():
                row = int(outside.nonzero()[0])
                raise StudyError(
                    f"Data set {name!r}, {part} image {row}: label {int(images.labels[row])} is "
                    f"out of range; with {n_classes} class names labels run from 0 to "
                    f"{n_classes - 1}. Correct the labels or the list of class names."
                )
        if self.test is not None and self.test.shape != self.train.shape:
            raise StudyError(
                f"Data set {name!r}: training images are {self.train.shape} (channels, height, "
                f"width), test images {self.test.shape}. Both must have the same shape."
            )
        return self


@dataclass(frozen=True)
class Dataset:
    """The images of a study: split, on the device, with the numbers that normalise them.

    `shift` and `scale` have size (1, channels, 1, 1): input = pixels * scale + shift.
    """

    name: str
    train: Images
    validation: Images
    test: Images
    class_names: tuple[str, ...]
    scale: Tensor
    shift: Tensor

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def to(self, device: torch.device) -> "Dataset":
        """Return the data set on a device."""
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
            scale=self.scale.to(device),
            shift=self.shift.to(device),
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return network input, float32, for pixels (n, channels, height, width) uint8.

        The channels of several images may stand side by side: (n, m channels, height, width).
        """
        inputs = pixels.to(torch.float32, memory_format=torch.channels_last)
        inputs.unflatten(1, (-1, self.scale.shape[1])).mul_(self.scale).add_(self.shift)
        return inputs

    @cached_property
    def digest(self) -> str:
        """Hash of all pixels and labels, in the order and split in which they are used."""
        digest = hashlib.sha256()
        for images in (self.train, self.validation, self.test):
            for tensor in (images.pixels, images.labels):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]
