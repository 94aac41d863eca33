"""The binary version of CIFAR: records of label bytes and pixels, nothing that must be unpickled.

A record is the label (CIFAR-100: the coarse one, then the fine one), then 3,072 bytes: the red,
green and blue plane of 32 x 32, row by row (Krizhevsky, the CIFAR page).
"""

from pathlib import Path

import numpy as np
import torch

from distortion.errors import StudyError
from runners.datasets.images import Images, Source

PIXELS = 3 * 32 * 32


def read_cifar(
    folder: Path, train: tuple[str, ...], test: str, names: str, label_bytes: int
) -> Source:
    """Read the training files, the test file and the class names of a folder.

    Raises
    ------
    StudyError
        A file cannot be read, or does not hold whole records.
    """
    parts = [_read(folder / name, label_bytes) for name in train]
    images = Images(
        torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts])
    )
    try:
        classes = (folder / names).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{folder / names} cannot be read: {error}.") from None
    return Source(images, _read(folder / test, label_bytes), tuple(classes))


def _read(path: Path, label_bytes: int) -> Images:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error}. Fetch the file again.") from None
    size = label_bytes + PIXELS
    if not len(content) or len(content) % size:
        raise StudyError(
            f"{path} is truncated: it holds {len(content):,} bytes, which are not whole records of "
            f"{size:,}. Fetch the file again."
        )
    records = content.reshape(-1, size)
    pixels = np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, 3, 32, 32)
    labels = records[:, label_bytes - 1].astype(np.int64)
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))
