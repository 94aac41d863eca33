"""Which networks can be stacked."""

import copy

import torch
from torch import nn

from runners.stacking.layers import RULES
from runners.stacking.stack import Stack
from runners.stacking.vmapped import VmappedStack


def refusal(net: nn.Module, shape: tuple[int, int, int], vmapped: bool = False) -> str | None:
    """Return why a network for images of `shape` cannot be stacked; None if it can.

    Stacked by rules, or `vmapped`. It is tried out: a stack must return what the network returns.
    """
    unknown = {_name(layer) for layer in net.modules() if not _is_known(layer)}
    if unknown and not vmapped:
        return f"no rule says how to stack {', '.join(sorted(unknown))}"
    if is_hooked(net):
        return "it has hooks"
    pair = [copy.deepcopy(net), copy.deepcopy(net)]
    inputs = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    inputs = inputs.to(next(net.parameters()).device)
    for training in (True, False):
        with torch.no_grad():
            stack = (VmappedStack(pair) if vmapped else Stack(pair)).train(training)
            try:
                together = stack(inputs.repeat(1, 2, 1, 1))
            except (RuntimeError, ValueError, IndexError) as error:
                return f"stacked, it fails: {error}"
            alone = pair[0].train(training)(inputs)
        # both are float32; 1e-3 is far above rounding and far below another architecture
        if together[0].T.shape != alone.shape or not torch.allclose(
            together[0].T, alone, rtol=1e-3, atol=1e-3
        ):
            return "stacked, it returns something else"
    return None


def is_hooked(net: nn.Module) -> bool:
    """Return whether a network has hooks, as for quantized activations, of which no rule knows."""
    return any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.modules())


def _is_known(layer: nn.Module) -> bool:
    if type(layer) not in RULES or is_hooked(layer):
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros"
    if isinstance(layer, nn.BatchNorm2d):
        return layer.momentum is not None
    if isinstance(layer, nn.Flatten):
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return True


def _name(layer: nn.Module) -> str:
    return type(layer).__name__ if type(layer) not in RULES else repr(layer)
