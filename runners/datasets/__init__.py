"""Data sets: loaders by name, and the one function that turns a study's entry into images."""

from collections.abc import Callable
from pathlib import Path

import torch

from runners.datasets.digits import digits
from runners.datasets.folder import folder
from runners.datasets.idx import idx
from runners.datasets.images import Dataset, Images, Source
from runners.datasets.parquet import parquet
from runners.datasets.public import cifar10, cifar100, fashion_mnist, mnist
from runners.datasets.splits import DatasetSpec, split
from runners.registry import Registry

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetSpec",
    "Images",
    "Loader",
    "Source",
    "load",
    "register_dataset",
]

Loader = Callable[..., Source]
DATASETS: Registry[Loader] = Registry("data set", "data sets")


def register_dataset(name: str, load: Loader) -> None:
    """Make a data set known to study files.

    `load(root, **options)` gets the folder of --data-root and returns a `Source`; its
    keyword-only parameters are the options that the study file may set. The first line of its
    docstring describes it in `distortion-run list`.
    """
    DATASETS.add(name, load)


def load(spec: DatasetSpec, split_seed: int, root: Path, device: torch.device) -> Dataset:
    """Load, check and split a data set; `root` is the folder of --data-root.

    Raises
    ------
    StudyError
        The files are missing or damaged, or the images cannot be used or split as asked.
    """
    source = DATASETS[spec.name](root, **spec.options)
    return split(source.check(spec.label), spec, split_seed, device)


register_dataset("digits", digits)
register_dataset("mnist", mnist)
register_dataset("fashion-mnist", fashion_mnist)
register_dataset("cifar10", cifar10)
register_dataset("cifar100", cifar100)
register_dataset("idx", idx)
register_dataset("parquet", parquet)
register_dataset("folder", folder)
