"""MNIST, Fashion-MNIST and CIFAR: read from the data root, or downloaded into it by torchvision.

The means and standard deviations are those of the paper's code (Good et al., 2022).
"""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch

from distortion.errors import StudyError
from runners.datasets.idx import has_files, read_folder
from runners.datasets.images import Images, Source

FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def mnist(root: Path) -> Source:
    """MNIST, 60,000 + 10,000 images of 28x28 (LeCun, Cortes, Burges); downloads."""
    folder = _mnist_folder(root, "MNIST")
    return _normalised(read_folder(folder), (0.1307,), (0.3081,))


def fashion_mnist(root: Path) -> Source:
    """Fashion-MNIST, 60,000 + 10,000 images of 28x28 (Zalando, MIT licence); downloads."""
    folder = _mnist_folder(root, "FashionMNIST")
    return _normalised(read_folder(folder, FASHION), (0.5,), (0.5,))


def cifar10(root: Path) -> Source:
    """CIFAR-10, 50,000 + 10,000 images of 32x32x3 (Krizhevsky 2009); downloads."""
    return _normalised(_cifar(root, "CIFAR10"), (0.491, 0.482, 0.447), (0.247, 0.243, 0.262))


def cifar100(root: Path) -> Source:
    """CIFAR-100, 50,000 + 10,000 images of 32x32x3 (Krizhevsky 2009); downloads."""
    return _normalised(_cifar(root, "CIFAR100"), (0.507, 0.487, 0.441), (0.267, 0.256, 0.276))


def _normalised(source: Source, mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    return Source(source.train, source.test, source.class_names, mean, std)


def _mnist_folder(root: Path, name: str) -> Path:
    """Return the folder of the IDX files, as torchvision lays it out, after a download if needed.

    torchvision wants the files unpacked; packed ones are found and read here, so they are not
    downloaded again.
    """
    folder = root / name / "raw"
    if not has_files(folder):
        _torchvision(name, root)
    return folder


def _cifar(root: Path, name: str) -> Source:
    train, test = _torchvision(name, root)
    parts = [
        Images(
            torch.from_numpy(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))),
            torch.tensor(part.targets),
        )
        for part in (train, test)
    ]
    return Source(parts[0], parts[1], tuple(train.classes))


def _torchvision(name: str, root: Path) -> list:
    """Return torchvision's training and test set of a name, downloaded if they are not there."""
    from torchvision import datasets  # takes a second, and most studies do not need it

    root.mkdir(parents=True, exist_ok=True)
    try:
        return [getattr(datasets, name)(root, train=part, download=True) for part in (True, False)]
    except (URLError, RuntimeError, OSError) as error:
        raise StudyError(
            f"{name} was not found under {root}, and the download failed ({error}). Pass the "
            f"folder that holds it with --data-root, or connect this machine to the network."
        ) from None
