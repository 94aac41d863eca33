"""Small image sets on disk, for the tests of the loaders."""

import gzip
import io
import struct

import numpy as np
import polars as pl
from PIL import Image

from runners.datasets import DatasetSpec, load

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 6, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder, pixels=PIXELS, labels=LABELS, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            content = idx_bytes(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_table(path, images=None, labels=LABELS, metadata=None):
    images = [png(p) for p in PIXELS] if images is None else images
    table = pl.DataFrame({"image": images, "label": pl.Series(labels)})
    table.write_parquet(path, metadata=metadata or {})
    return path.name


def write_folder(top, names=("cat", "dog"), pixels=PIXELS):
    for i, p in enumerate(pixels):
        path = top / names[i % len(names)] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(p))


def read(name, root, cpu, *, test_share=None, **options):
    spec = DatasetSpec(name, name, test_share=test_share, validation_share=0.0, options=options)
    return load(spec, 0, root, cpu)
