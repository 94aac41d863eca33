"""Random streams: one generator per network and purpose.

The seed of a stream is a SHA-256 of its key, for example (study seed, "order", "magnitude", 10.0).
Streams therefore do not depend on which networks or cells run, in what order, or how many at a
time, and no stream is a shifted copy of another.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Key = str | int | float


def derived_seed(*key: Key) -> int:
    """Return a seed in [0, 2^63) that depends on every part of `key` and on nothing else."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(*key: Key) -> torch.Generator:
    """Return a CPU generator for `key`; random numbers are drawn on the CPU on every device."""
    return torch.Generator().manual_seed(derived_seed(*key))


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one network, or of one of its cells.

    Purposes in use: weights (initial weights), order (of the training images), augmentation,
    gradient (images on which gradients are taken), scores (random pruning), noise (layers that
    draw at random, such as dropout).
    """

    key: tuple[Key, ...]

    def seed(self, purpose: str) -> int:
        """Return the seed of a purpose, for code that wants an integer."""
        return derived_seed(*self.key, purpose)

    def generator(self, purpose: str) -> torch.Generator:
        """Return a fresh generator at the start of the stream of a purpose."""
        return stream(*self.key, purpose)

    @contextmanager
    def seeded(self, purpose: str) -> Iterator[None]:
        """Seed torch's global generators inside the block, for layers that draw from them.

        Dropout is one; no network that ships needs it. Outside, the generators are as before.
        """
        # by default it would wake every GPU of the machine, in each worker
        in_use = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices=in_use):
            torch.manual_seed(self.seed(purpose))
            yield

    def child(self, *key: Key) -> "Streams":
        """Return the streams of a part of this network, for example of one cell."""
        return Streams((*self.key, *key))
