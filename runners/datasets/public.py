"""MNIST, Fashion-MNIST and CIFAR: read from the data root, or downloaded into it.

The means and standard deviations are those of the paper's code (Good et al., 2022).
"""

from pathlib import Path
from urllib.error import URLError

from distortion.errors import StudyError
from runners.datasets.cifar import read_cifar
from runners.datasets.idx import has_files, read_folder
from runners.datasets.images import Source

CIFAR = "https://www.cs.toronto.edu/~kriz"

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
    train = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    files = train, "test_batch.bin", "batches.meta.txt"
    folder = _cifar_folder(root, "cifar-10", "batches-bin", "c32a1d4ab5d03f1284b67883e8d87530")
    source = read_cifar(folder, *files, label_bytes=1)
    return _normalised(source, (0.491, 0.482, 0.447), (0.247, 0.243, 0.262))


def cifar100(root: Path) -> Source:
    """CIFAR-100, 50,000 + 10,000 images of 32x32x3 (Krizhevsky 2009); downloads."""
    files = ("train.bin",), "test.bin", "fine_label_names.txt"
    folder = _cifar_folder(root, "cifar-100", "binary", "03b5dce01913d631647c71ecec9e9cb8")
    source = read_cifar(folder, *files, label_bytes=2)
    return _normalised(source, (0.507, 0.487, 0.441), (0.267, 0.256, 0.276))


def _mnist_folder(root: Path, name: str) -> Path:
    """Return the folder of the IDX files, after a download if needed."""
    folder = root / name / "raw"
    if not has_files(folder):
        from torchvision import datasets  # takes a second, and most studies do not need it

        known = getattr(datasets, name)
        for file, md5 in known.resources:  # read as they are, packed
            _download(name, [mirror + file for mirror in known.mirrors], folder, md5)
    return folder


def _cifar_folder(root: Path, name: str, version: str, md5: str) -> Path:
    """Return the folder of the binary version, after a download if needed."""
    folder, archive = root / f"{name}-{version}", f"{name}-binary.tar.gz"
    if not folder.is_dir():
        from torchvision.datasets.utils import extract_archive

        _download(f"{name}, binary version,", [f"{CIFAR}/{archive}"], root, md5)
        extract_archive(str(root / archive), str(root))
    return folder


def _download(name: str, urls: list[str], folder: Path, md5: str) -> None:
    """Download a file from the first address that has it.

    Raises
    ------
    StudyError
        None has it, or its checksum is another.
    """
    from torchvision.datasets.utils import download_url

    problem: Exception | None = None
    for url in urls:
        try:
            return download_url(url, str(folder), md5=md5)
        except (URLError, RuntimeError, OSError) as error:
            problem = error
    raise StudyError(
        f"{name} was not found in {folder}, and the download failed ({problem}). Pass the folder "
        f"that holds it with --data-root, or connect this machine to the network. (CIFAR is read "
        f"from its binary version: the one for Python must be unpickled, which can run any code.)"
    ) from problem


def _normalised(source: Source, mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    return Source(source.train, source.test, source.class_names, mean, std)
