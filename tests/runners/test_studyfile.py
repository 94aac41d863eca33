import tomllib
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch

import runners
from distortion.errors import StudyError
from runners.datasets import DATASETS, DatasetSpec, Images, Source
from runners.feasibility import check_feasible
from runners.gradients import GradientOptions
from runners.options import dataclass_fields, function_fields
from runners.studyfile import parse_study, read_study, shipped, template
from tests.runners.studies import network, study, table

DIGITS = {"name": "digits", "test_share": 0.5}
MAGNITUDE = {"name": "magnitude"}
PHASES = {"dense": [[1, 0.1]], "finetune": [[1, 0.1]]}


def without(key):
    return {k: v for k, v in table().items() if k != key}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # keys and types, at every level
        ({"ratio": [2]}, r"tiny.toml: unknown key 'ratio'. Did you mean 'ratios'"),
        ({"seeds": "ten"}, r"seeds must be a whole number or a list, .*not 'ten'"),
        ({"name": 3}, r"name must be a string, not 3"),
        ({"count": ["training"]}, r"count must be a list, each item 'test' or 'validation'"),
        ({"dataset": [DIGITS | {"limit": 9}]}, r"\[\[dataset\]\] 1: unknown key 'limit'"),
        ({"dataset": [{"test_share": 0.5}]}, r"\[\[dataset\]\] 1: the key 'name' is missing"),
        ({"dataset": []}, r"at least one \[\[dataset\]\] is needed"),
        ({"dataset": "digits"}, r"write each dataset as a block that starts with \[\[dataset\]\]"),
        ({"model": {"name": "mlp", "width": [8]}}, r"unknown key 'width'. Did you mean 'widths'"),
        ({"model": {"name": "mlp", "widths": [8.5]}}, r"widths must be a list, each item a whole"),
        ({"model": {"name": "lenet", "widths": [8]}}, r"unknown key 'widths'"),
        (
            {"method": [{"name": "undecayed", "batch": 1}]},
            r"\[\[method\]\] 1: unknown key 'batch'. Did you mean 'batches'",
        ),
        (
            {"method": [{"name": "undecayed", "batches": "some"}]},
            r"batches must be 'all' or a whole number, not 'some'",
        ),
        ({"method": [{"name": "undecayed", "batches": 0}]}, r"at least 1, not 0"),
        ({"method": [{"name": "undecayed", "mode": "test"}]}, r"mode must be 'eval' or 'train'"),
        ({"recipe": PHASES | {"lr": 0.1}}, r"\[\[recipe\]\] 1: unknown key 'lr'"),
        ({"recipe": PHASES | {"optimizer": "sdg"}}, r"not 'sdg'. Did you mean 'sgd'"),
        ({"recipe": PHASES | {"dense": [[0.1, 1]]}}, r"dense must be a list, each item a list of"),
        ({"recipe": PHASES | {"dense": [[1, 0.1, "linear"]]}}, r"'constant' or 'cosine'"),
        # names
        ({"dataset": {"name": "digit"}}, r"Unknown data set 'digit'. Did you mean 'digits'"),
        ({"model": {"name": "resnet-20"}}, r"Unknown network 'resnet-20'. Did you mean 'resnet20'"),
        (
            {"method": [{"name": "magnitud"}]},
            r"Unknown method 'magnitud'. Did you mean 'magnitude'.*distortion-run list",
        ),
        ({"plugins": ["no_such_module"]}, r"plugin 'no_such_module' cannot be imported"),
        # values
        ({"seeds": 0}, r"seeds must be a number of seeds from 1"),
        ({"seeds": [1, 1]}, r"list of different whole numbers"),
        ({"seeds": [-1]}, r"from 0 to"),
        ({"ratios": [0.5]}, r"ratio 0.5 removes nothing.*above 1.*control arm"),
        ({"ratios": [1]}, r"ratio 1 removes nothing"),
        ({"ratios": [2, 2.0]}, r"ratios must be different"),
        ({"ratios": []}, r"at least one"),
        ({"ratios": [2.0, float("nan")]}, r"ratios must be finite numbers, not \[2.0, nan\]"),
        ({"ratios": [float("inf")]}, r"ratios must be finite numbers"),
        ({"count": ["test", "test"]}, r"count must name each split once"),
        ({"count": []}, r"and at least one"),
        ({"dataset": DIGITS | {"test_share": 1.0}}, r"test_share must be at least 0 and below 1"),
        ({"dataset": DIGITS | {"validation_share": -0.1}}, r"validation_share must be at least 0"),
        ({"recipe": PHASES | {"finetune": []}}, r"finetune needs at least one phase"),
        ({"recipe": PHASES | {"dense": [[0, 0.1]]}}, r"dense: epochs must be at least 1"),
        ({"recipe": PHASES | {"batch_size": 0}}, r"batch_size must be at least 1"),
        ({"recipe": PHASES | {"momentum": 1.0}}, r"momentum must be at least 0 and below 1"),
        ({"recipe": PHASES | {"momentum": 0.0}}, r"nesterov needs momentum above 0"),
        ({"seeds": -3}, r"from 1 to 1,000,000, .* not -3"),
        ({"seeds": [2**63]}, r"from 0 to 2\^63 - 1"),
        (
            {"method": {"name": "gradient", "decay": float("nan")}},
            r"decay must be a finite number of at least 0, not nan",
        ),
        (
            {
                "method": [
                    {"name": "magnitude"},
                    {"name": "undecayed-released", "match": "magnitude"},
                ]
            },
            r"undecayed-released does not keep the number .* remove the key 'match'",
        ),
        ({"recipe": PHASES | {"dense": [[1, float("inf")]]}}, r"learning rates finite"),
        (
            {"recipe": PHASES | {"weight_decay": -1}},
            r"weight_decay must be a finite number of at least 0",
        ),
        # what concerns several blocks
        (
            {"method": [{"name": "undecayed"}, {"name": "undecayed", "batches": 1}]},
            r"2 \[\[method\]\] blocks would have the name 'undecayed'.*own `label`",
        ),
        ({"dataset": [DIGITS, DIGITS]}, r"2 \[\[dataset\]\] blocks"),
        ({"recipe": [PHASES, PHASES]}, r"2 \[\[recipe\]\] blocks .* own `name`"),
        ({"method": [{"name": "random", "label": "none"}]}, r"'none' is kept for networks"),
        (
            {"method": [{"name": "magnitude"}, {"name": "random", "match": "magnitute"}]},
            r"unknown method 'magnitute'. Did you mean 'magnitude'",
        ),
        ({"method": [{"name": "random", "label": "a", "match": "a"}]}, r"itself has no `match`"),
        ({"method": [{"name": "magnitude", "mode": "eval"}]}, r"takes no gradient; .* 'mode'"),
        (
            {
                "dataset": DIGITS | {"validation_share": 0},
                "recipe": PHASES | {"checkpoint": "best-validation"},
            },
            r"has no validation images, but they",
        ),
        (
            {"dataset": DIGITS | {"validation_share": 0}, "count": ["test", "validation"]},
            r"has no validation images",
        ),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(StudyError, match=message):
        study(**changes)


