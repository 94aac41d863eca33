"""Where logs lie: in folders, or under the URL of an object store, by way of fsspec.

A URL such as s3://bucket/logs becomes an object with the methods of a Path that logs need.
"""

import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from distortion.errors import LogError


def is_url(name: str) -> bool:
    """Whether a name is a URL rather than a path."""
    return "://" in name


def place(name: str | os.PathLike[str]) -> Path:
    """The folder or file of a name or URL; file:// is a path like any other.

    Raises LogError if the package for this kind of URL is not installed, or there is none.
    """
    text = os.fspath(name)
    if not is_url(text):
        return Path(text)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    try:
        from upath import UPath

        found = UPath(text)
        found.fs  # noqa: B018  only now the package of the store is imported
    except (ImportError, ValueError) as error:
        raise LogError(
            f"{text} cannot be reached: {error}. Object stores need a package of their own beside "
            '`pip install "distortion[storage]"`, for example s3fs for s3:// or gcsfs for gs://.'
        ) from None
    return cast(Path, found)


def readable(path: Path) -> Path | io.BytesIO:
    """What polars can read: the file itself, or the content of an object."""
    return path if isinstance(path, Path) else io.BytesIO(path.read_bytes())


def put(path: Path, content: bytes) -> Path:
    """Write a whole file, so that nobody ever sees a part of it under its name.

    On disk it is written under a name that nobody else uses and renamed when it has reached the
    disk; nothing is left where that fails, on a full disk for example. An object appears whole.
    """
    if not isinstance(path, Path):
        path.write_bytes(content)
        return path
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]
