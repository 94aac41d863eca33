"""Networks: factories by name, and building one from a seed."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from distortion.errors import StudyError
from runners.halving import is_out_of_memory
from runners.nets.lenet import lenet, lenet5
from runners.nets.mlp import mlp, mlp_large, mlp_small
from runners.nets.resnet import resnet
from runners.registry import Registry

Factory = Callable[..., nn.Module]
NETWORKS: Registry[Factory] = Registry("network", "networks")


def register_network(name: str, factory: Factory) -> None:
    """Make a network known to study files.

    `factory(shape, n_classes, **options)` gets (channels, height, width) of an image and returns
    a module that maps (n, channels, height, width) to logits (n, n_classes). Its keyword-only
    parameters are the options that the study file may set. The first line of its docstring
    describes it in `distortion-run list`.
    """
    NETWORKS.add(name, factory)


def build(
    name: str,
    options: Mapping[str, object],
    shape: tuple[int, int, int],
    n_classes: int,
    *,
    seed: int,
) -> nn.Module:
    """Return a fresh network; its initial weights depend on `seed` alone.

    Factories draw from torch's global generator, as torch's own layers do, so it is seeded for
    the call and put back afterwards.

    Raises
    ------
    StudyError
        The network does not fit the images, or returns another shape than (n, n_classes).
    """
    factory = NETWORKS[name]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        try:
            net = factory(shape, n_classes, **options)
            logits = net.eval()(torch.zeros(1, *shape))
        except (RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise StudyError(
                f"Network {name!r} cannot take images of {shape} (channels, height, width): {error}"
            ) from None
    if logits.shape != (1, n_classes):
        raise StudyError(
            f"Network {name!r} returns {tuple(logits.shape)} for one image; it must return logits "
            f"of (1, {n_classes})."
        )
    return net.to(memory_format=torch.channels_last)


register_network("mlp", mlp)
register_network("mlp-small", mlp_small)
register_network("mlp-large", mlp_large)
register_network("lenet", lenet)
register_network("lenet5", lenet5)
for _depth in (20, 32, 44, 56, 110):
    register_network(f"resnet{_depth}", resnet(_depth))
