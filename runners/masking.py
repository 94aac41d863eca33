"""Replicas of networks with nothing, some weights or whole channels removed."""

import torch
from torch import Tensor, nn

from runners.masks import prunable_tensors, unflatten
from runners.replicas import Replica
from runners.seeds import Streams


def whole(net: nn.Module, streams: Streams) -> Replica:
    """Return a network of which nothing is pruned."""
    return Replica(net, tuple(torch.ones_like(tensor) for tensor in prunable_tensors(net)), streams)


def pruned(net: nn.Module, mask: Tensor, streams: Streams) -> Replica:
    """Set the prunable weights of a network to zero where a flat mask (p,) is false."""
    tensors = prunable_tensors(net)
    masks = tuple(
        as_factor(piece, tensor)
        for piece, tensor in zip(unflatten(mask, tensors), tensors, strict=True)
    )
    return apply(Replica(net, masks, streams))


def apply(replica: Replica) -> Replica:
    """Set to zero what a replica's masks remove, and return it."""
    with torch.no_grad():
        for tensor, mask in replica.masked():
            tensor.mul_(mask)
    return replica


def as_factor(mask: Tensor, tensor: Tensor) -> Tensor:
    """Return a mask as 0/1 factors in the type and memory layout of a tensor."""
    return torch.empty_like(tensor).copy_(mask)
