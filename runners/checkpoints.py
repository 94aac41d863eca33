"""Checkpoints: the weights of every cell as safetensors, beside the shard of its network.

`<run id>.<cell>.safetensors`, written as soon as the cell is counted. Nothing in it is code, and
reading it runs none: the network is built from the configuration in `<run id>.json`.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from distortion.errors import StudyError
from distortion.escape import safe_name
from distortion.places import place, put
from distortion.schema import DENSE
from runners.datasets import Dataset
from runners.nets import build
from runners.recorder import Cell
from runners.shards import read_record
from runners.stacking import is_hooked
from runners.study import NetworkSpec
from runners.studyfile import load_plugins

Keep = Callable[[NetworkSpec, Cell, Dataset, nn.Module], None]
SUFFIX = ".safetensors"


def forget(spec: NetworkSpec, cell: Cell, data: Dataset, net: nn.Module) -> None:
    """Keep no checkpoint."""


def keep_in(out: Path) -> Keep:
    """Return what writes the checkpoint of a cell below the folder of all logs.

    A network with hooks, which round activations for example, is more than its weights: it gets
    no checkpoint.
    """

    def keep(spec: NetworkSpec, cell: Cell, data: Dataset, net: nn.Module) -> None:
        if is_hooked(net):
            return
        path = checkpoint_path(spec, cell, out)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {
            "run_id": spec.run_id,
            "cell": str(cell),
            "shape": json.dumps(data.train.shape),
            "n_classes": str(data.n_classes),
        }
        # copies, because safetensors refuses weights that two layers share
        state = {
            name: t.detach().cpu().clone().contiguous() for name, t in net.state_dict().items()
        }
        put(path, save(state, metadata))

    return keep


def checkpoint_path(spec: NetworkSpec, cell: Cell, out: Path) -> Path:
    """Return where the checkpoint of a cell is kept."""
    names = [spec.run_id, safe_name(str(cell).replace(" ", "-"))]
    return spec.folder(out) / f"{'.'.join(names)}{SUFFIX}"


def dense_checkpoint(spec: NetworkSpec, out: Path) -> Path:
    """Return where the checkpoint of the dense network is kept."""
    return checkpoint_path(spec, Cell(DENSE, 0), out)


def n_bytes(net: nn.Module) -> int:
    """Return about how many bytes the checkpoint of a network takes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())


def load_checkpoint(path: str | os.PathLike[str], plugins: Iterable[str] = ()) -> nn.Module:
    """Return the network of a cell, in evaluation mode, with the weights that were counted.

    `plugins` are the modules that register a network of your own; they are imported because you
    name them, never because a file does. Inputs are normalised as in `Dataset.normalised`.

    Raises
    ------
    StudyError
        The file is missing or damaged, its network is not finished or not registered.
    """
    path = place(path)
    load_plugins(plugins)
    try:
        metadata, state = _read(path)
        shape, n_classes = json.loads(metadata["shape"]), int(metadata["n_classes"])
        record = read_record(path.with_name(f"{metadata['run_id']}.json"))
        model = record["configuration"]["model"]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise StudyError(
            f"{path} cannot be loaded ({error}). It must be a checkpoint that `distortion-run run "
            f"--checkpoints` wrote, beside the <run id>.json of a finished network."
        ) from None
    net = build(model["name"], model["options"], tuple(shape), n_classes, seed=0)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise StudyError(f"{path} does not fit the network {model['name']!r}: {error}") from None
    return net.eval()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and the tensors of a file; an object is fetched to the disk first."""
    if not isinstance(path, Path):
        with TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(path.read_bytes())
            return _read(copy)
    with safe_open(path, "pt") as file:
        names = file.keys()
        return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
