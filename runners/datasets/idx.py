"""IDX files, plain or gzipped: the format of MNIST and its relatives.

Layout: two zero bytes, a type byte (8: uint8), the number of dimensions, one big-endian int32 per
dimension, then the values (LeCun, Cortes and Burges, the MNIST page).
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from distortion.errors import StudyError
from runners.datasets.images import Images, Source

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx(root: Path, *, path: str, classes: tuple[str, ...] | None = None) -> Source:
    """Folder of the four IDX files of an MNIST-like set, plain or .gz (`path`)."""
    return read_folder(root / path, classes)


def read_folder(folder: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read the four files of a folder; `classes` default to the labels themselves.

    Raises
    ------
    StudyError
        A file is missing, unreadable or not of the same length as its partner.
    """
    parts = {part: _read_pair(folder, *names) for part, names in FILES.items()}
    top = int(parts["train"].labels.max())
    return Source(parts["train"], parts["test"], classes or tuple(map(str, range(top + 1))))


def has_files(folder: Path) -> bool:
    """Whether the folder holds all four files."""
    return all(_find(folder, name) is not None for pair in FILES.values() for name in pair)


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in one IDX file; raise StudyError where it is none."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{path} cannot be read: {error}. Fetch the file again.") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise StudyError(f"{path} is not an IDX file of unsigned bytes: it starts {content[:4]!r}.")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start].ljust(start - 4, b"\0"), dtype=">i4")
    values = np.frombuffer(content[start:], dtype=np.uint8)
    if len(values) != shape.prod() or not len(values):
        raise StudyError(
            f"{path} is truncated: its header promises {shape.prod()} values, it holds "
            f"{len(values)}. Fetch the file again."
        )
    return values.reshape(shape)


def _read_pair(folder: Path, images_name: str, labels_name: str) -> Images:
    images_path, labels_path = _find(folder, images_name), _find(folder, labels_name)
    if images_path is None or labels_path is None:
        missing = images_name if images_path is None else labels_name
        raise StudyError(
            f"{folder} holds no file {missing!r}, plain or .gz. Give the folder that holds it, "
            f"relative to --data-root."
        )
    pixels, labels = read_idx(images_path), read_idx(labels_path)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise StudyError(
            f"{images_path} has shape {pixels.shape} and {labels_path.name} {labels.shape}: "
            f"expected (n, height, width) and (n,)."
        )
    return Images(torch.from_numpy(pixels.copy())[:, None], torch.from_numpy(labels.copy()).long())


def _find(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)
