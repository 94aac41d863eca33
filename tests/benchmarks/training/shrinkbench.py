"""ShrinkBench's own experiments (Blalock et al. 2020), in a checkout that the user gives.

Its `TrainingExperiment` trains dense and control networks, its `PruningExperiment` with
`GlobalMagWeight` prunes and fine-tunes: its data loaders, loops, logs and checkpoints as they
are. It evaluates the test images after every epoch (and once before fine-tuning); the time of
its training epochs alone is reported too. What is put in from outside, and why:

network, images   its models and data sets are looked up by name in its modules; MNIST goes
                  through its own constructor and torchvision's data set, whose images are set to
                  those of the case instead of being read from files; digits are a TensorDataset
`shrinkbench`     its checkout has no `__init__.py`, and must be called so to be imported
folder            it writes `results/` where it is started
"""

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import datasets as torchvision_datasets

from runners.datasets import Dataset, Images
from runners.nets.classifier import find_classifier
from runners.study import NetworkSpec
from tests.benchmarks.training.work import Done, Job, all_by_one


class Held(torchvision_datasets.MNIST):
    """Torchvision's MNIST with images that are in memory already."""

    parts: tuple[Images, Images]

    def __init__(self, root: Path, train: bool = True, transform: Any = None) -> None:
        torchvision_datasets.VisionDataset.__init__(self, str(root), transform=transform)
        images = self.parts[0 if train else 1]
        self.data, self.targets = images.pixels[:, 0], images.labels


class ShrinkBench:
    """Its experiments on the images of one case."""

    def __init__(self, spec: NetworkSpec, data: Dataset, workers: int) -> None:
        self.spec = spec
        self.loaders = {"batch_size": spec.recipe.batch_size, "num_workers": workers}
        self.datasets = import_module("shrinkbench.datasets")
        self.models = import_module("shrinkbench.models")
        self.experiments = import_module("shrinkbench.experiment")
        self.name = "MNIST" if data.name == "mnist" else "Held"
        if self.name == "MNIST":
            Held.parts = data.train, data.test
            constructors = import_module("shrinkbench.datasets.datasets")._constructors
            constructors["MNIST"] = Held
        else:
            self.datasets.Held = lambda train: _tensors(data, data.train if train else data.test)

    def training(self, net: nn.Module, phase: str) -> Job:
        return self._job(self.experiments.TrainingExperiment, net, phase)

    def pruning(self, net: nn.Module, ratio: float) -> Job:
        find_classifier(net).is_classifier = True  # type: ignore[assignment]
        strategy = {"strategy": "GlobalMagWeight", "compression": ratio}
        return self._job(self.experiments.PruningExperiment, net, "finetune", **strategy)

    def classes(self, net: nn.Module) -> torch.Tensor:
        net.eval()
        with torch.no_grad():
            return torch.cat([net(inputs).argmax(1) for inputs, _ in self.val_dl])

    def _job(self, kind: type, net: nn.Module, phase: str, **more: Any) -> Job:
        recipe = self.spec.recipe
        [(epochs, rate, *_)] = getattr(recipe, phase)
        self.models.held_network = lambda pretrained: net
        settings = {"optim": "SGD", "epochs": epochs, "lr": rate}
        settings |= {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
        experiment = kind(
            self.name,
            "held_network",
            seed=self.spec.seed,
            dl_kwargs=self.loaders,
            train_kwargs=settings | {"weight_decay": recipe.weight_decay},
            **more,
        )
        self.val_dl = experiment.val_dl
        return Job(experiment.model, partial(_run, experiment))


def _tensors(data: Dataset, images: Images) -> TensorDataset:
    return TensorDataset(data.normalised(images.pixels).contiguous(), images.labels)


def _run(experiment: Any) -> float:
    seconds = [0.0]
    train = experiment.train

    def timed(epoch: int) -> Any:
        start = time.perf_counter()
        returned = train(epoch)
        seconds[0] += time.perf_counter() - start
        return returned

    experiment.train = timed
    experiment.run()
    return seconds[0]


def run(specs: Iterable[NetworkSpec], data: Dataset, checkout: Path, workers: int) -> Done:
    """Compute networks of one shape."""
    package = ModuleType("shrinkbench")
    package.__path__ = [str(checkout.resolve())]
    sys.modules.setdefault("shrinkbench", package)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("MNIST").mkdir()
        os.environ["DATAPATH"] = folder
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return all_by_one(lambda spec: ShrinkBench(spec, data, workers), specs, data)
