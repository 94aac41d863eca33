"""A Parquet table of encoded images with a label column, the layout in which hubs share sets.

The image column holds bytes, or a struct with a field `bytes` (Hugging Face). Class names come
from the option `classes`, the file's metadata key `classes` (comma-separated), or the label
feature of Hugging Face's metadata; failing these, the labels are their own names.
"""

import json
from pathlib import Path

import polars as pl
import torch

from distortion.errors import StudyError, did_you_mean
from runners.datasets.decode import decode
from runners.datasets.images import Images, Source


def parquet(
    root: Path,
    *,
    train: str,
    test: str | None = None,
    image_column: str = "image",
    label_column: str = "label",
    classes: tuple[str, ...] | None = None,
    size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Source:
    """Parquet table(s) of encoded images with a label column (`train`, `test`)."""
    paths = [root / name for name in (train, test) if name is not None]
    parts = [_read(path, image_column, label_column, size) for path in paths]
    names = classes or _class_names(paths[0], label_column)
    if names is None:
        names = tuple(map(str, range(int(parts[0].labels.max()) + 1)))
    return Source(parts[0], parts[1] if test is not None else None, names, mean, std)


def _read(path: Path, image: str, label: str, size: tuple[int, int] | None) -> Images:
    if not path.is_file():
        raise StudyError(
            f"{path} does not exist. Paths are relative to --data-root, the folder of data sets."
        )
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StudyError(f"{path} is not a readable Parquet file: {error}") from None
    if table.is_empty():
        raise StudyError(f"{path} has no rows.")
    for column in (image, label):
        if column not in table.columns:
            raise StudyError(
                f"{path} has no column {column!r}. {did_you_mean(column, table.columns)} "
                f"The keys `image_column` and `label_column` name the columns."
            )
    labels = table[label]
    if not labels.dtype.is_integer() or labels.has_nulls():
        raise StudyError(
            f"{path}, column {label!r}: labels must be whole numbers from 0 without gaps in the "
            f"rows; they are {labels.dtype} with {labels.null_count()} missing."
        )
    content = table[image]
    if isinstance(content.dtype, pl.Struct):
        content = content.struct.field("bytes")
    if content.dtype != pl.Binary or content.has_nulls():
        raise StudyError(
            f"{path}, column {image!r}: expected the bytes of an encoded image in every row, "
            f"found {content.dtype} with {content.null_count()} missing."
        )
    named = ((f"{path}, row {row}", value) for row, value in enumerate(content))
    return Images(decode(named, size), torch.from_numpy(labels.to_numpy().astype("int64")))


def _class_names(path: Path, label: str) -> tuple[str, ...] | None:
    metadata = pl.read_parquet_metadata(path)
    if "classes" in metadata:
        return tuple(name.strip() for name in metadata["classes"].split(","))
    features = json.loads(metadata.get("huggingface", "{}")).get("info", {}).get("features", {})
    names = features.get(label, {}).get("names")
    return tuple(names) if names else None
