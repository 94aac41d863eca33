"""How many networks fit into memory at once: an estimate, to start from."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

SHARE = 0.7  # of the free memory; the rest is for what the estimate does not see
UNKNOWN = 4 * 2**30
GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
PER_WEIGHT = 6  # weight, gradient, two moments of Adam, mask, best state
PER_OUTPUT = 3  # the output of a layer, its gradient, and what is kept for the way back


def stack_limit(
    net: nn.Module, shape: tuple[int, int, int], batch: int, device: torch.device, jobs: int
) -> int:
    """Return how many networks one of `jobs` workers can train at once, at least 1."""
    return max(1, int(SHARE * free_memory(device) / jobs / bytes_per_network(net, shape, batch)))


def bytes_per_network(net: nn.Module, shape: tuple[int, int, int], batch: int) -> int:
    """Return the estimated memory of a network in training, in bytes.

    A convolution counts its patches too: the way with matrix products gathers them.
    """
    net = copy.deepcopy(net).eval()
    outputs = [0.0]

    def add(layer: nn.Module, _: object, output: object) -> None:
        tensors = output if isinstance(output, list | tuple) else [output]
        n = sum(tensor.numel() for tensor in tensors if isinstance(tensor, Tensor))
        outputs.append(PER_OUTPUT * n)
        if isinstance(layer, nn.Conv2d):
            outputs.append(n / layer.out_channels * layer.weight[0].numel())

    for layer in net.modules():
        if not list(layer.children()):
            layer.register_forward_hook(add)
    weights = list(net.parameters())
    with torch.no_grad():
        net(torch.zeros(1, *shape, device=weights[0].device, dtype=weights[0].dtype))
    return int(4 * (PER_WEIGHT * sum(weight.numel() for weight in weights) + batch * sum(outputs)))


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = [_available(), *(most - used for most, used in _limits())]
    return max(0, min(found))


def _available() -> int:
    """Return the memory that programs can have, what only caches files included."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        [line] = [line for line in lines if line.startswith("MemAvailable:")]
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):  # not on macOS and Windows
        return UNKNOWN


def _limits() -> Iterator[tuple[int, int]]:
    """Yield limits that a container sets, and what is used of them."""
    for folder, most, used in GROUPS:
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            yield int(Path(folder, most).read_text()), int(Path(folder, used).read_text())
