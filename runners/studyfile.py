"""Study files: TOML to a `Study`, every mistake answered with the place, the rule and a hint."""

import importlib
import math
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from distortion.errors import StudyError, did_you_mean
from distortion.schema import NO_METHOD
from runners.datasets import DATASETS, DatasetSpec
from runners.gradients import GradientOptions
from runners.methods import METHODS
from runners.methods.method import MethodSpec
from runners.nets import NETWORKS
from runners.options import REQUIRED, Field, dataclass_fields, function_fields, read_table
from runners.recipe import Recipe
from runners.study import ModelSpec, Study

TOP = {
    "name": Field(str, None),
    "seeds": Field(int | tuple[int, ...], REQUIRED),
    "ratios": Field(tuple[float, ...], None),
    "split_seed": Field(int, 0),
    "count": Field(tuple[Literal["test", "validation"], ...], ("test",)),
    "predictions": Field(bool, False),
    "plugins": Field(tuple[str, ...], ()),
    **{key: Field(object, REQUIRED) for key in ("dataset", "model", "method", "recipe")},
}
Fields = Mapping[str, Field]
GRADIENT = dataclass_fields(GradientOptions)
MOST_SEEDS = 1_000_000


def shipped() -> dict[str, Path]:
    """Return the study files that come with the package, by name."""
    folder = Path(str(resources.files("runners") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def template() -> str:
    """Return the commented study file that `distortion-run init` writes."""
    return (resources.files("runners") / "template.toml").read_text(encoding="utf-8")


def find(name: str) -> Path:
    """Return the path of a study file, or of a shipped study given by name."""
    path, studies = Path(name), shipped()
    if path.is_file():
        return path
    if name in studies:
        return studies[name]
    raise StudyError(
        f"There is no study file {name!r}, and no shipped study of that name. "
        f"{did_you_mean(name, studies)} `distortion-run init my.toml` writes one to start from."
    )


def read_study(name: str, plugins: Iterable[str] = ()) -> Study:
    """Read a study file, given by path or by the name of a shipped study.

    `plugins` are modules to import, beside those that the file names.

    Raises
    ------
    StudyError
        The file is missing, is not TOML, or holds a key, name or value that makes no sense.
    """
    path = find(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise StudyError(f"{path} is not a readable TOML file: {error}.") from None
    return parse_study(table, path, plugins)


def parse_study(table: Mapping, path: Path, plugins: Iterable[str] = ()) -> Study:
    """Turn the content of a study file into a `Study`; `path` names it in errors."""
    where = path.name
    top = read_table(table, TOP, where)
    all_plugins = (*top["plugins"], *plugins)
    load_plugins(all_plugins)
    methods = _entries(top, "method", where, _method)
    study = Study(
        name=path.stem if top["name"] is None else top["name"],
        seeds=_seeds(top["seeds"], where),
        ratios=_ratios(top["ratios"], methods, where),
        datasets=_entries(top, "dataset", where, _dataset),
        models=_entries(top, "model", where, _model),
        methods=methods,
        recipes=_entries(top, "recipe", where, _recipe),
        split_seed=top["split_seed"],
        count=top["count"],
        predictions=top["predictions"],
        plugins=all_plugins,
    )
    _check(study, where)
    return study


def load_plugins(names: Iterable[str]) -> None:
    """Import the modules that register users' own data sets, networks and methods.

    They are found where Python finds modules, and in the current folder.
    """
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a plugin is somebody's code: anything may go wrong in it
            raise StudyError(
                f"The plugin {name!r} cannot be imported ({type(error).__name__}: {error}). It "
                f"must be installed, or lie in the current folder or one on PYTHONPATH."
            ) from error


def _entries(top: Mapping, key: str, where: str, parse: Callable) -> tuple:
    """Parse [[key]] blocks, or a single [key] block."""
    blocks = [top[key]] if isinstance(top[key], Mapping) else top[key]
    if not isinstance(blocks, list) or not all(isinstance(b, Mapping) for b in blocks):
        raise StudyError(f"{where}: write each {key} as a block that starts with [[{key}]].")
    if not blocks:
        raise StudyError(f"{where}: at least one [[{key}]] is needed.")
    return tuple(
        parse(block, f"{where}, [[{key}]] {number}") for number, block in enumerate(blocks, start=1)
    )


def _named(block: Mapping, where: str) -> str:
    """Return the `name` of a block, before its other keys can be checked."""
    known = {"name": Field(str, REQUIRED)}
    return read_table({k: v for k, v in block.items() if k == "name"}, known, where)["name"]


def _dataset(block: Mapping, where: str) -> DatasetSpec:
    options = function_fields(DATASETS[_named(block, where)])
    values = _read(block, options, dataclass_fields(DatasetSpec), where)
    for key in ("test_share", "validation_share"):
        if values[key] is not None and not 0 <= values[key] < 1:
            raise StudyError(f"{where}: {key} must be at least 0 and below 1, not {values[key]:g}.")
    return DatasetSpec(**_labelled(values, block, options))


def _model(block: Mapping, where: str) -> ModelSpec:
    options = function_fields(NETWORKS[_named(block, where)])
    values = _read(block, options, dataclass_fields(ModelSpec), where)
    return ModelSpec(**_labelled(values, block, options))


def _method(block: Mapping, where: str) -> MethodSpec:
    method = METHODS[_named(block, where)]
    if "match" in block and not method.exact:
        raise StudyError(
            f"{where}: {block['name']} does not keep the number of weights that it is asked to "
            "keep, so it cannot match another method's ratios; remove the key 'match'."
        )
    known = dataclass_fields(MethodSpec)
    own = {key: known[key] for key in ("name", "label", *sorted(method.keys))}
    if method.gradient is None:
        for key in sorted({*GRADIENT, "decay"} & block.keys()):
            raise StudyError(f"{where}: {block['name']} takes no gradient; remove the key {key!r}.")
        gradients: dict[str, Field] = {}
    else:
        own["decay"] = known["decay"]
        gradients = {k: Field(f.hint, getattr(method.gradient, k)) for k, f in GRADIENT.items()}
    options = method.fields()
    values = _read(block, options, own | gradients, where)
    gradient = GradientOptions(**{k: values.pop(k) for k in gradients}) if gradients else None
    if gradient is not None and gradient.batches != "all" and gradient.batches < 1:
        raise StudyError(f"{where}: batches must be 'all' or at least 1, not {gradient.batches}.")
    decay = values.get("decay")
    if decay is not None and not (math.isfinite(decay) and decay >= 0):
        raise StudyError(f"{where}: decay must be a finite number of at least 0, not {decay:g}.")
    if values.get("scope") == method.scope:
        values["scope"] = None
    spec = MethodSpec(gradient=gradient, **_labelled(values, block, options))
    try:
        method.check_options(spec)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    return spec


def _recipe(block: Mapping, where: str) -> Recipe:
    return Recipe(**read_table(block, dataclass_fields(Recipe), where)).check(where)


def _read(block: Mapping, options: Fields, own: Fields, where: str) -> dict:
    """Read a block that takes its own keys and the options of a loader, factory or score."""
    for key in options.keys() & own.keys():
        raise StudyError(
            f"{where}: {block['name']!r} takes an option {key!r}, but that is a key of the study "
            f"file. Rename the parameter of the registered function."
        )
    return read_table(block, {**options, **own}, where)


def _labelled(values: dict, block: Mapping, options: Mapping) -> dict:
    """Move the options that the block gives into one entry; fill in the label."""
    parts = [values["name"], values.get("scope"), "matched" if values.get("match") else None]
    values["label"] = values["label"] or "-".join(part for part in parts if part)
    given = {key: values.pop(key) for key in options}
    values["options"] = {key: value for key, value in given.items() if key in block}
    return values


def _seeds(value: int | tuple[int, ...], where: str) -> tuple[int, ...]:
    count = value if isinstance(value, int) else len(value)
    listed = () if isinstance(value, int) else value
    in_range = 1 <= count <= MOST_SEEDS and all(0 <= seed < 2**63 for seed in listed)
    if not in_range or len(set(listed)) < len(listed):
        given = value if isinstance(value, int) else list(value)
        raise StudyError(
            f"{where}: seeds must be a number of seeds from 1 to {MOST_SEEDS:,}, or a list of "
            f"different whole numbers from 0 to 2^63 - 1, not {given}."
        )
    return tuple(range(value)) if isinstance(value, int) else value


def _ratios(
    value: tuple[float, ...] | None, methods: Iterable[MethodSpec], where: str
) -> tuple[float, ...]:
    if value is None:
        if all(METHODS[method.name].ratios(method, ()) for method in methods):
            return ()
        raise StudyError(f"{where}: the key 'ratios' is missing; it must be a list of numbers.")
    if not value or len(set(value)) < len(value):
        raise StudyError(f"{where}: ratios must be different, and at least one is needed.")
    if not all(math.isfinite(ratio) for ratio in value):
        raise StudyError(f"{where}: ratios must be finite numbers, not {list(value)}.")
    if min(value) <= 1:
        raise StudyError(
            f"{where}: ratio {min(value):g} removes nothing; ratios are parameters before / after "
            f"and must be above 1. The control arm covers ratio 1 and is always run."
        )
    return tuple(sorted(value))


def _check(study: Study, where: str) -> None:
    """Check what concerns several blocks at once."""
    labels = {
        "dataset": [dataset.label for dataset in study.datasets],
        "model": [model.label for model in study.models],
        "method": [method.label for method in study.methods],
        "recipe": [recipe.name for recipe in study.recipes],
    }
    for kind, names in labels.items():
        for name, count in Counter(names).items():
            if count > 1:
                key = "name" if kind == "recipe" else "label"
                raise StudyError(
                    f"{where}: {count} [[{kind}]] blocks would have the name {name!r} in the log. "
                    f"Give each its own `{key}`."
                )
    if len(set(study.count)) != len(study.count) or not study.count:
        raise StudyError(f"{where}: count must name each split once, and at least one.")
    plain = [m.label for m in study.methods if not m.match and "match" in METHODS[m.name].keys]
    for method in study.methods:
        if method.label == NO_METHOD:
            raise StudyError(f"{where}: the label {NO_METHOD!r} is kept for networks not pruned.")
        if method.match is not None and method.match not in plain:
            raise StudyError(
                f"{where}: {method.label!r} matches the unknown method {method.match!r}. "
                f"{did_you_mean(method.match, plain)} It must be the label of a [[method]] that "
                f"itself has no `match`."
            )
    wants = [r.name for r in study.recipes if r.checkpoint == "best-validation"]
    if wants or "validation" in study.count:
        for dataset in study.datasets:
            if dataset.validation_share == 0:
                raise StudyError(
                    f"{where}: data set {dataset.label!r} has no validation images, but they are "
                    f"to be counted or to choose the checkpoint. Set validation_share above 0."
                )
