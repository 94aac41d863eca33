"""Which back-end is the fastest for a network, by measurement, remembered for the next time.

A choice holds for a device, a network, a shape of images, a batch and the versions of torch and
of these programs.
"""

import copy
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from distortion.errors import StudyError
from runners.backends import LABELS, LOOP, Backend, named
from runners.datasets import Dataset
from runners.memory import stack_limit
from runners.provenance import device_name, environment
from runners.recipe import Recipe
from runners.stacking import VMAP, refusal
from runners.stopwatch import as_in_a_worker, disagreement, step_seconds

AUTO = "auto"
WORTH = 0.95  # a larger stack must take less than this share of the time
Notes = tuple[str, ...]

# What is measured: stacks, and how they take a step. On a CPU `gemm` and `each` never won, graphs
# are not there, and compiling takes longer than most studies gain.
CANDIDATES: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {"eager": ("grouped",)},
    "cuda": {
        "graph": ("grouped", "gemm", "each"),
        "eager": ("grouped", "gemm", "each"),
    },
}
# What is tried on the best of them only, because compiling takes long.
REFINEMENTS: dict[str, tuple[str, ...]] = {"cpu": (), "cuda": ("compile", "compile+graph")}


def choose(
    wanted: str, net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, jobs: int
) -> tuple[Backend, Notes]:
    """Return the back-end for a network, and what a user should know about it.

    `wanted` is the label of a back-end, or "auto" for the one that is measured to be the fastest.
    A network that rules cannot stack is tried with vmap.

    Raises
    ------
    StudyError
        CUDA graphs are wanted on a CPU.
    """
    asked = named(wanted) if wanted != AUTO else None
    if asked == LOOP:
        return LOOP, ()
    if asked and "graph" in asked.step and device.type != "cuda":
        raise StudyError(f"--backend {wanted} replays CUDA graphs, which need a GPU; take another.")
    shape = data.train.shape
    vmapped = asked is not None and asked.name == VMAP
    reason = refusal(net, shape, vmapped)
    notes: Notes = ()
    if reason and not vmapped and refusal(net, shape, vmapped=True) is None:
        vmapped, reason, notes = True, None, (f"is stacked by vmap: {reason}",)
    if reason:
        return LOOP, (f"is trained one by one: {reason}",)
    limit = stack_limit(net, shape, recipe.batch_size, device, jobs)
    if limit < 2:
        return LOOP, ("is trained one by one: two of it do not fit into memory",)
    if asked:
        name = VMAP if vmapped else asked.name
        return Backend(name, min(asked.size, limit), asked.step), notes
    key = _key(net, data, recipe, device, limit)
    known = _read()
    if key not in known:
        backend, problems = _fastest(net, data, recipe, device, limit, vmapped)
        known[key] = asdict(backend)
        _write(known)
        return backend, (*notes, *problems)
    return Backend(**known[key]), notes


def _fastest(
    net: nn.Module,
    data: Dataset,
    recipe: Recipe,
    device: torch.device,
    limit: int,
    vmapped: bool,
) -> tuple[Backend, Notes]:
    """Return the fastest back-end, and which could not be used; sizes double while that pays."""
    data = data.to(device)
    net = copy.deepcopy(net).to(device)
    notes: list[str] = []

    def usable(backend: Backend) -> bool:
        problem = disagreement(backend, net, data, recipe)
        if problem:
            notes.append(f"cannot use {backend.label}: {problem}")
        return problem is None

    with as_in_a_worker(device):
        best, least = LOOP, step_seconds(LOOP, net, data, recipe)
        for step, names in CANDIDATES[device.type].items():
            for name in (VMAP,) if vmapped else names:
                size, in_vain = 2, 0 if usable(Backend(name, 2, step)) else 2
                while size <= limit and in_vain < 2:
                    spent = step_seconds(Backend(name, size, step), net, data, recipe)
                    in_vain += 1
                    if spent < WORTH * least:
                        best, least, in_vain = Backend(name, size, step), spent, 0
                    size *= 2
        for step in REFINEMENTS[device.type] if best != LOOP else ():
            refined = replace(best, step=step)
            if usable(replace(refined, size=2)):
                spent = step_seconds(refined, net, data, recipe)
                if spent < WORTH * least:
                    best, least = refined, spent
    return best, tuple(notes)


def _key(net: nn.Module, data: Dataset, recipe: Recipe, device: torch.device, limit: int) -> str:
    """Return a hash of all that the choice depends on."""
    parts = (
        [environment(device)[key] for key in ("versions", "code_hash")],
        device_name(device),
        torch.backends.cpu.get_cpu_capability(),
        repr(net),
        data.train.shape,
        (recipe.batch_size, recipe.optimizer, recipe.flip, recipe.crop_padding, recipe.precision),
        limit.bit_length(),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _file() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder, "distortion", "backends.json")


def _read() -> dict[str, dict]:
    """Return what was measured before; nothing if it cannot be read, and is measured again."""
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
        return {key: choice for key, choice in known.items() if Backend(**choice).label in LABELS}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(known: dict[str, dict]) -> None:
    """Remember what was measured, where the folder of caches can be written."""
    part = _file().with_suffix(f".{os.getpid()}.part")
    with suppress(OSError):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known, indent=1), encoding="utf-8")
        part.replace(_file())