def test_an_option_may_not_hide_a_key_of_the_study_file():
    runners.register_network("clash", lambda shape, n, *, label="x": None)
    with pytest.raises(StudyError, match=r"'clash' takes an option 'label', but that is a key"):
        study(model={"name": "clash"})


@pytest.mark.parametrize("name", ["digits", "mnist", "cifar10", "idx", "parquet", "folder"])
def test_no_loader_hides_a_key_of_the_study_file(name):
    assert not function_fields(DATASETS[name]).keys() & dataclass_fields(DatasetSpec).keys()


@pytest.mark.parametrize("key", ["seeds", "ratios", "dataset", "model", "method", "recipe"])
def test_missing_keys_are_named(key):
    with pytest.raises(StudyError, match=f"tiny.toml: the key '{key}' is missing"):
        parse_study(without(key), Path("tiny.toml"))


@pytest.mark.parametrize("content", ["seeds = = 3", b"\xff\xfe"])
def test_a_file_that_is_not_toml(content, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(StudyError, match=r"bad.toml is not a readable TOML file"):
        read_study(str(path))


def test_a_study_that_is_not_there_gets_the_nearest_shipped_one():
    with pytest.raises(StudyError, match=r"no study file 'digit'.*Did you mean 'digits'"):
        read_study("digit")


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_are_sound(name):
    parsed = read_study(name)
    assert parsed.name == name
    assert len(parsed.seeds) >= 10
    assert {"magnitude", "gradient", "undecayed", "random"} <= {m.label for m in parsed.methods}


def test_shipped_studies_have_the_recipes_of_the_paper():
    [recipe] = read_study("cifar10-resnet").recipes
    assert recipe.dense == ((10, 1e-2), (20, 1e-1), (10, 1e-2), (10, 1e-3), (10, 1e-4))
    assert recipe.finetune == ((10, 1e-1), (5, 1e-2), (5, 1e-3), (5, 1e-4))
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, True, 5e-4)
    assert (recipe.batch_size, recipe.flip, recipe.crop_padding) == (128, True, 4)
    assert read_study("cifar100-resnet56").recipes == (recipe,)


def test_the_template_is_a_study():
    parsed = parse_study(tomllib.loads(template()), Path("mine.toml"))
    assert parsed.name == "mine"


