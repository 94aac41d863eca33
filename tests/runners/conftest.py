"""Everything here needs torch; without it the folder is not collected."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "data"

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.torch)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_measured():
    """Times vary, so the command does not choose by them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTORTION_BACKEND", "grouped")
        yield


@pytest.fixture(autouse=True)
def denormal_numbers():
    """Put back what workers that run in the test's own process switch off."""
    yield
    import torch

    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def cpu():
    """The CPU with one thread, as in a worker."""
    import torch

    torch.set_num_threads(1)
    return torch.device("cpu")


@pytest.fixture(scope="session")
def digits(cpu):
    """Digits with 160 training, 40 validation and 899 test images."""
    from runners.datasets import DatasetSpec, load

    spec = DatasetSpec("digits", "digits", test_share=0.5, validation_share=0.2, train_limit=200)
    return load(spec, 0, Path(), cpu)


@pytest.fixture
def shared_data():
    """The folder of real image sets beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the real image sets, ../shared/data, are not here")
    return SHARED


@pytest.fixture
def killer(cpu, tmp_path, monkeypatch):
    """Makes a study whose method kills its process for the network of one seed."""
    from tests.runners.killers import SOURCE, first_weight
    from tests.runners.studies import study

    (tmp_path / "killer.py").write_text(SOURCE.replace("KILLED", "nan"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delitem(sys.modules, "killer", raising=False)

    def make(killed, **changes):
        parsed = study(method={"name": "moody"}, plugins=["killer"], **changes)
        [network] = [n for n in parsed.networks if n.seed == killed]
        weight = str(first_weight(network, cpu, monkeypatch))
        (tmp_path / "killer.py").write_text(SOURCE.replace("KILLED", weight))
        return parsed

    return make
