"""A folder of images, one sub-folder per class."""

from pathlib import Path

import torch
from PIL import Image

from distortion.errors import StudyError
from runners.datasets.decode import decode
from runners.datasets.images import Images, Source


def folder(
    root: Path,
    *,
    path: str,
    size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Source:
    """Image folder: train/CLASS/* and test/CLASS/*, or CLASS/* split by the study (`path`)."""
    top = root / path
    if not top.is_dir():
        raise StudyError(
            f"{top} is not a folder. Paths are relative to --data-root, the folder of data sets."
        )
    split = (top / "train").is_dir() and (top / "test").is_dir()
    parts = [top / "train", top / "test"] if split else [top]
    names = [_class_folders(part) for part in parts]
    if names[0] != names[-1]:
        raise StudyError(
            f"{top}: the classes of train and test differ: "
            f"{sorted(set(names[0]) ^ set(names[-1]))} is in one of them only."
        )
    images = [_read(part, names[0], size) for part in parts]
    return Source(images[0], images[1] if split else None, names[0], mean, std)


def _class_folders(part: Path) -> tuple[str, ...]:
    names = sorted(p.name for p in part.iterdir() if p.is_dir() and p.name[0] != ".")
    if not names:
        raise StudyError(f"{part} has no sub-folders: one per class is expected.")
    return tuple(names)


def _read(part: Path, names: tuple[str, ...], size: tuple[int, int] | None) -> Images:
    endings = Image.registered_extensions()
    files, labels = [], []
    for label, name in enumerate(names):
        found = sorted(p for p in (part / name).rglob("*") if p.suffix.lower() in endings)
        if not found:
            raise StudyError(f"{part / name} holds no image files. Remove the folder or fill it.")
        files += found
        labels += [label] * len(found)
    return Images(decode(((str(p), p) for p in files), size), torch.tensor(labels))
