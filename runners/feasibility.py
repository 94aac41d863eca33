"""Whether a study can be run at all: its data, networks and ratios, before hours are spent."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from distortion.errors import StudyError
from runners.datasets import Dataset, load
from runners.groups import Shape, shape_of
from runners.methods import METHODS
from runners.nets import build
from runners.study import NetworkSpec

Checked = dict[Shape, tuple[Dataset, nn.Module]]


def check_feasible(networks: Sequence[NetworkSpec], data_root: Path) -> Checked:
    """Load every data set and build a network of every shape; return both by shape.

    Raises StudyError where something cannot be used, before hours are spent.
    """
    cpu = torch.device("cpu")
    datasets: dict[str, Dataset] = {}
    checked: Checked = {}
    for network in networks:
        shape = shape_of(network)
        if shape in checked:
            continue
        if shape[0] not in datasets:
            datasets[shape[0]] = load(network.dataset, network.split_seed, data_root, cpu)
        data, model = datasets[shape[0]], network.model
        _check_validation(network, data)
        net = build(model.name, model.options, data.train.shape, data.n_classes, seed=0)
        for spec in network.methods:
            try:
                METHODS[spec.name].check(net, spec, network.ratios, network.recipe)
            except StudyError as error:
                raise StudyError(f"{shape[1]} on {shape[0]}: {error}") from None
        checked[shape] = data, net
    return checked


def _check_validation(network: NetworkSpec, data: Dataset) -> None:
    """Raise StudyError when the study needs validation images that the split does not give."""
    label = network.dataset.label
    if network.recipe.checkpoint == "best-validation" and len(data.validation) == 0:
        raise StudyError(
            f"Data set {label!r}: the checkpoint is to be chosen on validation images, but the "
            f"split leaves none. Raise its validation_share or train_limit."
        )
    if "validation" in network.count:
        counted = data.validation.labels.bincount(minlength=data.n_classes)
        missing = [name for name, n in zip(data.class_names, counted, strict=True) if n == 0]
        if missing:
            raise StudyError(
                f"Data set {label!r}: validation images are to be counted, but the split leaves "
                f"none of {len(missing)} classes, for example {missing[0]!r}. Raise its "
                f"validation_share or train_limit, or count the test images only."
            )
