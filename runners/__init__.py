"""Programs that train, prune and count networks, and write the log that `distortion` reads.

Your own networks, methods and data sets are registered in a module that the study file names
under `plugins` (or `distortion-run run ... --plugin my_module`):

    import runners

    runners.register_network("my-net", lambda shape, n_classes: MyNet(shape[0], n_classes))
    runners.register_method("squares", lambda weights: weights.theta**2)
    runners.register_dataset("mine", load_mine)     # load_mine(root) returns a runners.Source
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runners.checkpoints import load_checkpoint
    from runners.datasets import Images, Source, register_dataset
    from runners.masks import largest, two_sided
    from runners.methods import Method, Weights, register_method
    from runners.methods.method import Compressed
    from runners.nets import register_network
    from runners.nets.classifier import mark_classifier
    from runners.replicas import Training

__all__ = [
    "Compressed",
    "Images",
    "Method",
    "Source",
    "Training",
    "Weights",
    "largest",
    "load_checkpoint",
    "mark_classifier",
    "register_dataset",
    "register_method",
    "register_network",
    "two_sided",
]

# Loaded when first used, so that `distortion-run` can say what to install where torch is absent.
_MODULES = {
    "Images": "datasets",
    "Source": "datasets",
    "register_dataset": "datasets",
    "load_checkpoint": "checkpoints",
    "largest": "masks",
    "two_sided": "masks",
    "Compressed": "methods.method",
    "Training": "replicas",
    "Method": "methods",
    "Weights": "methods",
    "register_method": "methods",
    "register_network": "nets",
    "mark_classifier": "nets.classifier",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'runners' has no attribute {name!r}")
    return getattr(import_module(f"runners.{_MODULES[name]}"), name)
