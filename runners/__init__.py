"""Programs that train, prune and count networks, and write the log that `distortion` reads."""

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
