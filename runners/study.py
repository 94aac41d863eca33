"""A study: data sets x models x recipes x seeds, each network pruned by methods x ratios.

A `NetworkSpec` is everything that affects the counts of one network. Its run id is a hash of that
configuration, so finished work is recognised, and adding seeds to a study keeps the old ids.
"""

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from distortion.escape import safe_name
from runners.datasets import DatasetSpec
from runners.methods import METHODS
from runners.methods.method import MethodSpec
from runners.recipe import Recipe, n_epochs
from runners.seeds import Streams

# Goes up when a change of code or defaults changes the counts of an unchanged study file.
RESULTS_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network: registered name, name in the log, options of its factory."""

    name: str
    label: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network of a study, with all that is done to it."""

    study: str
    dataset: DatasetSpec
    model: ModelSpec
    recipe: Recipe
    seed: int
    split_seed: int
    ratios: tuple[float, ...]
    methods: tuple[MethodSpec, ...]
    count: tuple[str, ...]
    predictions: bool = False

    def __str__(self) -> str:
        recipe = f" {self.recipe.name}" if self.recipe.name else ""
        return f"{self.dataset.label} {self.model.label}{recipe} seed {self.seed}"

    @property
    def key(self) -> dict[str, str | int]:
        """The columns of the log that identify the network."""
        return {
            "study": self.study,
            "dataset": self.dataset.label,
            "model": self.model.label,
            "recipe": self.recipe.name,
            "seed": self.seed,
        }

    @property
    def configuration(self) -> dict:
        """All that affects the counts, as plain JSON data."""
        return json.loads(json.dumps(asdict(self)))  # tuples become lists, as when read back

    @property
    def run_id(self) -> str:
        """Hash of the configuration, 16 hexadecimal digits.

        Values that equal their default are left out, so that a key which a later version adds,
        with a default that changes nothing, keeps the ids of finished work.
        """
        canonical = json.dumps([RESULTS_VERSION, without_defaults(self)], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def streams(self) -> Streams:
        """The random streams of this network."""
        return Streams((self.seed, self.dataset.label, self.model.label, self.recipe.name))

    @property
    def n_cells(self) -> int:
        """Cells of this network: dense, control, and those of every method, ratio and arm."""
        return 2 + sum(
            len(METHODS[spec.name].ratios(spec, self.ratios)) * len(METHODS[spec.name].arms)
            for spec in self.methods
        )

    @property
    def n_epochs(self) -> int:
        """Epochs of training and fine-tuning over all cells."""
        own = n_epochs(self.recipe.dense) + n_epochs(self.recipe.finetune)
        return own + sum(
            METHODS[spec.name].n_epochs(spec, self.ratios, self.recipe) for spec in self.methods
        )

    def folder(self, out: Path) -> Path:
        """Return the folder of this network's shard below the folder of all logs."""
        names = (self.study, self.dataset.label, self.model.label)
        return out.joinpath(*map(safe_name, names))


@dataclass(frozen=True, slots=True)
class Study:
    """A whole sweep, as read from a study file."""

    name: str
    seeds: tuple[int, ...]
    ratios: tuple[float, ...]
    datasets: tuple[DatasetSpec, ...]
    models: tuple[ModelSpec, ...]
    methods: tuple[MethodSpec, ...]
    recipes: tuple[Recipe, ...]
    split_seed: int = 0
    count: tuple[Literal["test", "validation"], ...] = ("test",)
    predictions: bool = False
    plugins: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """All networks, the seed varying slowest, so that a study cut short is balanced."""
        return tuple(
            NetworkSpec(
                study=self.name,
                dataset=dataset,
                model=model,
                recipe=recipe,
                seed=seed,
                split_seed=self.split_seed,
                ratios=self.ratios,
                methods=self.methods,
                count=self.count,
                predictions=self.predictions,
            )
            for seed, dataset, model, recipe in product(
                self.seeds, self.datasets, self.models, self.recipes
            )
        )

    def folder(self, out: Path) -> Path:
        """Return the folder of the study's log below the folder of all logs."""
        return out / safe_name(self.name)


def without_defaults(value: object) -> object:
    """Return a dataclass as nested dictionaries without the fields that equal their default."""
    if isinstance(value, tuple):
        return [without_defaults(item) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {
        item.name: without_defaults(getattr(value, item.name))
        for item in fields(value)
        if item.default is MISSING or getattr(value, item.name) != item.default
    }
