"""What ran where: versions, machine and hashes that go into the provenance beside each shard."""

import hashlib
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

PACKAGES = ("distortion", "torch", "numpy", "polars")


def environment(device: torch.device, plugins: Iterable[str] = ()) -> dict[str, object]:
    """Return versions, device, threads, and hashes of the code of runners and plugins."""
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "code_hash": _hash_files(Path(__file__).parent.rglob("*.py")),
        "plugins": {name: _hash_module(name) for name in plugins},
    }


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def weights_hash(net: nn.Module) -> str:
    """Return a hash of all parameters and buffers of a network, with their names."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def now() -> str:
    """Return the time in UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def later(moment: str, seconds: float) -> str:
    """Return a time some seconds after another; a clock that was set in between changes nothing."""
    passed = timedelta(seconds=round(seconds))
    return (datetime.fromisoformat(moment) + passed).isoformat(timespec="seconds")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def _hash_module(name: str) -> str:
    file = getattr(sys.modules.get(name), "__file__", None)
    return _hash_files([Path(file)]) if file else "no source file"


def _hash_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
