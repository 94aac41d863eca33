"""One BLAS thread for small factorisations: two on busy cores can be a hundred times slower."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_thread() -> Iterator[None]:
    """Run the block with one BLAS thread."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
