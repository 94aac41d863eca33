"""Encoded images (PNG, JPEG …) to one uint8 tensor."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from distortion.errors import StudyError

GREY, COLOUR = "L", "RGB"  # as Pillow calls them


def decode(
    encoded: Iterable[tuple[str, Path | bytes]], size: tuple[int, int] | None = None
) -> Tensor:
    """Decode images to (n, channels, height, width) uint8; the first one sets shape and channels.

    Parameters
    ----------
    encoded
        At least one pair of a name for errors ("train.parquet, row 7") and the file or its bytes.
    size
        Height and width to resize to; None wants all images to have the same size.

    Raises
    ------
    StudyError
        An image cannot be read, has more than 8 bits, is in colour though the first one is grey,
        or has another size; the image is named.
    """
    arrays: list[np.ndarray] = []
    mode = None
    for name, content in encoded:
        try:
            with Image.open(BytesIO(content) if isinstance(content, bytes) else content) as image:
                found = _channels(image.mode)
                mode = mode or found
                if not found or (mode, found) == (GREY, COLOUR):
                    raise StudyError(
                        f"{name}: the image has mode {image.mode}, which does not fit into 8-bit "
                        f"{'grey like the first image' if found else 'channels'} without loss. "
                        f"Convert the images to one mode, grey or RGB of 8 bits."
                    )
                pixels = image.convert(mode)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise StudyError(
                f"{name}: the image cannot be read ({error}). Repair it or remove it."
            ) from None
        if size is not None:
            pixels = pixels.resize((size[1], size[0]))
        arrays.append(np.asarray(pixels))
        if arrays[-1].shape != arrays[0].shape:
            raise StudyError(
                f"{name}: the image is {arrays[-1].shape[:2]} (height, width), the first one "
                f"{arrays[0].shape[:2]}. Give a common size, for example `size = [32, 32]`."
            )
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked[:, None] if mode == GREY else stacked.permute(0, 3, 1, 2).contiguous()


def _channels(mode: str) -> str | None:
    """Return the mode to convert an image of `mode` to; None where 8 bits would lose data."""
    if mode in ("1", "L", "LA"):
        return GREY
    return None if mode.startswith(("I", "F")) else COLOUR
