"""How many networks fit into memory at once: an estimate, to start from."""

import copy
import os

import torch
from torch import Tensor, nn

SHARE = 0.7  # of the free memory; the rest is for what the estimate does not see
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
    net = copy.deepcopy(net).to("meta")
    numbers = [PER_WEIGHT * sum(parameter.numel() for parameter in net.parameters())]

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        numbers.append(PER_OUTPUT * output.numel())
        if isinstance(layer, nn.Conv2d):
            patch = layer.weight[0].numel()
            numbers.append(output.numel() // layer.out_channels * patch)

    for layer in net.modules():
        if not list(layer.children()):
            layer.register_forward_hook(add)
    net(torch.empty(batch, *shape, device="meta"))
    return 4 * sum(numbers)


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 4 * 2**30
