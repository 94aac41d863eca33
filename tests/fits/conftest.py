"""All tests of fits run with one BLAS thread: two on busy cores are a hundred times slower."""

import pytest

from distortion.fits.mixed.threads import single_thread


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    with single_thread():
        yield