def test_networks_are_the_product_with_seeds_varying_slowest():
    both = study(
        model=[{"name": "mlp"}, {"name": "mlp", "label": "big"}],
        recipe=[PHASES | {"name": "a"}, PHASES | {"name": "b"}],
    )
    keys = [(n.seed, n.model.label, n.recipe.name) for n in both.networks]
    assert keys[:4] == [(0, "mlp", "a"), (0, "mlp", "b"), (0, "big", "a"), (0, "big", "b")]
    assert len(keys) == 8


def test_cells_and_epochs_of_a_network():
    spec = network()
    assert spec.n_cells == 6  # dense, control, and pruned and fine-tuned at two ratios
    assert spec.n_epochs == 2 + 3


def test_adding_seeds_keeps_the_ids():
    few, many = study(seeds=2), study(seeds=[5, 1, 0])
    ids = {n.seed: n.run_id for n in many.networks}
    assert [ids[n.seed] for n in few.networks] == [n.run_id for n in few.networks]


def test_writing_a_default_down_keeps_the_id():
    explicit = network(
        dataset=DIGITS | {"train_limit": 200, "label": "digits", "validation_share": 0.1},
        recipe=PHASES | {"batch_size": 40, "momentum": 0.9},
    )
    assert explicit.run_id == network(recipe=PHASES | {"batch_size": 40}).run_id


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"ratios": [2, 4]},
        {"split_seed": 1},
        {"count": ["test", "validation"]},
        {"dataset": DIGITS},
        {"model": {"name": "mlp", "widths": [24, 13]}},
        {"method": [{"name": "random"}]},
        {"method": [{"name": "undecayed"}]},
        {"method": [{"name": "undecayed", "mode": "train"}]},
        {"recipe": PHASES | {"momentum": 0.8}},
        {"recipe": PHASES},
    ],
)
def test_everything_that_affects_the_counts_changes_the_id(changes):
    assert network(**changes).run_id != network().run_id


def test_ids_are_frozen():
    """Finished studies are recognised by them: a change must be meant."""
    assert network().run_id == "841b4e8600a9a606"


def test_ratios_are_sorted():
    assert study(ratios=[10, 2]).ratios == (2.0, 10.0)
    assert study(ratios=[10, 2]).networks[0].run_id == network().run_id


def small_sets(cpu):
    """Data sets with the shapes of the public ones, a few images of every class each."""

    def source(channels, side, n_classes):
        labels = torch.arange(8 * n_classes) % n_classes
        pixels = torch.zeros(len(labels), channels, side, side, dtype=torch.uint8)
        images = Images(pixels, labels)
        return lambda root: Source(images, images, tuple(map(str, range(n_classes))))

    grey, colour = source(1, 28, 10), source(3, 32, 10)
    return {
        "mnist": grey, "fashion-mnist": grey, "cifar10": colour, "cifar100": source(3, 32, 100),
    }  # fmt: skip


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_are_feasible(name, cpu, monkeypatch, tmp_path):
    """Every method reaches every ratio on every network."""
    for dataset, load in small_sets(cpu).items():
        monkeypatch.setitem(DATASETS._entries, dataset, load)
    parsed = read_study(name)
    one = parsed.networks[: len(parsed.networks) // len(parsed.seeds)]
    full = [replace(n, dataset=replace(n.dataset, train_limit=None)) for n in one]
    if name == "digits":
        full = one
    assert len(check_feasible(full, tmp_path)) == len(one)


PAPER = ("mnist-lenet", "fashion-lenet", "cifar10-resnet", "cifar100-resnet56")


def test_the_grid_of_the_paper_is_complete():
    """Good et al. (2022), section 5: data sets, networks, seeds, ratios, methods."""
    studies = {name: read_study(name) for name in PAPER}
    pairs = {
        (dataset.name, model.name)
        for parsed in studies.values()
        for dataset, model in product(parsed.datasets, parsed.models)
    }
    resnets = {("cifar10", f"resnet{depth}") for depth in (20, 32, 44, 56, 110)}
    lenets = {("mnist", "lenet"), ("fashion-mnist", "lenet")}
    assert pairs == resnets | lenets | {("cifar100", "resnet56")}
    for name, parsed in studies.items():
        assert parsed.seeds == tuple(range(30))
        assert parsed.ratios == (2, 4, 10, 20, 42 if "lenet" in name else 50)
        assert [method.label for method in parsed.methods] == [
            "magnitude", "gradient", "undecayed", "random", "undecayed-released",
            "undecayed-matched", "undecayed-released-abs", "gradient-released",
        ]  # fmt: skip
        [recipe] = parsed.recipes
        assert (recipe.weight_decay, recipe.batch_size, recipe.checkpoint) == (5e-4, 128, "last")
        gradients = {m.label: m.gradient for m in parsed.methods if "released" in m.label}
        augmented = "resnet" in name
        assert set(gradients.values()) == {GradientOptions(1, "train", augmented)}
