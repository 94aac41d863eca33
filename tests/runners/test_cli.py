import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from distortion.log import read_log
from runners.cli import main
from runners.studyfile import parse_study, shipped

PLUGIN = '''
import os, signal
from torch import nn
import runners

def moody(weights):
    """Kills its process, raises or works, depending on the network."""
    if len(weights.theta) == 64 * 12:
        os.kill(os.getpid(), signal.SIGKILL)
    if len(weights.theta) == 64 * 13:
        raise RuntimeError("out of ideas")
    return weights.theta.abs()

runners.register_method("moody", moody)
runners.register_network("line", lambda shape, n, *, width: nn.Sequential(
    nn.Flatten(), nn.Linear(64, width), nn.Linear(width, n)))
'''
STUDY = """
seeds = 1
ratios = [2]
dataset = {name = "digits", test_share = 0.5, train_limit = 200}
method = {name = "moody"}
recipe = {dense = [[1, 0.1]], finetune = [[1, 0.1]]}
[[model]]
name = "line"
label = "dies"
width = 12
[[model]]
name = "line"
label = "raises"
width = 13
[[model]]
name = "line"
label = "works"
width = 14
"""


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "moody_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return "moody_plugin"


@pytest.mark.slow
def test_a_network_that_fails_is_named_and_the_others_go_on(plugin, tmp_path):
    path, out = tmp_path / "moody.toml", tmp_path / "out"
    path.write_text(STUDY)
    arguments = (path, "-o", out, "--plugin", plugin)
    result = invoke("run", *arguments, "--jobs", 1, "--debug")
    assert result.exit_code == 1
    assert result.stdout == f"{out / 'moody'}\n"
    error = result.stderr[result.stderr.index("Error: ") :]
    assert "2 of 3 networks could not be computed" in error
    assert re.search(r"digits dies seed 0 \(its process was ended by SIGKILL, often for", error)
    assert "digits raises seed 0 (RuntimeError('out of ideas'))" in error
    assert "the same command tries these again" in error
    assert 'raise RuntimeError("out of ideas")' in result.stderr  # --debug: the worker's traceback
    shown = invoke("status", *arguments).stdout
    rows = [line.split() for line in shown.splitlines()[2:5]]
    assert rows == [
        ["digits", "dies", "0/1", "0/1", "0/1", "0/1", "0/1", "0"],
        ["digits", "raises", "0/1", "0/1", "0/1", "0/1", "0/1", "0"],
        ["digits", "works", "1/1", "1/1", "1/1", "1/1", "1/1"],
    ]
    problems = shown.splitlines()[5:]
    assert problems[2].startswith("time left: unknown")
    assert "digits dies seed 0: not computed, its process was ended by SIGKILL" in problems[0]
    assert "raises seed 0: not computed, RuntimeError('out of ideas') (attempt 1, " in problems[1]
    log = read_log(out)
    assert log.failed.select("model", "arm", "method", "ratio").rows() == [
        ("dies", "dense", "none", 1.0),
        ("raises", "dense", "none", 1.0),
    ]


def test_plugins_may_be_named_in_the_study_file(plugin, tmp_path):
    table = tomllib.loads(STUDY) | {"plugins": [plugin]}
    assert parse_study(table, Path("x.toml")).plugins == (plugin,)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [(), ("run",), ("list",), ("status",), ("init",)])
def test_help(flag, command):
    result = invoke(*command, flag)
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_defaults_are_shown():
    shown = " ".join(invoke("run", "-h").output.split())
    for default in ("[default: data]", "[default: auto]", "one per core on a CPU, 1 on a GPU"):
        assert default in shown


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("run", "digits", "--jobs", "0"), ("run", "digits", "--device", "tpu"), ("rum",)],
)
def test_wrong_usage_has_exit_code_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_an_error_is_one_paragraph_with_exit_code_1(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(STUDY.replace("seeds = 1", "seed = 1"))
    result = invoke("run", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: bad.toml: unknown key 'seed'. Did you mean 'seeds'?\n"
    debugged = invoke("run", path, "--debug")
    assert debugged.exit_code == 1
    assert "Traceback" in debugged.stderr


def test_an_unknown_plugin(tmp_path):
    result = invoke("list", "--plugin", "no_such_plugin")
    assert result.exit_code == 1
    assert "The plugin 'no_such_plugin' cannot be imported" in result.stderr


def test_list_shows_everything_with_a_line_each(plugin):
    shown = invoke("list", "--plugin", plugin).stdout
    assert set(re.findall(r"^\S.*$", shown, re.M)) == {
        "Studies",
        "Data sets",
        "Networks",
        "Methods",
    }
    lines = dict(re.findall(r"^  (\S+) +(.+)$", shown, re.M))
    expected = [*shipped(), "digits", "cifar10", "lenet", "resnet56", "undecayed-released"]
    assert set(expected) <= set(lines)
    assert lines["moody"] == "Kills its process, raises or works, depending on the network."
    assert lines["line"] == "no description"
    assert lines["resnet110"].startswith("CIFAR ResNet-110")


def test_init_writes_a_study_that_can_be_read(tmp_path):
    path = tmp_path / "mine.toml"
    result = invoke("init", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert invoke("status", path, "-o", tmp_path).exit_code == 0
    again = invoke("init", path)
    assert again.exit_code == 1
    assert "Use --force to overwrite it." in again.stderr
    path.write_text("")
    assert invoke("init", path, "--force").exit_code == 0
    assert path.read_text()


def test_init_where_there_is_no_folder(tmp_path):
    result = invoke("init", tmp_path / "none" / "mine.toml")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_status_of_a_study_that_has_not_run(tmp_path):
    shown = invoke("status", "digits", "-o", tmp_path).stdout.splitlines()
    assert shown[0] == str(tmp_path / "digits")
    assert shown[2].split() == [
        "digits", "mlp-small", "quick", "0/15", "0/15", "0/15", "0/300", "0/300", "0-14",
    ]  # fmt: skip
    assert shown[4].startswith("time left: unknown")
