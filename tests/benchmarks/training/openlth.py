"""OpenLTH's own training (Frankle et al. 2020), in a checkout that the user gives.

`train.standard_train` with its callbacks trains, its `sparse_global` strategy prunes, its
`PrunedModel` keeps the zeros. It evaluates the test images and saves a checkpoint at every
epoch; the time between those callbacks is reported too. Its lottery runner is not used: it
rewinds and prunes step by step, which is other work. What is put in from outside, and why:

network         `base.Model` wants names of prunable and output tensors
images          its data sets are looked up by name; its MNIST gets the images of the case instead
                of reading files, digits are its `base.Dataset`
`numpy.product`  went with NumPy 2; its learning rates use it
`DistributedDataParallel`  its class can no longer be mixed with theirs; it is not used here
folder          its platform writes below the home folder
"""

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from runners.datasets import Dataset
from runners.masks import size_of
from runners.nets.classifier import find_classifier
from runners.study import NetworkSpec
from tests.benchmarks.training.work import Done, Job, all_by_one


def held_model(net: nn.Module) -> Any:
    """A network as OpenLTH wants it."""
    base = import_module("models.base")
    last = next(name for name, module in net.named_modules() if module is find_classifier(net))

    class Held(base.Model):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.criterion = net, nn.CrossEntropyLoss()
            self.output_layer_names = [f"net.{last}.weight", f"net.{last}.bias"]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        loss_criterion = property(lambda self: self.criterion)
        output_layer_names = None
        is_valid_model_name = get_model_from_name = default_hparams = staticmethod(lambda: None)

    return Held()


def hold_images(data: Dataset) -> None:
    """Make the images of the case known to OpenLTH by the name `held`."""
    kind = import_module("datasets.mnist").Dataset
    base = import_module("datasets.base")
    is_mnist = data.name == "mnist"

    class Held(kind if is_mnist else base.Dataset):
        num_train_examples = staticmethod(lambda: len(data.train))
        num_test_examples = staticmethod(lambda: len(data.test))
        num_classes = staticmethod(lambda: data.n_classes)
        get_train_set = staticmethod(lambda use_augmentation: held(data.train))
        get_test_set = staticmethod(lambda: held(data.test))

    def held(images: Any) -> Held:
        pixels = images.pixels[:, 0] if is_mnist else data.normalised(images.pixels).contiguous()
        return Held(pixels, images.labels)

    module = SimpleNamespace(Dataset=Held, DataLoader=base.DataLoader)
    import_module("datasets.registry").registered_datasets["held"] = module


class OpenLTH:
    """Its training and pruning on the images of one case."""

    def __init__(self, spec: NetworkSpec, folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self.hparams = import_module("foundations.hparams")
        self.images = self.hparams.DatasetHparams("held", spec.recipe.batch_size)

    def training(self, net: nn.Module, phase: str) -> Job:
        return self._job(held_model(net), net, phase)

    def pruning(self, net: nn.Module, ratio: float) -> Job:
        pruning = import_module("pruning.sparse_global")
        model = held_model(net)
        size = size_of(net)
        masked = sum(model.state_dict()[name].numel() for name in model.prunable_layer_names)
        share = (size.prunable - size.keep(ratio)) / masked
        settings = pruning.PruningHparams(
            pruning_strategy="sparse_global",
            pruning_fraction=share,
            pruning_layers_to_ignore=model.output_layer_names[0],
        )
        mask = pruning.Strategy.prune(settings, model)
        pruned = import_module("pruning.pruned_model").PrunedModel(model, mask)
        return self._job(pruned, net, "finetune")

    def classes(self, net: nn.Module) -> torch.Tensor:
        net.eval()
        loader = import_module("datasets.registry").get(self.images, train=False)
        with torch.no_grad():
            return torch.cat([net(inputs).argmax(1) for inputs, _ in loader])

    def _job(self, model: Any, net: nn.Module, phase: str) -> Job:
        return Job(net, partial(self._train, model, phase))

    def _train(self, model: Any, phase: str) -> float:
        recipe = self.spec.recipe
        [(epochs, rate, *_)] = getattr(recipe, phase)
        settings = self.hparams.TrainingHparams(
            "sgd",
            rate,
            f"{epochs}ep",
            nesterov_momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        train = import_module("training.train")
        idle = [0.0]
        plain = train.standard_callbacks.standard_callbacks

        def timed(callback: Callable[..., None]) -> Callable[..., None]:
            def call(*given: Any) -> None:
                begun = time.perf_counter()
                callback(*given)
                idle[0] += time.perf_counter() - begun

            return call

        def callbacks(*given: Any, **more: Any) -> list[Callable[..., None]]:
            return [timed(callback) for callback in plain(*given, **more)]

        train.standard_callbacks.standard_callbacks = callbacks
        try:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                start = time.perf_counter()
                train.standard_train(model, folder, self.images, settings)
                return time.perf_counter() - start - idle[0]
        finally:
            train.standard_callbacks.standard_callbacks = plain


def run(specs: Iterable[NetworkSpec], data: Dataset, checkout: Path, workers: int) -> Done:
    """Compute networks of one shape."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    vars(np)["product"] = np.prod
    with patch.object(nn.parallel, "DistributedDataParallel", nn.DataParallel):
        import_module("cli.runner_registry")  # as its command does: other orders are circular
    platform = import_module("platforms.platform")
    platform._PLATFORM = import_module("platforms.local").Platform(num_workers=workers)
    hold_images(data)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        return all_by_one(lambda spec: OpenLTH(spec, Path(folder)), specs, data)
