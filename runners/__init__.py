"""Programs that train, prune and count networks, and write the log that `distortion` reads.

Your own networks, methods and data sets are registered in a module that the study file names
under `plugins` (or `distortion-run run ... --plugin my_module`):

    import runners

    runners.register_network("my-net", lambda shape, n_classes: MyNet(shape[0], n_classes))
    runners.register_method("squares", lambda weights: weights.theta**2)
    runners.register_dataset("mine", load_mine)     # load_mine(root) returns a runners.Source
"""

from runners.datasets import Images, Source, register_dataset
from runners.masks import largest, two_sided
from runners.methods import Weights, register_method
from runners.nets import register_network
from runners.nets.classifier import mark_classifier

__all__ = [
    "Images",
    "Source",
    "Weights",
    "largest",
    "mark_classifier",
    "register_dataset",
    "register_method",
    "register_network",
    "two_sided",
]
