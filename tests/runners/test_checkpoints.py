"""Checkpoints give the counts of their shard, and reading them runs no code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from click.testing import CliRunner

import runners
from distortion.errors import StudyError
from distortion.log import write_shard
from runners.backends import LOOP
from runners.checkpoints import dense_checkpoint, keep_in
from runners.cli import main
from runners.datasets import load
from runners.evaluation import logits
from runners.groups import Group
from runners.networkrun import run_networks
from runners.report import silent
from runners.worker import Finished, Raised, Setup, Worker
from tests.runners.studies import STACKED, network, study

ROOT = Path(__file__).parents[2]
METHODS = [
    {"name": "magnitude"},
    {"name": "channels"},
    {"name": "round-to-nearest", "bits": [4]},
    {"name": "round-to-nearest", "label": "hooked", "bits": [4], "activation_bits": 4},
]
SMALL = {"ratios": [2], "method": METHODS, "model": {"name": "lenet5"}}


@pytest.fixture(scope="module")
def written(tmp_path_factory, cpu):
    """A finished network with its checkpoints: folder, network, data, rows."""
    out = tmp_path_factory.mktemp("log")
    spec = network(**SMALL, dataset=images())
    data = load(spec.dataset, spec.split_seed, Path(), cpu)
    [(_, result)] = run_networks([spec], data, STACKED, lambda _: silent, keep_in(out))
    write_shard(*result[:2], spec.folder(out), spec.run_id)
    return out, spec, data, result[0]


def images():
    def source(root):
        pixels = torch.randint(0, 256, (300, 1, 28, 28), generator=torch.manual_seed(0))
        labels = torch.arange(300) % 3
        images = runners.Images((pixels // 2 + 60 * labels[:, None, None, None]).byte(), labels)
        return runners.Source(images, images, ("a", "b", "c"))

    if "noise" not in runners.datasets.DATASETS._entries:
        runners.register_dataset("noise", source)
    return [{"name": "noise", "train_limit": 60, "validation_share": 0.2}]


def test_every_cell_can_be_loaded_and_gives_the_counts_of_its_rows(written):
    out, spec, data, rows = written
    cells = rows.partition_by("arm", "method", "ratio", as_dict=True)
    paths = sorted(spec.folder(out).glob("*.safetensors"))
    assert len(paths) == len(cells) - 1  # all but the one that rounds its activations
    for (arm, method, ratio), cell in cells.items():
        name = arm if method == "none" else f"{arm}-{method}-{ratio:g}"
        path = spec.folder(out) / f"{spec.run_id}.{name}.safetensors"
        assert path.exists() == (method != "hooked")
        if method == "hooked":
            continue
        net = runners.load_checkpoint(path)
        assert not net.training
        predicted = logits(net, data, data.test).argmax(1)
        correct = data.test.labels[predicted == data.test.labels].bincount(minlength=3)
        assert cell["correct"].to_list() == correct.tolist()
        assert cell["predicted"].to_list() == predicted.bincount(minlength=3).tolist()


def test_a_pruned_network_keeps_its_zeros(written):
    out, spec, _, rows = written
    [path] = spec.folder(out).glob("*.finetuned-magnitude-2.safetensors")
    weights = runners.load_checkpoint(path).parameters()
    left = rows.filter(pl.col("arm") == "finetuned", pl.col("method") == "magnitude")
    assert sum(int((w != 0).sum()) for w in weights) <= left["n_remaining"][0]


@pytest.mark.parametrize("content", [b"", b"\x08" + bytes(7), b"x" * 100, None])
def test_a_damaged_checkpoint_is_refused(content, written, tmp_path):
    out, spec, *_ = written
    whole = dense_checkpoint(spec, out)
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[:-10] if content is None else content)
    with pytest.raises(StudyError, match=r"dense\.safetensors cannot be loaded"):
        runners.load_checkpoint(path)


def test_a_checkpoint_without_its_provenance_or_of_another_network(written, tmp_path):
    out, spec, *_ = written
    path = tmp_path / dense_checkpoint(spec, out).name
    path.write_bytes(dense_checkpoint(spec, out).read_bytes())
    with pytest.raises(StudyError, match=r"beside the <run id>\.json of a finished network"):
        runners.load_checkpoint(path)
    with pytest.raises(StudyError, match="cannot be loaded"):
        runners.load_checkpoint(tmp_path / "none.safetensors")
    record = json.loads((spec.folder(out) / f"{spec.run_id}.json").read_text())
    record["configuration"]["model"] = {"name": "mlp", "options": {}}
    (tmp_path / f"{spec.run_id}.json").write_text(json.dumps(record))
    with pytest.raises(StudyError, match="does not fit the network 'mlp'"):
        runners.load_checkpoint(path)


def test_a_checkpoint_that_cannot_be_written_is_no_failed_cell(tmp_path, monkeypatch):
    """The network is computed again when there is room; the others of its group are kept."""
    networks, sent = study(seeds=2).networks, []

    def put(path, content):
        if path.name.startswith(networks[0].run_id) and "dense" not in path.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("runners.checkpoints.put", put)
    ours = Worker(Setup(tmp_path, Path(), "cpu", (), checkpoints=True))
    for backend in (STACKED, LOOP):
        sent.clear()
        ours.compute(Group(networks, backend), lambda *message: sent.append(message))
        last = dict(sent)
        assert isinstance(last[0], Raised)
        assert "No space left" in last[0].reason
        assert isinstance(last[1], Finished)
        assert last[1].failed == 0
    assert not list(tmp_path.rglob("*.part"))


def test_a_sweep_says_what_has_no_checkpoints(written, tmp_path, monkeypatch):
    path = tmp_path / "tiny.toml"
    path.write_text(
        'seeds = 1\nratios = [2]\ndataset = {name = "digits", test_share = 0.5, '
        'train_limit = 100}\nmodel = {name = "mlp"}\nmethod = {name = "magnitude"}\n'
        "recipe = {dense = [[1, 0.1]], finetune = [[1, 0.1]]}\n"
    )
    parsed = runners.studyfile.read_study(str(path))
    [spec] = parsed.networks
    sent = []
    Worker(Setup(tmp_path, Path(), "cpu", ())).compute(
        Group((spec,), LOOP), lambda *message: sent.append(message)
    )
    arguments = ["run", str(path), "-o", str(tmp_path), "--checkpoints", "--jobs", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "1 finished networks have no checkpoints, and are not computed again." in result.stderr


# Reading logs, checkpoints and data sets in a process in which every unpickling of an object is
# an error. (The pipes to the workers carry pickles, but only between processes of one sweep.)
NOTHING_IS_UNPICKLED = """
import sys
from pathlib import Path
import torch
import runners, sklearn.datasets, torchvision.datasets.utils
from distortion.log import read_log
from runners.cli import main
from runners.datasets import DatasetSpec, load
from runners.shards import damaged
from runners.studyfile import read_study

def refuse(event, arguments):
    assert event != "pickle.find_class", arguments

sys.addaudithook(refuse)
out = Path(sys.argv[1])
read_log(out / "tiny")
[path] = out.rglob("*.dense.safetensors")
runners.load_checkpoint(path)
load(DatasetSpec("digits", "digits", test_share=0.5), 0, out, torch.device("cpu"))
main(["status", "digits", "-o", str(out)])
"""


@pytest.mark.slow
def test_nothing_is_unpickled(tmp_path):
    networks = study(seeds=1).networks
    ours = Worker(Setup(tmp_path, Path(), "cpu", (), checkpoints=True))
    ours.compute(Group(networks, STACKED), lambda *message: None)
    arguments = [sys.executable, "-c", NOTHING_IS_UNPICKLED, str(tmp_path)]
    subprocess.run(arguments, check=True, cwd=ROOT, capture_output=True)


@pytest.mark.parametrize("path", sorted((ROOT / "runners").rglob("*.py")), ids=lambda p: p.name)
def test_no_program_unpickles(path):
    text = path.read_text(encoding="utf-8")
    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not names & {"torch.load", "pickle.load", "pickle.loads", "joblib.load", "marshal.load"}
    assert "allow_pickle" not in text
