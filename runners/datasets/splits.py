"""Training, validation and test images, fixed by the split seed of the study.

Test images are the data set's own, or a stratified part where it has none. Validation images are
a stratified part of the training images. The test images never choose anything.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from distortion.errors import StudyError
from runners.datasets.images import Dataset, Images, Source
from runners.seeds import Streams


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A data set of a study: registered name, name in the log, and how it is split.

    test_share         share of the images that become test images; only for data sets that have
                       no test images of their own
    balanced_test      take equally many test images of every class, `test_share` of the smallest
                       class; on a balanced test set recall balances sum to zero over classes
    validation_share   share of the training images that become validation images; may be 0
    train_limit        use only this many training images (validation images are taken from
                       them), every class in proportion; None for all
    options            options of the loader
    """

    name: str
    label: str = ""
    test_share: float | None = None
    balanced_test: bool = False
    validation_share: float = 0.1
    train_limit: int | None = None
    options: dict[str, object] = field(default_factory=dict)


def stratified(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` positions at random, every class in proportion; return (drawn, rest), sorted.

    Classes get the whole part of their share, and the classes with the largest remainders one
    more, the lower class first where remainders are equal.
    """
    support = torch.bincount(labels).double()
    share = support * count / len(labels)
    per_class = share.floor().long()
    missing = count - int(per_class.sum())
    largest = torch.argsort(share - per_class, descending=True, stable=True)[:missing]
    per_class[largest] += 1
    return _draw(labels, per_class, generator)


def balanced(labels: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the same number of every class, `share` of the smallest one; return (drawn, rest)."""
    support = torch.bincount(labels)
    return _draw(labels, torch.full_like(support, round(share * int(support.min()))), generator)


def _draw(labels: Tensor, per_class: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = [shuffled[labels[shuffled] == c] for c in range(len(per_class))]
    parts = list(zip(by_class, per_class.tolist(), strict=True))
    drawn = torch.cat([positions[:k] for positions, k in parts])
    rest = torch.cat([positions[k:] for positions, k in parts])
    return drawn.sort().values, rest.sort().values


def split(source: Source, spec: DatasetSpec, seed: int, device: torch.device) -> Dataset:
    """Return the data set of a study, on a device; `seed` is the split seed of the study.

    Raises
    ------
    StudyError
        A share or limit that the images cannot meet, or a class without training or test images.
    """
    name = spec.label
    streams = Streams((seed, "split", name))
    train, test_images = source.train, source.test
    if test_images is None:
        if spec.test_share is None:
            raise StudyError(
                f"Data set {name!r} has no test images of its own: say which share of its images "
                f"to keep for testing, for example `test_share = 0.2`."
            )
        if spec.balanced_test:
            drawn, rest = balanced(train.labels, spec.test_share, streams.generator("test"))
        else:
            drawn, rest = _part(train, spec.test_share, streams.generator("test"))
        train, test_images = train.take(rest), train.take(drawn)
    elif spec.test_share is not None or spec.balanced_test:
        key = "balanced_test" if spec.test_share is None else "test_share"
        raise StudyError(f"Data set {name!r} has its own test images: remove the key `{key}`.")
    if spec.train_limit is not None:
        if not source.n_classes <= spec.train_limit <= len(train):
            raise StudyError(
                f"Data set {name!r}: train_limit must lie between {source.n_classes} (one image "
                f"per class) and {len(train)} (all training images), not {spec.train_limit}."
            )
        drawn, _ = stratified(train.labels, spec.train_limit, streams.generator("limit"))
        train = train.take(drawn)
    drawn, rest = _part(train, spec.validation_share, streams.generator("validation"))
    train, validation_images = train.take(rest), train.take(drawn)
    for part, images in (("training", train), ("test", test_images)):
        empty = set(range(source.n_classes)) - set(images.labels.unique().tolist())
        if empty:
            raise StudyError(
                f"Data set {name!r}: class {source.class_names[min(empty)]!r} has no {part} image, "
                f"so it has no recall. Remove the class, or change the shares and the limit."
            )
    mean, std = source.mean, source.std
    if mean is None or std is None:
        mean, std = channel_statistics(train)
    per_channel = torch.tensor([mean, std], device=device).view(2, 1, -1, 1, 1)
    return Dataset(
        name=name,
        train=train.to(device),
        validation=validation_images.to(device),
        test=test_images.to(device),
        class_names=source.class_names,
        scale=1 / (255 * per_channel[1]),
        shift=-per_channel[0] / per_channel[1],
    )


def _part(images: Images, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return stratified(images.labels, round(share * len(images)), generator)


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, on the scale 0 to 1; a SD of 0 becomes 1."""
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in range(images.shape[0]):
        counts = torch.bincount(images.pixels[:, channel].flatten(), minlength=256).double()
        mean.append(float((counts * values).sum() / counts.sum()))
        variance = float((counts * (values - mean[-1]) ** 2).sum() / counts.sum())
        std.append(variance**0.5 or 1.0)
    return tuple(mean), tuple(std)
